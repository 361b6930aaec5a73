"""Where and how much: one TOML file a machine. (A package only so that an installed project finds the files.)"""
