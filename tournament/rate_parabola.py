"""Learning rate from a few trials: minimum of a parabola in the logarithm of the rate, and what a notch off it costs.

In: power of RATE_FACTOR -> held-out loss. Out: the power of the minimum. The parabola goes through the best trial and
its two neighbours, as in a step of Brent's method (1973): far from the minimum a loss is no parabola in log rate. So
the rate is not tied to the grid, and one model that is entered with other rates to start from comes to the same one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tournament.learning_rate_probe import RATE_FACTOR, best_power

IN = ("advanced", "winner")  # status of who is in


@dataclass(frozen=True)
class RateMinimum:
    """Where a search found the lowest loss."""

    power: float  # of RATE_FACTOR, times the rate that the search started from
    loss: float  # nats per token, of the parabola
    notch_cost: float | None  # nats per token one notch beside it; None where it is not between two trials


def rate_minimum(losses: Mapping[int, float | None]) -> RateMinimum | None:
    """The minimum of a search (None: that trial diverged); None when all diverged.

    The best trial itself where a neighbour of it was not tried or diverged: no parabola reaches beyond what was tried.
    """
    best = best_power(losses)
    if best is None:
        return None
    middle = losses[best]
    below, above = losses.get(best - 1), losses.get(best + 1)
    assert middle is not None
    if below is None or above is None or not math.isfinite(below + above):
        return RateMinimum(float(best), middle, None)
    curvature = (below - 2 * middle + above) / 2  # nats a notch²; above 0, since of equals the lowest rate is the best
    shift = (below - above) / (4 * curvature)  # at most half a notch, since neither neighbour is better
    return RateMinimum(best + shift, middle - curvature * shift**2, curvature)


def is_rate_fragile(gap: float, notch_cost: float | None) -> bool:
    """Whether a cut could be the rate's doing: one notch off would cost who is in more than its lead over who is out.

    gap: loss of who is out less that of who is in. notch_cost: of who is in; None, not bracketed, is always fragile.
    """
    return notch_cost is None or notch_cost > gap


def mark_fragile_cuts(rows: Sequence[dict[str, Any]], searches: Mapping[str, Mapping[str, Any]]) -> None:
    """Add "rate_fragile" to the rows of a round's standings that are out, where both rates were searched.

    rows: with contestant, status, and difference to the last that is in. searches: of each contestant, its notch_cost.
    A search of who is out that found no minimum between two trials makes its cut fragile, too.
    """
    last = next((row["contestant"] for row in rows if row["status"] in IN and row["difference"] == 0), None)
    for row in rows:
        name = row["contestant"]
        if row["status"] == "eliminated" and row["difference"] is not None and {name, last} <= searches.keys():
            costs = [searches[each].get("notch_cost") for each in (last, name) if each is not None]
            row["rate_fragile"] = None in costs or is_rate_fragile(row["difference"], costs[0])


def fragile_line(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """The line below a round's table that names the cuts that a notch of the rate could change; None without any."""
    names = [row["contestant"] for row in rows if row.get("rate_fragile")]
    if not names:
        return None
    return (
        f"rate-fragile: {', '.join(names)}: a learning rate one notch (a factor of {RATE_FACTOR:g}) off would cost who "
        "is last in more than its lead, or was not searched to its end"
    )
