"""Held-out loss and exact match: what a model can do, with an error. Imports data, model, runs and config.

Held-out loss by source, skills in the synthetic tasks beside chance, forgetting, the friend card and statistics.
"""
