"""Generating text with a trained model. Imports training.checkpoint, data, model, runs and config.

Find and load a model, draw tokens one at a time, and hold a conversation.
"""
