"""Monte Carlo simulation of successive halving: how often a plan of survivors and seeds finds the true best.

In: survivors and seeds of each round, the spread of the contestants' true losses, the seed noise. Out: the probability
that the true best wins, the expected regret, and the steps that the plan trains. All leagues are played at once, as
arrays; no torch, no Ray. A test plays some of them through the Bracket and finds the same winners.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tournament.budget import run_steps

Array = npt.NDArray[np.float64]

LEAGUES = 10_000  # a share of one half is then known to half a point (standard error)
PERSISTENCE = 0.5  # correlation of one run's seed noise in two rounds, where it was not measured: the harder case


@dataclass(frozen=True)
class Plan:
    """Survivors and seeds of each round."""

    keep: tuple[int, ...]  # contestants that survive each round; the last round keeps the winner
    seeds: tuple[int, ...]  # of each contestant in each round; further ones are trained from step 0

    def entering(self, contestants: int) -> list[int]:
        """Contestants that play each round."""
        counts = [contestants]
        for keep in self.keep[:-1]:
            counts.append(min(keep, counts[-1]))
        return counts

    def training_steps(self, steps: Sequence[int], contestants: int) -> int:
        """Optimizer steps of all runs together. steps: length of each round."""
        return round(sum(run_steps(steps, self.entering(contestants), self.seeds)))


@dataclass(frozen=True)
class Field:
    """What a league is played with. Losses in any one unit, such as nats or the seed noise itself."""

    spread: float  # standard deviation of the true losses at the league's end
    noise: tuple[float, ...]  # of each round: how far another seed moves one contestant, less what it moves all by
    drift: tuple[float, ...] = ()  # of each round: standard deviation of true losses there less those at the end
    persistence: float = PERSISTENCE  # correlation of one run's noise in two rounds


@dataclass(frozen=True)
class Odds:
    """How a plan does. regret: expected true loss of the winner less that of the best."""

    chance: float
    regret: float


def winners(losses: Sequence[Array], keep: Sequence[int]) -> npt.NDArray[np.intp]:
    """Index of the winner of each league (L,). losses: of each round (L, N contestants); lower is better."""
    alive = np.ones(losses[0].shape, dtype=bool)
    for scores, count in zip(losses, keep, strict=True):
        seen = np.where(alive, scores, np.inf)
        if count < seen.shape[1]:
            alive &= seen <= np.partition(seen, count - 1, axis=1)[:, count - 1 : count]
    return np.where(alive, losses[-1], np.inf).argmin(axis=1)


class Leagues:
    """Many leagues at once: L of them, N contestants. Every plan is played with the same luck, so plans compare."""

    def __init__(
        self, contestants: int, rounds: int, seeds: Collection[int], leagues: int = LEAGUES, seed: int = 0
    ) -> None:
        """seeds: numbers of them in any plan. seed: of the random numbers."""
        rng = np.random.default_rng(seed)
        shape = (leagues, contestants)
        self._truth = rng.standard_normal(shape)
        self._drift = rng.standard_normal((rounds, *shape))
        counts = sorted(set(seeds))
        self._place = {count: place for place, count in enumerate(counts)}
        self._lasting = _running_means(rng, counts, shape)
        self._passing = [_running_means(rng, counts, shape) for _ in range(rounds)]

    def losses(self, plan: Plan, field: Field) -> list[Array]:
        """Mean loss over seeds (L, N) of every contestant in every round, as if none were cut."""
        drift = field.drift or (0.0,) * len(plan.seeds)
        losses = []
        for index, (seeds, noise, off) in enumerate(zip(plan.seeds, field.noise, drift, strict=True)):
            place = self._place[seeds]
            lasting, passing = self._lasting[place], self._passing[index][place]
            seen = field.persistence**0.5 * lasting + (1 - field.persistence) ** 0.5 * passing
            losses.append(field.spread * self._truth + noise * seen + off * self._drift[index])
        return losses

    def odds(self, plan: Plan, field: Field) -> Odds:
        """How often the plan finds the best, and how far from it the winner is."""
        winner = winners(self.losses(plan, field), plan.keep)
        truth = field.spread * self._truth
        best, won = truth.min(axis=1), np.take_along_axis(truth, winner[:, None], axis=1)[:, 0]
        return Odds(float((won == best).mean()), float((won - best).mean()))


def _running_means(rng: np.random.Generator, counts: Sequence[int], shape: tuple[int, ...]) -> Array:
    """Means of the first of these numbers of standard normal draws, of the next, …: (len(counts), *shape)."""
    further = np.diff(counts, prepend=0).reshape(-1, *(1 for _ in shape))  # the sum of n draws spreads by √n
    sums = np.cumsum(rng.standard_normal((len(counts), *shape)) * np.sqrt(further), axis=0)
    return sums / np.reshape(counts, further.shape)
