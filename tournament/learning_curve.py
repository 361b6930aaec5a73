"""Learning curve (held-out loss over tokens, FLOPs and seconds) of one run of a league, on the scale of the ranking.

In: what a run reported in each round: looks on few held-out rows, and at each round's end the loss it is ranked by, on
all rows and after the cooldown where there is one. Out: the looks times the ratio of the two, which goes in a straight
line over log tokens from one round's end to the next: so a curve says what the run would have been ranked by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from tournament.bracket import Bracket, Round, Run
from tournament.equal_cost import FLOPS, LOSS, SECONDS


class Point(NamedTuple):
    """One look at a run."""

    tokens: float
    flops: float
    seconds: float
    loss: float  # held out, nats per token


def learning_curve(bracket: Bracket, index: int, run: Run) -> list[Point]:
    """The looks of a run over the rounds up to `index`, from the first after step 0; empty when it has none."""
    return curve_of_rounds(bracket.rounds[: index + 1], run, bracket.flops[run.contestant])


def curve_of_rounds(rounds: Sequence[Round], run: Run, flops_per_token: float) -> list[Point]:
    """The looks of a run over these rounds, as learning_curve."""
    looks: list[Sequence[float]] = []
    ends: list[tuple[float, float]] = []  # FLOPs at a round's end, ranked loss over the look's
    for round_ in rounds:
        outcome = round_.outcomes.get(run)
        grid = outcome.facts.get("grid", []) if outcome and outcome.heldout_loss is not None else []
        before = looks[-1][FLOPS] if looks else 0.0  # a round begins where the one before has ended
        looks += [look for look in grid if look[FLOPS] > before]
        if outcome and outcome.heldout_loss is not None and grid:
            ends.append((grid[-1][FLOPS], outcome.heldout_loss / grid[-1][LOSS]))
    return [
        Point(look[FLOPS] / flops_per_token, look[FLOPS], look[SECONDS], look[LOSS] * _ratio(ends, look[FLOPS]))
        for look in looks
    ]


def _ratio(ends: Sequence[tuple[float, float]], flops: float) -> float:
    """The ranked loss over the look's, between the round's ends beside it; before the first that of the first."""
    after = next((place for place, end in enumerate(ends) if end[0] >= flops), len(ends) - 1)
    if after == 0 or ends[after][0] <= flops:
        return ends[after][1]
    (low, first), (high, second) = ends[after - 1], ends[after]
    return first + (second - first) * math.log(flops / low) / math.log(high / low)
