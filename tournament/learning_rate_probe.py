"""Learning-rate search (probe) before round 1: which rates a contestant tries, and the best, on plain numbers.

One rate for widths of 384 to 1,024 would decide the league by itself. Each contestant tries the league's rate
times 1/3, 1 and 3 for a short while; while the best lies at the edge it tries one further, at most twice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

PROBE_ROUND = -1  # the round before the first
RATE_FACTOR = 3.0
FIRST_POWERS = (0, -1, 1)  # of RATE_FACTOR, times the league's rate
MAX_MOVES = 2


def next_power(losses: Mapping[int, float | None]) -> int | None:
    """The power to try next, given the losses so far (None: diverged); None when the search is over."""
    for power in FIRST_POWERS:
        if power not in losses:
            return power
    best, low, high = best_power(losses), min(losses), max(losses)
    if best is None or len(losses) - len(FIRST_POWERS) >= MAX_MOVES:
        return None
    return low - 1 if best == low else high + 1 if best == high else None


def best_power(losses: Mapping[int, float | None]) -> int | None:
    """The power of the lowest loss, the lower rate where two are equal; None when all diverged."""
    finite = {power: loss for power, loss in losses.items() if loss is not None and math.isfinite(loss)}
    return min(finite, key=lambda power: (finite[power], power)) if finite else None
