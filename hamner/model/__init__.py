"""The decoder: token ids to logits to loss. Imports config."""
