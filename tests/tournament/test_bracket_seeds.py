"""Seeds: a contestant is ranked by the least-squares mean over its own, and more join for those that stay in."""

import math
import random

import numpy as np
import pytest

from tournament.bracket import Bracket, Outcome, Rules, Run

BY_ROUND = {0: 0, 1: 0, 2: 1, 3: 2}  # two seeds in round 1, three in round 2, four in round 3


def _bracket(names, keep, *, seeds=1, **rules):
    """seeds: how many all have from the first round on, or seed index -> round in which it joins."""
    joins = dict.fromkeys(range(seeds), 0) if isinstance(seeds, int) else seeds
    return Bracket(Rules(keep, **rules), dict.fromkeys(names, 1.0), dict.fromkeys(names, joins))


def _report(bracket, losses, *, round=0):
    """Report {(contestant, seed): loss or Outcome}; the answers of report."""
    return [bracket.report(Run(*run), round, o if isinstance(o, Outcome) else Outcome(o)) for run, o in losses.items()]


def _names(runs):
    return [f"{run.contestant}{run.seed}" for run in runs]


def test_the_mean_over_seeds_ranks():
    bracket = _bracket("abc", [1], seeds=2)
    losses = {("a", 0): 1.0, ("b", 0): 1.9, ("c", 0): 5.0, ("c", 1): 5.2, ("a", 1): 3.0, ("b", 1): 1.9}
    assert _report(bracket, losses) == [False] * 5 + [True]
    assert [bracket.loss(0, name) for name in bracket.ranking(0)] == [1.9, 2.0, 5.1]
    assert bracket.winner() == "b"
    halves = np.array([2.0, 0.0, 0.2])  # how far each moves from seed 0 to seed 1
    noise = bracket.seed_noise(0)
    assert (noise.sd, noise.df) == (pytest.approx(math.sqrt(((halves - halves.mean()) ** 2).sum() / 2 / 2)), 2)


@pytest.mark.parametrize("failure", ["diverged", "oom"])
def test_one_seed_that_diverged_or_ran_out_of_memory_takes_its_contestant_out(failure):
    bracket = _bracket("abc", [2, 1], seeds=2)
    _report(bracket, {("a", 0): 1.0, ("a", 1): Outcome(None, failure)} | {(n, s): 2.0 for n in "bc" for s in (0, 1)})
    assert bracket.failure(0, "a").failure == failure and bracket.losses(0, "a") == {}
    assert bracket.ranking(0) == ["b", "c", "a"] and bracket.contestants(1) == ["b", "c"]


def test_a_process_that_died_takes_only_its_own_seed_out():
    bracket = _bracket("abc", [2, 1], seeds=2)
    _report(
        bracket,
        {("a", 0): Outcome(None, "error"), ("a", 1): 1.0, ("b", 0): 2.0, ("b", 1): 2.0, ("c", 0): 3.0, ("c", 1): 3.0},
    )
    assert bracket.ranking(0) == ["a", "b", "c"] and bracket.loss(0, "a") == pytest.approx(1.0)
    assert _names(bracket.waiting_for()) == ["a1", "b0", "b1"]
    _report(bracket, {("a", 1): 1.0, ("b", 0): 2.0, ("b", 1): 2.0}, round=1)
    assert bracket.ranking(1) == ["a", "b"]  # the seed that died rounds ago is not waited for
    assert bracket.winner() == "a"


def test_a_lost_seed_is_not_to_a_contestants_advantage():
    """Seed 1 is worse for all; a, which lost it, has the best plain mean and not the best contestant."""
    bracket = _bracket("abc", [1], seeds=2)
    losses = {("a", 0): 1.05, ("b", 0): 1.0, ("c", 0): 1.2, ("b", 1): 2.0, ("c", 1): 2.2}
    _report(bracket, losses | {("a", 1): Outcome(None, "error")})
    assert bracket.ranking(0) == ["b", "a", "c"] and bracket.winner() == "b"
    assert bracket.loss(0, "a") == pytest.approx(1.55) and bracket.loss(0, "b") == pytest.approx(1.5)


@pytest.mark.parametrize("table", range(6))
def test_with_lost_seeds_too_the_outcome_is_the_same_in_any_order(table):
    def outcome(run, index):
        rng = random.Random(f"{table} {run} {index}")
        return Outcome(None, "error") if rng.random() < 0.25 else Outcome(5 + 0.5 * run.seed + rng.gauss(0, 0.1))

    ends = set()
    for order in range(25):
        rng, bracket = random.Random(order), _bracket("abcdef", [4, 2, 1], seeds=2)
        while not bracket.is_over():
            run = rng.choice(bracket.waiting_for())
            index = bracket.next_round(run)
            before = [set(round_.survivors) for round_ in bracket.rounds]
            bracket.report(run, index, outcome(run, index))
            assert all(old <= set(now.survivors) for old, now in zip(before, bracket.rounds, strict=True))
        ends.add(str([(sorted(round_.survivors), sorted(round_.outcomes)) for round_ in bracket.rounds]))
    assert len(ends) == 1


def test_a_contestant_all_of_whose_processes_died_is_out():
    bracket = _bracket("ab", [1], seeds=2)
    _report(bracket, {("a", s): Outcome(None, "error") for s in (0, 1)} | {("b", s): 9.0 for s in (0, 1)})
    assert bracket.failure(0, "a").failure == "error" and bracket.winner() == "b"


# -- one number a round


def test_more_seeds_join_for_those_that_stay_in_and_train_from_the_start():
    bracket = _bracket("abcde", [3, 2, 1], seeds=BY_ROUND)
    assert _names(bracket.waiting_for()) == [f"{name}{seed}" for name in "abcde" for seed in (0, 1)]
    means = dict(zip("abcde", (1.0, 1.1, 1.2, 5.0, 6.0), strict=True))
    _report(bracket, {(name, seed): mean + 0.1 * seed for name, mean in means.items() for seed in (0, 1)})
    assert sorted(_names(bracket.waiting_for())) == [f"{name}{seed}" for name in "abc" for seed in (0, 1, 2)]
    assert {bracket.next_round(Run(name, 2)) for name in "abc"} == {1}  # one run of two rounds' steps
    assert bracket.is_out(Run("d", 2)) and bracket.is_out(Run("d", 0)) and not bracket.is_out(Run("a", 3))
    _report(bracket, {(name, seed): means[name] + 0.1 * seed for name in "abc" for seed in (0, 1, 2)}, round=1)
    assert [bracket.losses(0, "a"), bracket.losses(1, "a")] == [
        pytest.approx({0: 1.0, 1: 1.1}),
        pytest.approx({0: 1.0, 1: 1.1, 2: 1.2}),
    ]
    assert sorted(_names(bracket.waiting_for())) == [f"{name}{seed}" for name in "ab" for seed in (0, 1, 2, 3)]


def test_none_plays_on_before_the_seeds_that_join_can():
    """They need another Tuner, for which all have to come to an end."""
    bracket = _bracket("abcd", [2, 1], seeds={0: 0, 1: 0, 2: 1})
    _report(bracket, {(name, seed): 1.0 for name in "abc" for seed in (0, 1)})
    assert bracket.rounds[0].survivors == [] and _names(bracket.waiting_for()) == ["d0", "d1"]
    same = _bracket("abcd", [2, 1], seeds=2)
    _report(same, {(name, seed): 1.0 for name in "abc" for seed in (0, 1)})
    assert same.rounds[0].survivors == ["a"] and _names(same.waiting_for()) == ["d0", "d1", "a0", "a1"]


def test_a_run_is_always_waited_for_until_the_end():
    used = []
    for seed in range(300):
        rng, bracket = random.Random(seed), _bracket("abcd", [3, 2, 1], seeds=BY_ROUND)
        while not bracket.is_over():
            assert bracket.waiting_for(), f"seed {seed}"
            run = rng.choice(bracket.waiting_for())
            failure = "error" if rng.random() < 0.05 else None
            bracket.report(run, bracket.next_round(run), Outcome(5 + rng.gauss(0, 0.03), failure))
        used.append(sum(len(round_.outcomes) for round_ in bracket.rounds))
    assert max(used) == 4 * 2 + 3 * 3 + 2 * 4 and 18 < sum(used) / 300 < 25


def test_a_seed_that_joins_later_leaves_earlier_rounds_as_they_were():
    bracket = _bracket("abc", [2, 1], seeds={0: 0, 1: 0, 2: 1})
    _report(bracket, {(name, s): 1.0 + 0.1 * place for place, name in enumerate("abc") for s in (0, 1)})
    before = bracket.ranking(0), bracket.loss(0, "a"), bracket.seed_noise(0)
    _report(bracket, {(name, s): random.Random(f"{name}{s}").random() for name in "ab" for s in (0, 1, 2)}, round=1)
    assert (bracket.ranking(0), bracket.loss(0, "a"), bracket.seed_noise(0)) == before
    assert bracket.is_over() and bracket.seed_noise(1).df == 2


def test_a_ledger_of_other_seeds_is_refused():
    bracket = _bracket("abc", [2, 1], seeds=BY_ROUND)
    _bracket("abc", [2, 1], seeds=BY_ROUND).load_state(bracket.state())
    with pytest.raises(ValueError, match="other seeds"):
        _bracket("abc", [2, 1], seeds=2).load_state(bracket.state())
