"""Evidence of a curve: slopes and rises of autocorrelated losses, with errors that are right, and looks combined.

Neighbouring held-out losses are alike (lag-1 autocorrelation r), so n of them are worth n (1 - r) / (1 + r) independent
ones. The r of residuals is too low, the more so the fewer they are; r* = (r + 2/n) / (1 - 4/n) mends that for a
straight line. With Student's t on as many degrees of freedom as there are independent values, a look errs as often as
it says: `tests/benchmarks/plateau_power.py looks` shows it for every r.

Data in: losses. Data out: estimates, and probabilities of being wrong. Pure arithmetic, no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

MAX_AUTOCORRELATION = 0.99  # n values are worth n / 199 there
MIN_FREEDOM = 1.0  # of Student's t, which then has the heaviest tails: so little do values tell that are all alike
MAX_Z = 8.0  # standard errors; more is said by no look, and keeps sums finite


@dataclass(frozen=True)
class Estimate:
    """A value known with an error."""

    value: float
    error: float  # its standard error
    freedom: float = math.inf  # degrees of freedom of that error

    def doubt_below(self, limit: float) -> float:
        """Probability of being wrong in saying that the true value lies below `limit`."""
        if self.error == 0:
            return float(self.value >= limit)
        from scipy.special import stdtr

        return float(stdtr(min(self.freedom, 1e9), (self.value - limit) / self.error))

    def doubt_above(self, limit: float) -> float:
        """Probability of being wrong in saying that the true value lies above `limit`."""
        return Estimate(-self.value, self.error, self.freedom).doubt_below(-limit)


def gain_per_window(losses: Sequence[float], per_window: int) -> Estimate:
    """Relative fall per window of a straight line through evenly spaced `losses`, `per_window` of them a window.

    Among losses that are not finite it is an endless rise.
    """
    n = len(losses)
    if not all(map(math.isfinite, losses)):
        return Estimate(-math.inf, 0.0)
    mean, slope, residuals = _line(losses)
    squares = sum(e * e for e in residuals)
    independent = n / _inflation(_autocorrelation(residuals), n)
    variance = squares / (n - 2) / (n * (n * n - 1) / 12) * n / independent
    return Estimate(
        -slope * per_window / mean, math.sqrt(variance) * per_window / mean, max(independent - 2, MIN_FREEDOM)
    )


def rise_of_last_window(losses: Sequence[float], per_window: int) -> tuple[Estimate, int]:
    """How far the mean of the last window lies above that of an earlier one, relative; and how many windows earlier.

    Of the earlier windows that end one, two ... windows before the last, the lowest. Each window's scatter is taken
    around its own straight line.
    """
    last = losses[-per_window:]
    count = len(losses) // per_window
    earlier = [losses[-(k + 1) * per_window : len(losses) - k * per_window] for k in range(1, count)]
    back, lowest = min(enumerate(earlier, start=1), key=lambda item: sum(item[1]))
    (high, _, after), (low, _, before) = _line(last), _line(lowest)
    squares, n = sum(e * e for e in (*after, *before)), 2 * per_window
    r = _autocorrelation(after, before)
    inflation = _inflation(r, n)
    error = math.sqrt(squares / (n - 4) * 2 / max(per_window / inflation, 1.0)) / low
    return Estimate(high / low - 1, error, max(n / inflation - 4, MIN_FREEDOM)), back


def deviate(doubt: float) -> float:
    """The z of a probability of being wrong: negative where it is below a half."""
    from scipy.special import ndtri

    return min(max(float(ndtri(doubt)), -MAX_Z), MAX_Z)


def deviate_of_power(doubt: float, power: int) -> float:
    """The z of `doubt` ** `power`, however small that is."""
    from scipy.special import ndtri_exp

    return float(ndtri_exp(power * math.log(doubt)))


def combined(deviates: Sequence[float]) -> float:
    """One deviate of all looks together (Stouffer). Slopes of windows that overlap by two thirds are almost
    uncorrelated, and those further apart anticorrelated, so that counting them as independent is cautious.
    """
    return sum(deviates) / math.sqrt(len(deviates)) if deviates else 0.0


def _line(losses: Sequence[float]) -> tuple[float, float, list[float]]:
    """Mean, slope a value, and residuals of the least-squares line."""
    n = len(losses)
    middle, mean = (n - 1) / 2, sum(losses) / n
    slope = sum((i - middle) * (y - mean) for i, y in enumerate(losses)) / (n * (n * n - 1) / 12)
    return mean, slope, [y - mean - slope * (i - middle) for i, y in enumerate(losses)]


def _autocorrelation(*groups: Sequence[float]) -> float:
    """Lag-1 autocorrelation of residuals, pooled over groups."""
    squares = sum(e * e for group in groups for e in group)
    return sum(a * b for group in groups for a, b in pairwise(group)) / squares if squares else 0.0


def _inflation(r: float, n: int) -> float:
    """Values of an AR(1) process that are worth one independent one; r: as estimated from n residuals."""
    corrected = (r + 2 / n) / (1 - 4 / n) if n > 4 else MAX_AUTOCORRELATION
    corrected = min(max(corrected, 0.0), MAX_AUTOCORRELATION)
    return (1 + corrected) / (1 - corrected)
