"""The decoder: token ids to logits to loss. Imports config.

One architecture whose kinds are values of a ModelConfig: attention, mixture of experts, layers, key/value cache, and
the loss, the one place that shifts targets. It does not know data. kernels/ computes the same sums faster.
"""
