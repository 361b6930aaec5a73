"""Text to batches: tokenizer, sources, preparation, data loader. Imports runs and config.

In the order data flows: sources/ (where text comes from; builtin_text/, synthetic_tasks/ and youtube/ make some of it),
preparation/ (text to shards on disk), corpus.py (shards to arrays), mixer.py (arrays to batches). No model here.
"""
