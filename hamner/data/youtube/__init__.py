"""Captions of videos to samples of one person's speech."""
