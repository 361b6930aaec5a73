"""Losses at the most FLOPs, and at the most seconds, that all contestants have spent."""

import numpy as np
import pytest

from tournament.bracket import Bracket, Outcome, Rules, Run
from tournament.equal_cost import FLOPS, LOSS, SECONDS, at_equal_cost, loss_at

CURVE = [[0, 0.0, 0.0, 7.0], [1, 10.0, 4.0, 5.0], [2, 20.0, 6.0, 4.5], [4, 40.0, 10.0, 4.0]]
NOTHING = dict.fromkeys(
    ("loss_at_equal_flops", "rank_at_equal_flops", "loss_at_equal_seconds", "rank_at_equal_seconds")
)


def _grid(flops, seconds, *losses):
    """A grid of equal steps up to a cost."""
    return [[i, flops * i / (len(losses) - 1), seconds * i / (len(losses) - 1), x] for i, x in enumerate(losses)]


def _bracket(rounds, keep=(2, 1)):
    """A bracket of one round after the other: {contestant: (loss, grid)}."""
    bracket = Bracket(Rules(keep), dict.fromkeys(rounds[0], 1.0))
    for index, outcomes in enumerate(rounds):
        for name, (loss, grid) in outcomes.items():
            bracket.report(Run(name, 0), index, Outcome(loss, facts={"grid": grid}))
    return bracket


@pytest.mark.parametrize("place", [FLOPS, SECONDS])
def test_the_loss_lies_on_straight_lines_as_numpy_draws_them(place):
    costs, losses = [point[place] for point in CURVE], [point[LOSS] for point in CURVE]
    for cost in np.linspace(0, costs[-1], 23):
        assert loss_at(CURVE, place, cost) == pytest.approx(np.interp(cost, costs, losses), rel=1e-12)
    assert loss_at(CURVE, place, 2 * costs[-1]) == 4.0  # and never beyond the last


def test_a_point_seen_at_the_end_of_one_round_and_the_beginning_of_the_next_is_fine():
    twice = [*CURVE[:3], CURVE[2], CURVE[3]]
    assert [loss_at(twice, FLOPS, cost) for cost in (15.0, 20.0, 30.0)] == [4.75, 4.5, 4.25]


def test_all_are_compared_at_what_the_thriftiest_has_spent():
    bracket = _bracket(
        [
            {
                "a": (4.0, _grid(100, 10, 8, 6, 4)),
                "b": (5.0, _grid(50, 20, 8, 5)),
                "c": (6.0, _grid(200, 40, 8, 7, 6, 6, 6)),
            }
        ]
    )
    costs = at_equal_cost(bracket, 0, is_exclusive=True)
    assert (costs["flops"], costs["seconds"]) == (50.0, 10.0)
    assert costs["of"] == {
        "a": {
            "loss_at_equal_flops": 6.0,
            "rank_at_equal_flops": 2,
            "loss_at_equal_seconds": 4.0,
            "rank_at_equal_seconds": 1,
        },
        "b": {
            "loss_at_equal_flops": 5.0,
            "rank_at_equal_flops": 1,
            "loss_at_equal_seconds": 6.5,
            "rank_at_equal_seconds": 2,
        },
        "c": {
            "loss_at_equal_flops": 7.0,
            "rank_at_equal_flops": 3,
            "loss_at_equal_seconds": 7.0,
            "rank_at_equal_seconds": 3,
        },
    }
    assert costs["nothing"] == NOTHING


def test_seconds_of_runs_that_shared_a_slot_are_not_compared():
    costs = at_equal_cost(
        _bracket([{"a": (4.0, _grid(10, 1, 8, 4)), "b": (5.0, _grid(10, 2, 8, 5)), "c": (6.0, _grid(10, 3, 8, 6))}]),
        0,
        is_exclusive=False,
    )
    assert costs["flops"] == 10.0 and costs["seconds"] is None
    assert [row["rank_at_equal_flops"] for row in costs["of"].values()] == [1, 2, 3]
    assert all(row["loss_at_equal_seconds"] is row["rank_at_equal_seconds"] is None for row in costs["of"].values())


def _two_rounds(second):
    first = {"a": (4.0, _grid(10, 1, 8, 4)), "b": (5.0, _grid(20, 2, 8, 5)), "c": (6.0, _grid(30, 3, 8, 6))}
    return _bracket([first, second])


def test_curves_continue_those_of_the_rounds_before():
    costs = at_equal_cost(
        _two_rounds(
            {
                "a": (2.0, [[1, 10.0, 1.0, 4.0], [3, 30.0, 3.0, 2.0]]),
                "b": (3.0, [[1, 20.0, 2.0, 5.0], [3, 60.0, 6.0, 3.0]]),
            }
        ),
        1,
        is_exclusive=True,
    )
    assert costs["flops"] == 30.0 and set(costs["of"]) == {"a", "b"}
    assert [row["loss_at_equal_flops"] for row in costs["of"].values()] == [2.0, 4.5]


def test_one_that_failed_in_this_round_does_not_hold_the_others_back():
    costs = at_equal_cost(
        _two_rounds({"a": (float("nan"), []), "b": (3.0, [[1, 20.0, 2.0, 5.0], [3, 60.0, 6.0, 3.0]])}),
        1,
        is_exclusive=True,
    )
    assert costs["flops"] == 60.0 and list(costs["of"]) == ["b"]


def test_one_whose_first_seed_died_is_compared_by_another():
    bracket = Bracket(Rules([1]), {"a": 1.0, "b": 1.0}, {"a": {0: 0, 1: 0}, "b": {0: 0}})
    bracket.report(Run("a", 0), 0, Outcome(None, "error"))
    bracket.report(Run("a", 1), 0, Outcome(4.0, facts={"grid": _grid(10, 1, 8, 4)}))
    bracket.report(Run("b", 0), 0, Outcome(5.0, facts={"grid": _grid(20, 1, 8, 5)}))
    costs = at_equal_cost(bracket, 0, is_exclusive=True)
    assert (costs["flops"], costs["of"]["a"]["loss_at_equal_flops"]) == (10.0, 4.0)


def test_without_a_curve_nothing_is_compared():
    costs = at_equal_cost(_bracket([{"a": (1.0, []), "b": (2.0, []), "c": (3.0, [])}]), 0, is_exclusive=True)
    assert costs["flops"] is None and costs["seconds"] is None and costs["of"] == {}
