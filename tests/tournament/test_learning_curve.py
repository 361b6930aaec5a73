"""Learning curves on the scale of the ranking: looks times the ranked loss over the look's, between rounds' ends."""

import math

import pytest

from tournament.bracket import Bracket, Outcome, Rules, Run
from tournament.learning_curve import learning_curve

PER_TOKEN = 10.0  # FLOPs
FIRST = [[0, 0.0, 0.0, 8.0], [1, 1e3, 1.0, 6.0], [2, 2e3, 2.0, 4.0]]
SECOND = [[2, 2e3, 2.0, 4.0], [4, 4e3, 3.5, 3.0], [8, 8e3, 6.5, 2.0]]


def _bracket(*outcomes):
    bracket = Bracket(Rules([2, 1]), {"a": PER_TOKEN, "b": 1.0, "c": 1.0})
    for index, outcome in enumerate(outcomes):
        if index == 0:
            bracket.report(Run("b", 0), 0, Outcome(9.0))
            bracket.report(Run("c", 0), 0, Outcome(10.0))
        bracket.report(Run("a", 0), index, outcome)
    return bracket


def test_a_curve_ends_at_the_ranked_loss_of_each_round_and_leaves_out_step_0():
    curve = learning_curve(
        _bracket(Outcome(4.4, facts={"grid": FIRST}), Outcome(2.1, facts={"grid": SECOND})), 1, Run("a", 0)
    )
    assert [point.flops for point in curve] == [1e3, 2e3, 4e3, 8e3]
    assert [point.tokens for point in curve] == [1e2, 2e2, 4e2, 8e2]
    assert [point.seconds for point in curve] == [1.0, 2.0, 3.5, 6.5]
    middle = 1.1 + (1.05 - 1.1) / 2  # halfway in log tokens between the ratios of both ends
    assert [point.loss for point in curve] == pytest.approx([6.6, 4.4, 3.0 * middle, 2.1])
    assert math.isclose(curve[-1].loss, 2.1)


def test_of_a_round_that_has_not_ended_nothing_is_known():
    bracket = _bracket(Outcome(4.4, facts={"grid": FIRST}))
    assert len(learning_curve(bracket, 1, Run("a", 0))) == 2
    assert learning_curve(bracket, 1, Run("a", 5)) == learning_curve(bracket, 1, Run("b", 0)) == []


def test_a_run_that_failed_later_keeps_the_curve_it_had():
    bracket = _bracket(Outcome(4.4, facts={"grid": FIRST}), Outcome(None, "oom"))
    assert [point.loss for point in learning_curve(bracket, 1, Run("a", 0))] == pytest.approx([6.6, 4.4])
