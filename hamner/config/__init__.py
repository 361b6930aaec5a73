"""Configuration: what a run, a model and a league are told, read and checked. Imports nothing of ours, and no torch."""
