"""Minimum of a parabola in log rate: exact for parabolas, bounded by what was tried, the same from any start."""

import math
import random

import pytest

from tournament.learning_rate_probe import RATE_FACTOR, next_power
from tournament.rate_parabola import fragile_line, is_rate_fragile, mark_fragile_cuts, rate_minimum


def _search(loss):
    losses = {}
    while (power := next_power(losses)) is not None:
        losses[power] = loss(power)
    return losses


@pytest.mark.parametrize("optimum", [-2.0, -1.3, -0.5, -0.2, 0.0, 0.1, 0.5, 0.8, 1.4, 2.0])
@pytest.mark.parametrize("curvature", [0.01, 0.4, 7.0])
def test_the_minimum_of_a_parabola_is_found_exactly(optimum, curvature):
    found = rate_minimum(_search(lambda power: 3.0 + curvature * (power - optimum) ** 2))
    assert (found.power, found.loss) == (pytest.approx(optimum, abs=1e-9), pytest.approx(3.0))
    assert found.notch_cost == pytest.approx(curvature)


@pytest.mark.parametrize("seed", range(200))
def test_the_minimum_is_within_half_a_notch_of_the_best_trial_and_not_above_it(seed):
    rng = random.Random(seed)
    losses = {power: rng.gauss(5, 1) for power in range(-3, 4)}
    best = min(losses, key=losses.get)
    found = rate_minimum(losses)
    assert abs(found.power - best) <= 0.5 + 1e-12 and found.loss <= losses[best]
    if best in (-3, 3):
        assert (found.power, found.loss, found.notch_cost) == (best, losses[best], None)


@pytest.mark.parametrize("bad", [None, math.nan, math.inf])
def test_beside_a_trial_that_diverged_the_best_trial_itself_is_taken(bad):
    found = rate_minimum({-1: 3.0, 0: 2.0, 1: bad})
    assert (found.power, found.loss, found.notch_cost) == (0.0, 2.0, None)
    assert rate_minimum({-1: bad, 0: bad, 1: bad}) is None


def test_between_two_equal_trials_lies_the_minimum():
    found = rate_minimum({-1: 3.0, 0: 2.0, 1: 2.0, 2: 4.0})
    assert (found.power, found.loss, found.notch_cost) == (0.5, 1.875, 0.5)
    assert rate_minimum({-1: 2.0, 0: 2.0, 1: 2.0}).notch_cost is None  # of equals the lowest rate, here at the edge


@pytest.mark.parametrize("start", [-1, 1])
def test_a_search_that_starts_a_factor_of_three_away_finds_the_same_rate(start):
    def curve(log_rate):  # steeper above the optimum than below it, as real ones are
        off = log_rate - 0.3
        return 3.0 + 0.2 * off**2 + (0.5 * off**3 if off > 0 else 0.0)

    here = rate_minimum(_search(lambda power: curve(power)))
    there = rate_minimum(_search(lambda power: curve(power + start)))
    assert RATE_FACTOR ** (there.power + start) == pytest.approx(RATE_FACTOR**here.power, rel=1e-12)
    assert there.notch_cost == pytest.approx(here.notch_cost)


@pytest.mark.parametrize("start", [-0.5, 0.3, 0.5])
def test_a_search_whose_trials_lie_between_those_of_another_ends_within_a_third_of_a_notch_of_it(start):
    def curve(log_rate):
        off = log_rate - 0.3
        return 3.0 + 0.2 * off**2 + (0.5 * off**3 if off > 0 else 0.0)

    found = [rate_minimum(_search(lambda power, s=s: curve(power + s))).power + s for s in (0.0, start)]
    assert abs(found[0] - found[1]) < 1 / 3


def test_a_cut_is_fragile_where_a_notch_costs_more_than_the_lead():
    assert is_rate_fragile(0.1, 0.2) and is_rate_fragile(0.1, None)
    assert not is_rate_fragile(0.2, 0.1) and not is_rate_fragile(0.1, 0.1)


def test_cuts_that_a_notch_of_the_rate_could_change_are_marked_and_named():
    rows = [
        {"contestant": name, "status": status, "difference": difference}
        for name, status, difference in (
            ("first", "advanced", -0.3),
            ("last", "advanced", 0.0),
            ("near", "eliminated", 0.1),
            ("far", "eliminated", 0.5),
            ("edge", "eliminated", 0.6),
            ("own rate", "eliminated", 0.7),
            ("dead", "oom", None),
        )
    ]
    costs = {"first": 0.3, "last": 0.2, "near": 0.2, "far": 0.2, "edge": None, "dead": None}
    mark_fragile_cuts(rows, {name: {"notch_cost": cost} for name, cost in costs.items()})
    assert {row["contestant"]: row["rate_fragile"] for row in rows if "rate_fragile" in row} == {
        "near": True,
        "far": False,
        "edge": True,
    }
    assert fragile_line(rows).startswith("rate-fragile: near, edge: ") and "a factor of 3" in fragile_line(rows)
    assert fragile_line(rows[:2]) is None
