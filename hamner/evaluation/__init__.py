"""Held-out loss and exact match: what a model can do, with an error. Imports data, model, runs and config."""
