"""Evaluation mode of a model (eval/train): for the length of a `with`, and then the mode it was in before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put the model into evaluation mode, and back into its own even when an error ends the block."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
