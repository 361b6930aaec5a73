"""The training step and what survives a kill. Imports data, model, runs and config."""
