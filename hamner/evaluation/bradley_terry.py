"""Bradley–Terry strengths (pairwise comparison, Elo): who is preferred in a blind arena, by how much, and how surely.

Plain numbers in and out. With ties (Davidson 1970), of friends i and j with strengths θ, in log odds, d = θᵢ − θⱼ:

    P(i wins) : P(j wins) : P(tie)  =  exp(d/2) : exp(−d/2) : exp(τ)

τ is one number for the arena; without a tie it is left out, which is the model of Bradley & Terry (1952). The fit is
Firth's (1993): the likelihood times the root of its information's determinant, which keeps a friend finite that has won
every vote. Errors are of that information. Pairs are compared at 5 % for all of them together (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Outcome = Literal["first", "second", "tie"]
Array = npt.NDArray[np.float64]
LEVEL = 0.05  # share of arenas of equal friends in which some pair is said to have parted, looked at once
POWER = 0.8  # share of arenas in which the number of votes that is asked for settles a difference that is there
MOST_MORE = 5000  # votes; a difference that needs more is not worth asking for
_NORMAL = NormalDist()


class Duel(NamedTuple):
    """One vote: two friends by number, in the order in which they were shown."""

    first: int
    second: int
    outcome: Outcome


@dataclass(frozen=True)
class Pair:
    """Two friends, the likelier one first."""

    better: int
    worse: int
    gap: float  # of their strengths, 0 or more
    error: float  # standard error of the gap
    share: float  # of votes that the better one is expected to win, half of a tie counted for each
    low: float  # 95 % interval of the share, for all pairs together
    high: float
    is_settled: bool
    more_votes: int | None  # to settle it, 0 where it is settled; None: more than MOST_MORE


@dataclass(frozen=True)
class Arena:
    """What the votes say."""

    strengths: Array  # (k,) log odds against the mean of all friends, which is 0
    errors: Array  # (k,) standard errors of the strengths
    pairs: tuple[Pair, ...]  # the surest first
    votes: int
    tie: float  # exp(τ): of two equal friends, ties a vote that one of them wins; 0: there was none

    def interval(self, friend: int) -> tuple[float, float]:
        """The 95 % interval of a friend's strength."""
        width = _NORMAL.inv_cdf(0.975) * float(self.errors[friend])
        return float(self.strengths[friend]) - width, float(self.strengths[friend]) + width


def fit(duels: Sequence[Duel], friends: int) -> Arena:
    """Strengths of friends 0 to friends − 1. Raises ValueError where the votes do not link all of them."""
    if separate := unlinked(duels, friends):
        raise ValueError(f"no vote links friend {separate[0]} with friend {separate[1]}")
    design, counts, totals, has_ties = _table(duels, friends)

    def penalised(values: Array) -> float:
        """Minus Firth's log-likelihood."""
        probabilities = _softmax(design @ values)
        sign, logarithm = np.linalg.slogdet(_information(design, probabilities, totals))
        return math.inf if sign <= 0 else -float((counts * np.log(probabilities)).sum()) - 0.5 * float(logarithm)

    from scipy.optimize import minimize

    values = minimize(penalised, np.zeros(design.shape[2]), method="BFGS", options={"gtol": 1e-4}).x
    inverse = np.linalg.inv(_information(design, _softmax(design @ values), totals))
    theta = np.concatenate([[0.0], values[: friends - 1]])
    covariance = np.zeros((friends, friends))
    covariance[1:, 1:] = inverse[: friends - 1, : friends - 1]
    centre = np.eye(friends) - 1 / friends
    tie = math.exp(values[-1]) if has_ties else 0.0
    return Arena(
        centre @ theta,
        np.sqrt(np.diag(centre @ covariance @ centre)),
        _pairs(theta, covariance, tie, len(duels)),
        len(duels),
        tie,
    )


def unlinked(duels: Sequence[Duel], friends: int) -> tuple[int, int] | None:
    """Two friends that no chain of votes links; None where all are linked."""
    group = list(range(friends))
    for first, second, _ in duels:
        group = [group[first] if each == group[second] else each for each in group]
    return next(((0, friend) for friend in range(friends) if group[friend] != group[0]), None)


def votes_to_settle(gap: float, tie: float = 0.0, *, pairs: int = 1) -> float:
    """Votes on a pair that settle a gap of strengths four times in five (POWER), looked at once.

    n = (z of LEVEL + z of POWER)² / (gap² · information of a vote): 52 votes for 70 : 30, 199 for 60 : 40, no ties.
    """
    win, lose, _ = shares(gap, tie)
    information = (win + lose - (win - lose) ** 2) / 4
    return _target(pairs) ** 2 / (gap**2 * information)


def shares(gap: float, tie: float) -> tuple[float, float, float]:
    """Probabilities that the first of two friends wins, that the second does, and of a tie."""
    weights = math.exp(gap / 2), math.exp(-gap / 2), tie
    win, lose, draw = (weight / sum(weights) for weight in weights)
    return win, lose, draw


def side_preference(duels: Sequence[Duel]) -> tuple[int, int, float]:
    """Votes for the friend shown first, for the one shown second, and how likely so uneven a count is by chance (p).

    Two-sided binomial test; ties are left out, and without another vote p is 1.
    """
    from scipy.stats import binomtest

    first, second = (sum(duel.outcome == side for duel in duels) for side in ("first", "second"))
    return first, second, float(binomtest(first, first + second).pvalue) if first + second else 1.0


def _table(duels: Sequence[Duel], friends: int) -> tuple[Array, Array, Array, bool]:
    """Of every pair that met (P): design (P, 3, parameters), counts (P, 3) of wins, losses, ties, and totals (P,).

    The parameters are the strengths of friends 1 and up, friend 0 being at 0, and τ where there are ties.
    """
    met: dict[tuple[int, int], list[int]] = {}
    for first, second, outcome in duels:
        row = met.setdefault((min(first, second), max(first, second)), [0, 0, 0])
        place = 2 if outcome == "tie" else int((outcome == "first") != (first < second))
        row[place] += 1
    counts = np.array(list(met.values()), dtype=np.float64)
    has_ties = bool(counts[:, 2].any())
    design = np.zeros((len(met), 3, friends))  # friend 0 first, taken away below; τ in its place
    for row_number, (one, other) in enumerate(met):
        design[row_number, :2, one] = 0.5, -0.5
        design[row_number, :2, other] = -0.5, 0.5
    tie = np.zeros((len(met), 3, 1))
    tie[:, 2] = 1.0
    design = np.concatenate([design[:, :, 1:], tie], axis=2)
    if not has_ties:
        design, counts = design[:, :2, :-1], counts[:, :2]
    return design, counts, counts.sum(axis=1), has_ties


def _softmax(logits: Array) -> Array:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Array = weights / weights.sum(axis=1, keepdims=True)
    return np.maximum(result, 1e-300)


def _information(design: Array, probabilities: Array, totals: Array) -> Array:
    """Fisher's information (parameters, parameters) of multinomial logits."""
    mean = np.einsum("pc,pck->pk", probabilities, design)
    square = np.einsum("p,pc,pck,pcl->kl", totals, probabilities, design, design)
    result: Array = square - np.einsum("p,pk,pl->kl", totals, mean, mean)
    return result


def _pairs(theta: Array, covariance: Array, tie: float, votes: int) -> tuple[Pair, ...]:
    count = len(theta) * (len(theta) - 1) // 2
    z = _NORMAL.inv_cdf(1 - LEVEL / (2 * count))
    pairs = []
    for one, other in combinations(range(len(theta)), 2):
        better, worse = (one, other) if theta[one] >= theta[other] else (other, one)
        gap = float(theta[better] - theta[worse])
        error = math.sqrt(covariance[one, one] + covariance[other, other] - 2 * covariance[one, other])
        share, low, high = (_won(value, tie) for value in (gap, gap - z * error, gap + z * error))
        is_settled = gap > z * error
        more = 0.0 if is_settled else votes * ((_target(count) * error / gap) ** 2 - 1) if gap else math.inf
        known = math.ceil(more) if more <= MOST_MORE else None
        pairs.append(Pair(better, worse, gap, error, share, low, high, is_settled, known))
    return tuple(sorted(pairs, key=lambda pair: -pair.gap / pair.error))


def _won(gap: float, tie: float) -> float:
    """Share of votes that the first of two friends wins, half of the ties included."""
    win, _, draw = shares(gap, tie)
    return win + draw / 2


def _target(pairs: int) -> float:
    """Standard errors that a gap should be away from 0: 2.80 for one pair."""
    return _NORMAL.inv_cdf(1 - LEVEL / (2 * pairs)) + _NORMAL.inv_cdf(POWER)
