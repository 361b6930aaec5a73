"""How sure is a cut? Two errors, one test, on plain numbers.

evaluation_se   a held-out text is a sample: how far the difference of two models moves with other documents
seed_sd         training is a draw: how far one contestant moves with another seed of weights and data order

    standard_error = sqrt(evaluation_se² + seed_sd² · (1/n_a + 1/n_b))

A difference is settled when it exceeds q(0.95; entrants, df) / √2 · standard_error, q being the Studentised
range (Tukey 1949): all pairs are compared after looking at them, so a t-test's threshold would be too low.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from hamner.evaluation.statistics import clustered_error

Verdict = Literal["settled", "contested", "unknown"]
CONFIDENCE = 0.95

# source -> {"share": its part of the mix, "nats": [loss summed over each document], "tokens": [of each document]}
Documents = Mapping[str, Mapping[str, float | Sequence[float]]]


@dataclass(frozen=True)
class SeedNoise:
    """How far the same contestant moves with another seed, in one round. sd None: nobody ran two seeds."""

    sd: float | None
    df: int


@dataclass(frozen=True)
class Label:
    """What is known of a difference of two contestants, in nats per token; positive: the second is better."""

    difference: float
    evaluation_se: float | None
    standard_error: float | None
    verdict: Verdict


def ruler(groups: Iterable[Sequence[float]]) -> SeedNoise:
    """Pooled standard deviation over groups of losses, each of one contestant's seeds."""
    squares, df = 0.0, 0
    for losses in groups:
        if len(losses) >= 2:
            mean = sum(losses) / len(losses)
            squares += sum((x - mean) ** 2 for x in losses)
            df += len(losses) - 1
    return SeedNoise(math.sqrt(squares / df) if df else None, df)


def compare(
    worse: Sequence[float], better: Sequence[float], evaluation_se: float | None, measured: SeedNoise, entrants: int
) -> Label:
    """Label the difference of two contestants, each given by the losses of its seeds."""
    difference = sum(worse) / len(worse) - sum(better) / len(better)
    if measured.sd is None:
        return Label(difference, evaluation_se, None, "unknown")
    seeds = measured.sd**2 * (1 / len(worse) + 1 / len(better))
    error = math.sqrt((evaluation_se or 0.0) ** 2 + seeds)
    settled = evaluation_se is not None and difference > threshold(entrants, measured.df) * error
    return Label(difference, evaluation_se, error, "settled" if settled else "contested")


@cache
def threshold(entrants: int, df: int) -> float:
    """Standard errors that a difference must exceed: q(0.95; entrants, df) / √2."""
    from scipy.stats import studentized_range  # half a second to import: only where a round is decided

    return float(studentized_range.ppf(CONFIDENCE, max(2, entrants), df)) / math.sqrt(2)


def paired_error(a: Sequence[Documents], b: Sequence[Documents]) -> float | None:
    """Standard error of the difference of two contestants' mean losses over the same held-out documents.

    a, b: one entry a seed.
    None, which settles nothing, when a source has fewer than two documents or the documents are not the same.
    """
    if not a or not b:
        return None
    if {*a[0]} != {*b[0]}:
        return None
    variance = 0.0
    for source, first in a[0].items():
        tokens, share = first["tokens"], first["share"]
        assert isinstance(tokens, Sequence) and isinstance(share, (int, float))
        if len(tokens) < 2 or any(other.get(source, {}).get("tokens") != tokens for other in (*a, *b)):
            return None
        gaps = [x - y for x, y in zip(_mean_nats(a, source), _mean_nats(b, source), strict=True)]
        variance += share**2 * clustered_error(gaps, tokens) ** 2
    return math.sqrt(variance)


def _mean_nats(seeds: Sequence[Documents], source: str) -> list[float]:
    """Summed loss of each document, averaged over seeds."""
    columns = zip(*(documents[source]["nats"] for documents in seeds), strict=True)
    return [sum(column) / len(seeds) for column in columns]
