"""Seeds and twins: a contestant is ranked by the mean over its seeds; twins measure seed noise and do not compete."""

import math

import numpy as np
import pytest

from tournament.bracket import Bracket, Outcome, Rules, Run
from tournament.uncertainty import SeedNoise


def _bracket(names, keep, *, seeds=1, twins=()):
    return Bracket(Rules(keep), dict.fromkeys(names, 1.0), dict.fromkeys(names, range(seeds)), twins)


def _report(bracket, losses, *, round=0):
    """Report {(contestant, seed): loss or Outcome}; the answers of report."""
    return [bracket.report(Run(*run), round, o if isinstance(o, Outcome) else Outcome(o)) for run, o in losses.items()]


def _names(runs):
    return [f"{run.contestant}{run.seed}" for run in runs]


def test_the_mean_over_seeds_ranks():
    bracket = _bracket("ab", [1], seeds=2)
    assert _report(bracket, {("a", 0): 1.0, ("b", 0): 1.9, ("a", 1): 3.0, ("b", 1): 1.9}) == [False] * 3 + [True]
    assert [bracket.loss(0, name) for name in bracket.ranking(0)] == [1.9, 2.0]
    assert bracket.winner() == "b"
    assert bracket.seed_noise(0) == SeedNoise(pytest.approx(math.sqrt(np.var([1, 3], ddof=1) / 2)), 2)


@pytest.mark.parametrize("failure", ["diverged", "oom"])
def test_one_seed_that_diverged_or_ran_out_of_memory_takes_its_contestant_out(failure):
    bracket = _bracket("abc", [2, 1], seeds=2)
    _report(bracket, {("a", 0): 1.0, ("a", 1): Outcome(None, failure)} | {(n, s): 2.0 for n in "bc" for s in (0, 1)})
    assert bracket.failure(0, "a").failure == failure and bracket.losses(0, "a") == []
    assert bracket.ranking(0) == ["b", "c", "a"] and bracket.contestants(1) == ["b", "c"]


def test_a_process_that_died_takes_only_its_own_seed_out():
    bracket = _bracket("abc", [2, 1], seeds=2)
    _report(
        bracket,
        {("a", 0): Outcome(None, "error"), ("a", 1): 1.0, ("b", 0): 2.0, ("b", 1): 2.0, ("c", 0): 3.0, ("c", 1): 3.0},
    )
    assert bracket.ranking(0) == ["a", "b", "c"] and bracket.loss(0, "a") == 1.0
    assert _names(bracket.waiting_for()) == ["a1", "b0", "b1"]
    _report(bracket, {("a", 1): 1.0, ("b", 0): 2.0, ("b", 1): 2.0}, round=1)
    assert bracket.ranking(1) == ["a", "b"]  # the seed that died rounds ago is not waited for
    assert bracket.winner() == "a"


def test_a_contestant_all_of_whose_processes_died_is_out():
    bracket = _bracket("ab", [1], seeds=2)
    _report(bracket, {("a", s): Outcome(None, "error") for s in (0, 1)} | {("b", s): 9.0 for s in (0, 1)})
    assert bracket.failure(0, "a").failure == "error" and bracket.winner() == "b"


def test_twins_measure_and_do_not_compete():
    bracket = _bracket("abc", [2, 1], twins=[Run("c", 1), Run("c", 2)])
    assert _report(bracket, {("a", 0): 1.0, ("b", 0): 2.0, ("c", 0): 3.0, ("c", 1): -5.0}) == [False] * 4
    assert not bracket.rounds[0].is_decided and _names(bracket.waiting_for())[0] == "c2"  # waits for twins too
    assert _report(bracket, {("c", 2): Outcome(None, "diverged")}) == [True]
    assert bracket.ranking(0) == ["a", "b", "c"] and bracket.loss(0, "c") == 3.0
    assert bracket.contestants(1) == ["a", "b"]
    assert bracket.seed_noise(0) == SeedNoise(pytest.approx(np.std([3, -5], ddof=1)), 1)


def test_twins_train_on_after_their_contestant_is_cut_and_failed_ones_do_not():
    bracket = _bracket("abc", [2, 1], twins=[Run("c", 1), Run("c", 2), Run("c", 3)])
    _report(bracket, {("a", 0): 1.0, ("b", 0): 2.0, ("c", 0): 3.0, ("c", 1): 3.1, ("c", 2): 3.2, ("c", 3): math.nan})
    assert _names(bracket.runs(1)) == _names(bracket.waiting_for()) == ["a0", "b0", "c1", "c2"]
    _report(bracket, {("a", 0): 1.0, ("b", 0): 2.0, ("c", 1): 2.8}, round=1)
    assert not bracket.is_over()
    _report(bracket, {("c", 2): 3.0}, round=1)
    assert bracket.winner() == "a" and bracket.seed_noise(1).sd == pytest.approx(np.std([2.8, 3.0], ddof=1))
