"""Which learning rate suits a contestant? The rule of the probe before round 1, on plain numbers.

One rate for widths of 384 to 1,024 would decide the league by itself. Each contestant tries the league's rate
times 1/3, 1 and 3 for a short while; while the best lies at the edge it tries one further, at most twice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

ROUND = -1  # the round before the first
FIRST = (0, -1, 1)  # powers of STEP times the league's rate
STEP = 3.0
MOVES = 2


def next_power(losses: Mapping[int, float | None]) -> int | None:
    """The power to try next, given the losses so far (None: diverged); None when the best is found."""
    for power in FIRST:
        if power not in losses:
            return power
    best, low, high = best_power(losses), min(losses), max(losses)
    if best is None or len(losses) - len(FIRST) >= MOVES:
        return None
    return low - 1 if best == low else high + 1 if best == high else None


def best_power(losses: Mapping[int, float | None]) -> int | None:
    """The power of the lowest loss, the lower rate where two are equal; None when all diverged."""
    finite = {power: loss for power, loss in losses.items() if loss is not None and math.isfinite(loss)}
    return min(finite, key=lambda power: (finite[power], power)) if finite else None
