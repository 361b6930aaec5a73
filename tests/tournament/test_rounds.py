"""The rule of the tournament, exhaustively on small cases and on the recorded losses in many orders."""

import itertools
import json
import math
import random

import pytest

from tournament.rounds import Bracket, Outcome, rank, survivors

RECORDED = {    # the recorded first round: mean of the last 100 training losses; two contestants never reported
    "v04_diffattn_medium": 7.0951, "v02_dense_medium": 7.1108, "v03_diffattn_small": 7.1537,
    "v01_dense_small": 7.1641, "v07_hybrid_small": 7.2405, "v09_deep_narrow": 7.2687, "v05_moe_small": 7.2867,
    "v06_moe_medium": 7.2870,
}
FAILED = ("v08_hybrid_medium", "v10_wide_shallow")


def _play(order, outcomes, keep, flops=None):
    flops = flops or dict.fromkeys(outcomes, 1.0)
    bracket = Bracket(sorted(outcomes), keep, flops)
    decided = [bracket.report(name, outcomes[name]) for name in order]
    assert decided == [False] * (len(order) - 1) + [True]
    return bracket


def test_the_recorded_round_has_one_outcome_in_any_order():
    outcomes = {n: Outcome(x) for n, x in RECORDED.items()} | {
        n: Outcome(None, failure="oom") for n in FAILED}
    rng, order, results = random.Random(0), list(outcomes), set()
    for _ in range(2000):
        rng.shuffle(order)
        results.add(tuple(_play(order, outcomes, [5, 3, 1]).alive()))
    assert results == {("v01_dense_small", "v02_dense_medium", "v03_diffattn_small", "v04_diffattn_medium",
                        "v07_hybrid_small")}


@pytest.mark.parametrize("order", itertools.permutations("abcd"))
def test_ties_go_to_the_cheaper_then_to_the_name(order):
    outcomes = {n: Outcome(1.0) for n in "abcd"}
    flops = {"a": 2.0, "b": 1.0, "c": 2.0, "d": 3.0}
    bracket = _play(order, outcomes, [2, 1], flops)
    assert rank(outcomes, flops) == ["b", "a", "c", "d"]
    assert bracket.alive() == ["a", "b"]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_loses_and_is_called_diverged(bad):
    outcomes = {"a": Outcome(bad), "b": Outcome(99.0), "c": Outcome(100.0)}
    assert outcomes["a"].failure == "diverged"
    assert outcomes["a"].heldout_loss is None
    assert survivors(outcomes, dict.fromkeys("abc", 1.0), 2) == ["b", "c"]
    assert rank(outcomes, dict.fromkeys("abc", 1.0))[-1] == "a"


def test_failed_contestants_never_go_on_even_when_places_are_free():
    outcomes = {"a": Outcome(1.0), "b": Outcome(None, failure="error"), "c": Outcome(None, failure="oom")}
    bracket = _play("abc", outcomes, [2, 1])
    assert bracket.alive() == ["a"]
    assert not bracket.over()
    bracket.report("a", Outcome(0.5))
    assert bracket.winner() == "a"


def test_when_everybody_fails_there_is_no_winner():
    bracket = _play("ab", {n: Outcome(None, failure="oom") for n in "ab"}, [1])
    assert bracket.over() and bracket.winner() is None


def test_ten_to_one_in_three_rounds():
    bracket = Bracket([f"v{i:02}" for i in range(10)], [5, 3, 1], {f"v{i:02}": 1.0 for i in range(10)})
    sizes = []
    while not bracket.over():
        sizes.append(len(bracket.alive()))
        for name in bracket.alive():
            bracket.report(name, Outcome(float(name[1:])))
    assert sizes == [10, 5, 3]
    assert bracket.winner() == "v00"


def test_the_first_word_counts_and_strangers_are_not_heard():
    bracket = Bracket(["a", "b", "c"], [2, 1], dict.fromkeys("abc", 1.0))
    bracket.report("a", Outcome(1.0))
    assert bracket.report("a", Outcome(9.0)) is False
    assert bracket.report("z", Outcome(0.0)) is False
    bracket.report("b", Outcome(2.0))
    assert bracket.report("c", Outcome(3.0)) is True
    assert bracket.alive() == ["a", "b"]
    assert bracket.report("c", Outcome(0.0)) is False    # cut is cut


def test_the_ledger_restores_the_bracket_at_every_point():
    names, rng = [f"v{i}" for i in range(6)], random.Random(1)
    bracket = Bracket(names, [3, 1], dict.fromkeys(names, 1.0))
    while not bracket.over():
        name = rng.choice(bracket.waiting_for())
        bracket.report(name, Outcome(rng.random()))
        copy = Bracket(names, [3, 1], dict.fromkeys(names, 1.0))
        copy.load_state(json.loads(json.dumps(bracket.state(), allow_nan=False)))
        assert (copy.alive(), copy.waiting_for(), copy.round, copy.over(), copy.winner()) == (
            bracket.alive(), bracket.waiting_for(), bracket.round, bracket.over(), bracket.winner())
