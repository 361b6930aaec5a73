"""Held-out losses as plain numbers: how many rows of each source, their mean over a mix, the error of a difference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def row_counts(mix: Mapping[str, float], count: int) -> dict[str, int]:
    """Share `count` rows out by ratio, at least one each."""
    return {name: max(1, round(share * count)) for name, share in mix.items()}


def mix_loss(losses: Mapping[str, float], mix: Mapping[str, float]) -> float:
    """Held-out losses of several sources, weighted by the mix."""
    return sum(share * losses[name] for name, share in mix.items())


def clustered_error(gaps: Sequence[float], tokens: Sequence[float]) -> float:
    """Standard error of a difference of two mean losses over the same documents, nats per token.

    gaps: of each document, its loss under the one model less that under the other, in nats; tokens: its length.
    Clustered by document (Liang & Zeger 1986): tokens of one document err together. Infinite for a single document,
    which does not tell how far another would move it.
    """
    if len(tokens) < 2:
        return math.inf
    total = sum(tokens)
    mean = sum(gaps) / total
    squares = sum((gap - mean * n) ** 2 for gap, n in zip(gaps, tokens, strict=True))
    return math.sqrt(squares / total**2 * len(tokens) / (len(tokens) - 1))


def accuracy(hits: str) -> float:
    """Share of "1"."""
    return hits.count("1") / len(hits)
