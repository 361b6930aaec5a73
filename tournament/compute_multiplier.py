"""Compute multiplier: what the reference contestant needs for the same held-out loss, divided by the contestant's own.

    multiplier = cost at which the reference's learning curve reaches the contestant's loss / cost the contestant spent

2 says that the reference needs twice as much for that loss, 0.5 that it needs half: a contestant that makes nothing of
every second batch has 0.5. Cost is training FLOPs, or seconds of training where each run has a slot of its own. One
number for models of all sizes, as in FLOPs-to-a-loss comparisons. Plain numbers in and out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

INTERVAL = 0.95
REACH = 2.0  # times the reference's own largest cost, beyond which its curve says nothing
LAST_WEIGHT = 100.0  # of the last look, which is ranked: on more held-out rows than those before
TAIL = 0.5  # the last half of a curve's costs gives the slope beyond its end

Curve = Sequence[tuple[float, float]]  # (cost > 0, held-out loss in nats per token) in the order of training


@dataclass(frozen=True)
class ComputeMultiplier:
    """The multiplier and its interval. None: beyond what the reference's curve tells; low, high: or not measured."""

    value: float | None
    low: float | None
    high: float | None


def compute_multiplier(
    reference: Curve, cost: float, loss: float, *, standard_error: float | None = None, df: float = 0
) -> ComputeMultiplier:
    """The multiplier of a contestant that came to `loss` (nats per token) at `cost`, by the reference's curve.

    standard_error: of the contestant's loss less the reference's, seeds included; with its degrees of freedom it makes
    the 95 % interval, Student's t at the two ends of the loss. Raises ValueError for a curve of fewer than two looks.
    """
    needed = ReferenceCurve(reference)

    def ratio(at: float) -> float | None:
        reached = needed.cost_of(at)
        return None if reached is None else reached / cost

    if standard_error is None or df < 1:
        return ComputeMultiplier(ratio(loss), None, None)
    from scipy.stats import t  # half a second

    half = float(t.ppf((1 + INTERVAL) / 2, df)) * standard_error
    return ComputeMultiplier(ratio(loss), ratio(loss + half), ratio(loss - half))


class ReferenceCurve:
    """The cost at which a contestant reaches a loss.

    Between looks on a straight line over the logarithm of the cost, once looks that rise have been averaged away
    (isotonic regression: each loss is then reached once). Beyond the last look, up to REACH times its cost, by the
    power law of the last looks.
    """

    def __init__(self, curve: Curve) -> None:
        """Raises ValueError for fewer than two looks, or costs that do not rise from above 0."""
        import numpy as np
        from scipy.optimize import isotonic_regression

        looks = np.array(curve, float).reshape(-1, 2)
        costs, losses = looks[:, 0], looks[:, 1]
        if len(costs) < 2 or costs[0] <= 0 or np.any(np.diff(costs) <= 0):
            raise ValueError(f"a curve of {len(costs)} looks: two at rising costs above 0 are needed")
        weights = np.ones(len(costs))
        weights[-1] = LAST_WEIGHT
        smooth = isotonic_regression(losses, weights=weights, increasing=False).x
        # rising; a stretch without progress is one level, in the middle of its costs
        self._levels, place = np.unique(smooth, return_inverse=True)
        self._logs = np.bincount(place, weights * np.log(costs)) / np.bincount(place, weights)
        self._last = math.log(costs[-1])
        is_late = costs >= TAIL * costs[-1]
        is_late[-2:] = True
        self._slope = float(np.polyfit(np.log(costs[is_late]), np.log(losses[is_late]), 1)[0])

    def cost_of(self, loss: float) -> float | None:
        """None before the first look and beyond REACH times the last one's cost."""
        import numpy as np

        if not 0 < loss <= self._levels[-1]:
            return None
        if loss >= self._levels[0]:
            return math.exp(float(np.interp(loss, self._levels, self._logs)))
        if self._slope >= 0:
            return None
        log = float(self._logs[0]) + math.log(loss / float(self._levels[0])) / self._slope
        return math.exp(log) if log <= self._last + math.log(REACH) else None
