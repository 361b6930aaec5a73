"""Forecast (learning-curve extrapolation) of held-out losses at a horizon: a power law with an offset, and an interval.

    L_i(t) = C_i · s(t)^κ_i,   s(t) = e + (1 − e) · (t / T)^(−α) for t > T        t tokens, T the longest run's

With κ = 1 it is E + A · t^(−α) (Kaplan et al. 2020; Hoffmann et al. 2022). The curves of one league are too short and
too noisy for three parameters each: the course s is common to all contestants. Up to T it is what those did that came
so far, the mean of their log losses; beyond, the law, fitted by robust least squares to the last three quarters of the
longest curves. How fast a contestant follows it (κ) is its own, shrunk towards 1. A forecast starts from the loss that
was ranked.

The interval is drawn (seeded) from three sources: the looks (residuals of the fit, resampled), seeds (resampled), and
the misfit of the law. Misfit grows with the number of doublings ahead; one part of it moves all contestants, the other
one alone. Both are measured in the league itself: the law is fitted to the first half of the curves and asked for
their end. They start from what was measured on curves of other leagues, so that few measurements do not rule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

INTERVAL = 0.90
WINDOW = 0.25  # looks before this share of a curve's tokens are not fitted
FEWEST_LOOKS = 4  # in the window of a curve, to be fitted
DRAWS = 2000
SAME_LENGTH = 0.9  # of the longest curve: a run that came so far counts as one that came to its end
OWN_PACE_SD = 0.05  # prior: how far κ of contestants lies from 1
LOOK_SD = 0.02  # prior of a look's relative error
OUTLIER = 0.01  # log residual at which the fit of the law turns from squares to absolute values
# prior of the misfit a doubling, relative to the loss: value, and what it weighs in measurements
COMMON_MISFIT, COMMON_WEIGHT = 0.04, 8
OWN_MISFIT, OWN_WEIGHT = 0.02, 4


@dataclass(frozen=True)
class Curve:
    """Held-out losses of one run, nats per token, at rising numbers of tokens above 0; the last is what is ranked."""

    tokens: tuple[float, ...]
    losses: tuple[float, ...]

    def until(self, tokens: float) -> Curve:
        """Its looks up to so many tokens."""
        count = sum(at <= tokens for at in self.tokens)
        return Curve(self.tokens[:count], self.losses[:count])


Curves = Mapping[str, Sequence[Curve]]  # contestant -> one curve a seed


@dataclass(frozen=True)
class Forecast:
    """Loss at a horizon and the ends of its 90 % interval, nats per token."""

    loss: float
    low: float
    high: float


@dataclass(frozen=True)
class Shape:
    """The law s(t): 1 at `end` tokens, falling to `offset` of that."""

    offset: float
    exponent: float
    end: float

    def log(self, tokens: Any) -> Any:
        """Logarithm of s at tokens (any shape)."""
        return np.log(self.offset + (1 - self.offset) * (np.asarray(tokens) / self.end) ** -self.exponent)


class Course:
    """What all contestants have in common: as observed up to the end of the longest curves, by the law beyond."""

    def __init__(self, curves: Sequence[Curve]) -> None:
        self.end = max(curve.tokens[-1] for curve in curves)
        longest = [curve for curve in curves if curve.tokens[-1] > SAME_LENGTH * self.end]
        self.shape = fit_shape(longest)
        self._logs = np.log(longest[0].tokens)
        values = [0.0]
        for before, after in pairwise(self._logs[::-1]):
            steps = [_log_loss_at(c, after) - _log_loss_at(c, before) for c in curves if np.log(c.tokens[-1]) >= before]
            values.append(values[-1] + float(np.mean(steps)))
        self._values = np.array(values[::-1])

    def log(self, tokens: Any) -> Any:
        """Logarithm of s at tokens (any shape); before the first look as there."""
        at = np.asarray(tokens, float)
        return np.where(at <= self.end, np.interp(np.log(at), self._logs, self._values), self.shape.log(at))


def _log_loss_at(curve: Curve, log_tokens: float) -> float:
    """Log loss of a curve on the straight line, over log tokens, between the looks beside."""
    return float(np.interp(log_tokens, np.log(curve.tokens), np.log(curve.losses)))


@dataclass(frozen=True)
class Misfit:
    """Standard deviation of what the law misses a doubling ahead, relative to the loss."""

    common: float = COMMON_MISFIT
    own: float = OWN_MISFIT


class Forecasts:
    """Forecasts of one league's contestants, all from the same draws, so that two can be compared."""

    def __init__(self, curves: Curves, *, misfit: Misfit | None = None, seed: int = 0) -> None:
        """misfit: None to measure it on the curves. Contestants without a curve of four looks are left out.

        A single contestant is forecast too, from its own curve alone.
        """
        self._runs = {name: fitted for name, of_seeds in curves.items() if (fitted := _usable(of_seeds))}
        self._seed = seed
        self.course = Course([curve for runs in self._runs.values() for curve in runs]) if self._runs else None
        self.misfit = misfit or measure_misfit(self._runs)

    @property
    def names(self) -> list[str]:
        """Contestants that can be forecast."""
        return list(self._runs)

    def at(self, name: str, tokens: float) -> Forecast:
        """Forecast of a contestant at a horizon. Raises KeyError for one that is left out."""
        draws = self._draws(name, tokens)
        tail = (1 - INTERVAL) / 2
        low, high = np.quantile(draws, [tail, 1 - tail])
        return Forecast(math.exp(self._log_loss(name, tokens)), float(low), float(high))

    def probability_below(self, name: str, tokens: float, other: str, other_tokens: float) -> float:
        """Probability that a contestant's loss at a horizon is below another's at its own."""
        return float(np.mean(self._draws(name, tokens) < self._draws(other, other_tokens)))

    def _log_loss(self, name: str, tokens: float) -> float:
        return float(np.mean([self._forecast(curve, tokens) for curve in self._runs[name]]))

    def _forecast(self, curve: Curve, tokens: float) -> float:
        assert self.course is not None
        ahead = float(self.course.log(max(tokens, curve.tokens[-1])) - self.course.log(curve.tokens[-1]))
        return math.log(curve.losses[-1]) + _pace(curve, self.course).value * ahead

    def _draws(self, name: str, tokens: float) -> Array:
        """Losses that a contestant could have at a horizon, (DRAWS,)."""
        assert self.course is not None
        runs, rng = self._runs[name], np.random.default_rng([self._seed, list(self._runs).index(name)])
        drawn = np.empty((len(runs), DRAWS))
        for place, curve in enumerate(runs):
            pace, last = _pace(curve, self.course), curve.tokens[-1]
            ahead = float(self.course.log(max(tokens, last)) - self.course.log(last))
            drawn[place] = math.log(curve.losses[-1]) + ahead * pace.resampled(rng)
        chosen = rng.integers(len(runs), size=(len(runs), DRAWS))
        mean = drawn.mean(axis=0)
        # a sample of n spreads (n − 1) / n of the variance
        spread = math.sqrt(len(runs) / (len(runs) - 1)) if len(runs) > 1 else 0.0
        resampled = np.take_along_axis(drawn, chosen, axis=0).mean(axis=0)
        # what all have in common is known as far as the longest has come
        last = runs[0].tokens[-1]
        common_doublings, own_doublings = (
            max(0.0, math.log2(tokens / at)) for at in (max(last, self.course.end), last)
        )
        common = (
            common_doublings * self.misfit.common * np.random.default_rng([self._seed, 2**31]).standard_normal(DRAWS)
        )
        own = own_doublings * self.misfit.own * rng.standard_normal(DRAWS)
        return np.exp(mean + spread * (resampled - mean) + common + own)


def fit_shape(curves: Sequence[Curve]) -> Shape:
    """The course that all curves have in common, each at a level of its own; soft L1 loss of log residuals."""
    from scipy.optimize import least_squares

    end = max(curve.tokens[-1] for curve in curves)
    windows = [_window(curve) for curve in curves]
    tokens, logs = np.concatenate([at for at, _ in windows]), np.log(np.concatenate([losses for _, losses in windows]))
    counts = np.array([len(at) for at, _ in windows])
    firsts = np.cumsum(counts) - counts  # of each curve's looks

    def residuals(parameters: Array) -> Array:
        rest = logs - Shape(float(parameters[0]), float(parameters[1]), end).log(tokens)
        return rest - np.repeat(np.add.reduceat(rest, firsts) / counts, counts)

    starts = [least_squares(residuals, start, bounds=BOUNDS, loss="soft_l1", f_scale=OUTLIER) for start in STARTS]
    best = min(starts, key=lambda result: float(result.cost))
    return Shape(float(best.x[0]), float(best.x[1]), end)


BOUNDS = ([0.0, 0.05], [0.95, 2.0])  # offset, exponent
STARTS = ([0.1, 0.3], [0.6, 0.6])


@dataclass(frozen=True)
class Pace:
    """How fast a run follows the common course: the shrunk slope of its log losses over log s."""

    value: float
    course: Array  # log s of its looks, less their mean
    residuals: Array  # of log losses, in which the degrees of freedom are made good
    weight: float  # of its own slope beside 1

    def resampled(self, rng: np.random.Generator) -> Array:
        """Slopes as other looks would have had them, (DRAWS,)."""
        looks = rng.choice(self.residuals, size=(DRAWS, len(self.residuals)))
        return self.value + self.weight * (looks @ self.course) / (self.course @ self.course)


def _pace(curve: Curve, course: Course) -> Pace:
    tokens, losses = _window(curve)
    log, steps = np.log(losses), course.log(tokens)
    steps = steps - steps.mean()
    slope = float(steps @ (log - log.mean()) / (steps @ steps))
    residuals = log - log.mean() - slope * steps
    df = len(tokens) - 2
    variance = (OWN_WEIGHT * LOOK_SD**2 + float(residuals @ residuals)) / (OWN_WEIGHT + df)
    error = variance / float(steps @ steps)
    weight = OWN_PACE_SD**2 / (OWN_PACE_SD**2 + error)
    scale = math.sqrt(variance * len(residuals) / max(float(residuals @ residuals), 1e-18))
    return Pace(1 + weight * (slope - 1), steps, residuals * scale, weight)


def measure_misfit(curves: Curves) -> Misfit:
    """What the law, fitted to the first half of each curve's tokens, misses at their end, beside the prior's."""
    halves = {name: [curve.until(curve.tokens[-1] / 2) for curve in runs] for name, runs in curves.items()}
    halves = {name: usable for name, runs in halves.items() if (usable := _usable(runs))}
    misses = []
    if halves:
        early = Forecasts(halves, misfit=Misfit())
        for name in early.names:
            ends = [math.log(curve.losses[-1]) for curve in curves[name]]
            last = curves[name][0].tokens[-1]
            doublings = math.log2(last / halves[name][0].tokens[-1])
            misses.append((float(np.mean(ends)) - math.log(early.at(name, last).loss)) / doublings)
    if not misses:
        return Misfit()
    common, own = float(np.mean(misses)), float(np.sum((np.array(misses) - np.mean(misses)) ** 2))
    return Misfit(
        math.sqrt((COMMON_WEIGHT * COMMON_MISFIT**2 + common**2) / (COMMON_WEIGHT + 1)),
        math.sqrt((OWN_WEIGHT * OWN_MISFIT**2 + own) / (OWN_WEIGHT + len(misses) - 1)),
    )


def _usable(of_seeds: Sequence[Curve]) -> list[Curve]:
    """The curves that reach as far as the longest and have looks enough."""
    longest = max((curve.tokens[-1] for curve in of_seeds if curve.tokens), default=0.0)
    whole = [curve for curve in of_seeds if curve.tokens and curve.tokens[-1] > SAME_LENGTH * longest]
    return [curve for curve in whole if len(_window(curve)[0]) >= FEWEST_LOOKS]


def _window(curve: Curve) -> tuple[Array, Array]:
    """Tokens and losses of the looks that are fitted."""
    count = sum(at >= WINDOW * curve.tokens[-1] for at in curve.tokens)
    return np.array(curve.tokens[-count:]), np.array(curve.losses[-count:])
