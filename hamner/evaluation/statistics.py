"""Statistics of evaluation: rows per source, mean over a mix, standard error clustered by document, accuracy.

Plain numbers in and out; nothing here knows a model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

FALSE_MARKS = 0.05  # share of measurements of a model that knows nothing in which any cell is said to be above chance


class Chance(NamedTuple):
    """What guessers score in each cell of the skills, from 0 to 1: see chance.py and candidates.py."""

    exact_match: dict[str, float]
    choice: dict[str, float]


def row_counts(mix: Mapping[str, float], count: int) -> dict[str, int]:
    """Held-out rows of each source, `count` in all by the ratios of the mix, at least one of each."""
    return {name: max(1, round(share * count)) for name, share in mix.items()}


def mix_loss(losses: Mapping[str, float], mix: Mapping[str, float]) -> float:
    """Mean of the held-out losses of several sources, weighted by the ratios of the mix; nats per token."""
    return sum(share * losses[name] for name, share in mix.items())


def clustered_error(gaps: Sequence[float], tokens: Sequence[float]) -> float:
    """Standard error of a difference of two mean losses over the same documents, nats per token.

    gaps: of each document, its loss under the one model less that under the other, in nats; tokens: its length.
    Clustered by document (Liang & Zeger 1986), since the errors of one document's tokens are correlated. Infinite for
    a single document, from which no scatter can be estimated.
    """
    if len(tokens) < 2:
        return math.inf
    total = sum(tokens)
    mean = sum(gaps) / total
    squares = sum((gap - mean * n) ** 2 for gap, n in zip(gaps, tokens, strict=True))
    return math.sqrt(squares / total**2 * len(tokens) / (len(tokens) - 1))


def accuracy(hits: str) -> float:
    """Share of "1" among the characters of `hits`, one per item."""
    return hits.count("1") / len(hits)


def binomial_error(hits: str) -> float:
    """Standard error of accuracy(hits): items are right or wrong independently of each other."""
    share = accuracy(hits)
    return math.sqrt(share * (1 - share) / len(hits))


def binomial_tail(right: int, count: int, chance: float) -> float:
    """Probability that a guesser has `right` of `count` items or more right, each with probability `chance`."""
    from scipy.special import bdtrc

    return float(bdtrc(right - 1, count, chance))


def above_chance(marks: Mapping[str, str], chance: Mapping[str, float]) -> list[str]:
    """The cells in which more items are right than guessing explains, at 5 % for all cells together (Bonferroni)."""
    level = FALSE_MARKS / max(1, len(marks))
    return [cell for cell, hits in marks.items() if binomial_tail(hits.count("1"), len(hits), chance[cell]) < level]


def wilson_interval(share: float, count: int, z: float = 1.959964) -> tuple[float, float]:
    """Interval of a share of `count` independent items (Wilson 1927), 95 % by default; never empty, within [0, 1]."""
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def seed_interval(shares: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """Student's interval of the mean share over seeds, within [0, 1]; None of a single seed."""
    if len(shares) < 2:
        return None
    from scipy.special import stdtrit

    count, mean = len(shares), sum(shares) / len(shares)
    sd = math.sqrt(sum((share - mean) ** 2 for share in shares) / (count - 1))
    half = float(stdtrit(count - 1, (1 + confidence) / 2)) * sd / math.sqrt(count)
    return max(0.0, mean - half), min(1.0, mean + half)
