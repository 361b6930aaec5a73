"""Statistical significance of a cut: standard errors, confidence threshold, verdict, on plain numbers.

evaluation_se   a held-out text is a sample: how far the difference of two models moves with other documents
seed_sd         training is a draw: how far one contestant moves with another seed of weights and data order

    standard_error = sqrt(evaluation_se² + seed_sd² · (1/n_a + 1/n_b))

A difference is settled when it exceeds q(0.95; contestants, df) / √2 · standard_error, q being the Studentised
range (Tukey 1949): all pairs are compared after looking at them, so a t-test's threshold would be too low.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from hamner.evaluation.statistics import clustered_error

Verdict = Literal["settled", "contested", "unknown"]
CONFIDENCE = 0.95

# source -> {"share": its part of the mix, "nats": [loss summed over each document], "tokens": [of each document]}
Documents = Mapping[str, Mapping[str, float | Sequence[float]]]


@dataclass(frozen=True)
class SeedNoise:
    """How far the same contestant moves with another seed, in one round. sd is None where no contestant has two."""

    sd: float | None
    df: int


@dataclass(frozen=True)
class Label:
    """The difference of two contestants in nats per token and how sure it is; positive: the second is better."""

    difference: float
    evaluation_se: float | None
    standard_error: float | None
    verdict: Verdict


class DocumentMeans:
    """Held-out losses of documents, the means over one contestant's seeds; a source's are computed once."""

    def __init__(self, seeds: Sequence[Documents]) -> None:
        """seeds: one entry a seed."""
        self.seeds = seeds
        self._nats: dict[str, Sequence[float]] = {}

    def nats(self, source: str) -> Sequence[float]:
        """Summed loss of each document, averaged over seeds."""
        if source not in self._nats:
            of_seeds: list[Any] = [documents[source]["nats"] for documents in self.seeds]
            columns, count = zip(*of_seeds, strict=True), len(of_seeds)
            self._nats[source] = of_seeds[0] if count == 1 else [sum(column) / count for column in columns]
        return self._nats[source]


def seed_noise(groups: Iterable[Sequence[float]]) -> SeedNoise:
    """Pooled standard deviation over groups of losses, each of one contestant's seeds."""
    squares, df = 0.0, 0
    for losses in groups:
        if len(losses) >= 2:
            mean = sum(losses) / len(losses)
            squares += sum((x - mean) ** 2 for x in losses)
            df += len(losses) - 1
    return SeedNoise(math.sqrt(squares / df) if df else None, df)


def compare(
    worse: Sequence[float], better: Sequence[float], evaluation_se: float | None, noise: SeedNoise, contestants: int
) -> Label:
    """Label the difference of two of so many contestants, each given by the losses of its seeds."""
    difference = sum(worse) / len(worse) - sum(better) / len(better)
    if noise.sd is None:
        return Label(difference, evaluation_se, None, "unknown")
    seeds = noise.sd**2 * (1 / len(worse) + 1 / len(better))
    error = math.sqrt((evaluation_se or 0.0) ** 2 + seeds)
    is_settled = evaluation_se is not None and difference > threshold(contestants, noise.df) * error
    return Label(difference, evaluation_se, error, "settled" if is_settled else "contested")


@cache
def threshold(contestants: int, df: int) -> float:
    """Standard errors that a difference must exceed: q(0.95; contestants, df) / √2."""
    # SciPy takes half a second to import, and 0.06 to 0.17 s a quantile: only where a round is decided
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(CONFIDENCE, max(2, contestants), df)) / math.sqrt(2)


def paired_error(a: DocumentMeans, b: DocumentMeans) -> float | None:
    """Standard error of the difference of two contestants' mean losses over the same held-out documents.

    None, which settles nothing, when a source has fewer than two documents or the documents are not the same.
    """
    if not a.seeds or not b.seeds or {*a.seeds[0]} != {*b.seeds[0]}:
        return None
    variance = 0.0
    for source, first in a.seeds[0].items():
        tokens, share = first["tokens"], first["share"]
        assert isinstance(tokens, Sequence) and isinstance(share, (int, float))
        if len(tokens) < 2 or any(other.get(source, {}).get("tokens") != tokens for other in (*a.seeds, *b.seeds)):
            return None
        gaps = [x - y for x, y in zip(a.nats(source), b.nats(source), strict=True)]
        variance += share**2 * clustered_error(gaps, tokens) ** 2
    return math.sqrt(variance)
