"""The data pipeline: text to shards of token ids, each document counted, near-duplicates dropped."""
