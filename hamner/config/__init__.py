"""Configuration: the settings of a run, a model and a league, read and checked. Imports nothing of ours, and no torch.

The schema of every key (schema.py), how a file and key=value words become one config (load.py), what no single key can
state (checks.py), the named models (presets.py) and what a model costs (cost.py). Every other room may import this one.
"""
