"""The data pipeline: text to shards of token ids, each document counted, near-duplicates dropped.

Every part of the text is surveyed, what is kept is decided from all surveys, then every part is written: the result is
the same bytes however many processes do it. Imports data, runs and config.
"""
