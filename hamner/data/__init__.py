"""Text to batches: tokenizer, sources, preparation, data loader. Imports runs and config."""
