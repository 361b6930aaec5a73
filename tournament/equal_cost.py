"""Comparison at equal cost: held-out loss at the most FLOPs, and the most seconds, that all contestants have spent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tournament.bracket import Bracket

FLOPS, SECONDS, LOSS = 1, 2, 3  # places in a point of Training.result()'s grid


def at_equal_cost(bracket: Bracket, index: int, *, is_exclusive: bool) -> dict[str, Any]:
    """Of each contestant of a round: loss and rank at the largest cost all have reached, None where unknown.

    From the grid of held-out losses, on fewer rows than the ranking. Seconds are those of training alone; they
    compare only when every run had a slot of its own (`is_exclusive`).
    """
    curves = {name: curve for name in bracket.ranking(index) if (curve := _curve(bracket, index, name))}
    costs: dict[str, Any] = {
        "flops": None,
        "seconds": None,
        "of": {name: {} for name in curves},
        "nothing": {f"{what}_at_equal_{cost}": None for cost in ("flops", "seconds") for what in ("loss", "rank")},
    }
    for cost, place in (("flops", FLOPS), ("seconds", SECONDS)):
        if not curves or (cost == "seconds" and not is_exclusive):
            costs["of"] = {name: costs["nothing"] | costs["of"][name] for name in curves}
            continue
        common = costs[cost] = min(curve[-1][place] for curve in curves.values())
        losses = {name: loss_at(curve, place, common) for name, curve in curves.items()}
        for rank, name in enumerate(sorted(losses, key=lambda n: (losses[n], n)), start=1):
            costs["of"][name] |= {f"loss_at_equal_{cost}": losses[name], f"rank_at_equal_{cost}": rank}
    return costs


def loss_at(curve: Sequence[Sequence[float]], place: int, cost: float) -> float:
    """Loss at a cost, on the straight line between the points of the grid beside it."""
    before = curve[0]
    for point in curve:
        if point[place] >= cost:
            width = point[place] - before[place]
            part = (cost - before[place]) / width if width else 1.0
            return float(before[LOSS] + part * (point[LOSS] - before[LOSS]))
        before = point
    return float(curve[-1][LOSS])


def _curve(bracket: Bracket, index: int, name: str) -> list[list[float]]:
    """The grid of a contestant's first good seed over all rounds so far; empty when it failed."""
    outcomes = bracket.rounds[index].outcomes
    good = [run for run in bracket.competing(index, name) if (o := outcomes.get(run)) and o.heldout_loss is not None]
    if not good or not bracket.losses(index, name):
        return []
    points: list[list[float]] = []
    for round_ in bracket.rounds[: index + 1]:
        outcome = round_.outcomes.get(good[0])
        if outcome and outcome.heldout_loss is not None:
            points += outcome.facts.get("grid", [])
    return points
