"""Rank agreement of two leagues: Kendall's τ with a bootstrap interval, and how often a pair keeps its order.

Plain numbers in and out: the losses of the same contestants in the one league and in the other, the lower the better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

FEWEST = 4  # contestants: with fewer, resampling draws a single one too often
RESAMPLES = 2000
CONFIDENCE = 0.95
GROUPS = 3  # of pairs, by how far they are apart


@dataclass(frozen=True)
class Agreement:
    """Kendall's τ-b, from -1 (every pair the other way round) over 0 (chance) to 1 (the same order)."""

    tau: float
    low: float
    high: float
    contestants: int


@dataclass(frozen=True)
class PairGroup:
    """Pairs that are about equally far apart in the first league."""

    least: float  # nats per token
    most: float
    pairs: int
    kept: int  # those that have the same order in the second league


def agreement(
    first: Sequence[float], second: Sequence[float], *, seed: int = 0, resamples: int = RESAMPLES
) -> Agreement | None:
    """τ-b (Kendall 1945) with the percentile interval of a bootstrap over contestants (Efron 1979).

    None for fewer than FEWEST contestants, and where all are equal. The interval says how far τ depends on who was in
    the field; that another seed would have moved the losses is in it only as far as the field shows it.
    """
    import numpy as np
    from scipy.stats import bootstrap, kendalltau

    if len(first) < FEWEST or len(set(first)) == 1 or len(set(second)) == 1:
        return None

    def tau(one: Sequence[float], other: Sequence[float]) -> float:
        found = float(kendalltau(one, other).statistic)
        return 0.0 if math.isnan(found) else found  # one contestant drawn each time has no order: chance

    resampled = bootstrap(
        (np.asarray(first), np.asarray(second)),
        tau,
        paired=True,
        vectorized=False,
        n_resamples=resamples,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).bootstrap_distribution
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Agreement(tau(first, second), float(low), float(high), len(first))


def pair_groups(first: Sequence[float], second: Sequence[float], groups: int = GROUPS) -> list[PairGroup]:
    """All pairs in groups of about equal size, by how far they are apart in the first league, the nearest first.

    A pair that is equal in the second league has not kept its order; one that is equal in the first is left out.
    """
    pairs = sorted(
        (abs(first[i] - first[j]), (first[i] - first[j]) * (second[i] - second[j]) > 0)
        for i, j in combinations(range(len(first)), 2)
        if first[i] != first[j] and math.isfinite(first[i] - first[j])
    )
    borders = [round(len(pairs) * number / groups) for number in range(groups + 1)]
    return [
        PairGroup(pairs[begin][0], pairs[end - 1][0], end - begin, sum(kept for _, kept in pairs[begin:end]))
        for begin, end in pairwise(borders)
        if end > begin
    ]
