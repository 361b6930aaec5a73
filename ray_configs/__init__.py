"""Where and how much: one TOML file a machine, and the server as replicas.

A package only so that an installed project finds the files.
"""
