"""Configuration: settings of a run, a model and a league, read and checked. Imports nothing of ours, and no torch."""
