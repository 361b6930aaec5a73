"""Asynchronous successive halving (ASHA): promoted as soon as the best share has come, closed once, won by one."""

import math
import random

from tournament.bracket import Bracket, Outcome, Rules, Run

TEN = [f"v{i}" for i in range(10)]


def _bracket(names, keep):
    return Bracket(Rules(keep, mode="async"), dict.fromkeys(names, 1.0))


def _report(bracket, *rows, round=0):
    """Report several runs of a round, each (contestant, loss or Outcome); the answers of report."""
    return [bracket.report(Run(name, 0), round, o if isinstance(o, Outcome) else Outcome(o)) for name, o in rows]


def _play(bracket, choose):
    """To the end, with losses that are the contestants' numbers."""
    while not bracket.is_over():
        run = choose(bracket.waiting_for())
        bracket.report(run, bracket.next_round(run), Outcome(float(run.contestant[1:])))
    return bracket


def test_promotes_as_soon_as_the_best_share_has_come():
    bracket = _bracket("abcd", [2, 1])
    _report(bracket, ("b", 2.0))
    assert bracket.rounds[0].survivors == [] and bracket.next_round(Run("b", 0)) is None  # half of one is none
    _report(bracket, ("c", 3.0))
    assert bracket.rounds[0].survivors == ["b"] and not bracket.rounds[0].is_decided
    assert [bracket.next_round(Run(name, 0)) for name in "abcd"] == [0, 1, None, 0]  # c is paused
    _report(bracket, ("a", 4.0))
    assert bracket.next_round(Run("c", 0)) is None
    assert _report(bracket, ("d", 5.0)) == [True]
    assert bracket.rounds[0].survivors == ["b", "c"] and bracket.next_round(Run("c", 0)) == 1  # promoted after all
    assert [bracket.next_round(Run(name, 0)) for name in "ad"] == [None, None]  # out: the round is closed
    assert _report(bracket, ("a", 0.0), round=1) == [False] and bracket.contestants(1) == ["b", "c"]
    assert _report(bracket, ("c", 1.0), ("b", 2.0), round=1) == [False, True]
    assert bracket.is_over() and bracket.winner() == "c"


def test_failures_count_as_having_come_and_never_survive():
    bracket = _bracket("abcd", [2, 1])
    _report(bracket, ("a", math.nan), ("b", 9.0))
    assert bracket.rounds[0].survivors == ["b"]
    _report(bracket, ("c", Outcome(None, "oom")), ("d", Outcome(None, "error")))
    assert (
        bracket.rounds[0].survivors == ["b"] and bracket.rounds[0].is_decided and bracket.waiting_for() == [Run("b", 0)]
    )


def test_there_is_one_winner_in_any_order_and_the_best_is_never_lost():
    for seed in range(200):
        rng = random.Random(seed)
        bracket = _play(_bracket(TEN, [5, 3, 1]), rng.choice)
        assert bracket.winner() == "v0" and bracket.rounds[2].survivors == ["v0"]
        best = [[f"v{i}" for i in range(places)] for places in (5, 3, 1)]
        assert all(set(names) <= set(round_.survivors) for names, round_ in zip(best, bracket.rounds, strict=True))
        assert [sorted(bracket.labels(2))] == [sorted(set(bracket.contestants(2)) - {"v0"})]  # all of them compared


def test_there_is_one_winner_when_each_is_better_than_all_before():
    def last_first(waiting):
        return max(waiting, key=lambda run: int(run.contestant[1:]))

    bracket = _bracket(TEN, [5, 3, 1])
    while not bracket.rounds[0].is_decided:
        run = last_first([run for run in bracket.waiting_for() if bracket.next_round(run) == 0])
        _report(bracket, (run.contestant, float(run.contestant[1:])))
    assert len(bracket.rounds[0].survivors) == 9  # promoted at once, hence more than five
    _play(bracket, last_first)
    assert bracket.rounds[2].survivors == ["v0"]
