"""Generating text with a trained model. Imports training.checkpoint, data, model, runs and config."""
