"""Captions of videos to samples of one person's speech.

Download captions, read their words and times, cut them into samples that share no word. Imports data, runs and config.
"""
