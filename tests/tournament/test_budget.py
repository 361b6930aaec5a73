"""Training budget of a round: equal tokens, equal FLOPs, equal seconds."""

import itertools
import statistics

import pytest

from hamner.config.load import load_config
from tournament.budget import Budget, budgets, probe_steps, reference_end
from tournament.entrants import entrants, flops_per_token

STEPS = [20, 40, 80]  # of the smoke config


def _budgets(*words, flops=None):
    config = load_config("smoke", words)
    flops = flops or flops_per_token(config, entrants(config))
    return flops, budgets(config, flops)


def test_equal_tokens_are_the_same_steps_for_all():
    _, of_contestants = _budgets()
    assert len(of_contestants) == 10 and set(of_contestants.values()) == {Budget((20, 60, 140))}
    assert [reference_end(load_config("smoke"), index) for index in range(3)] == [20, 60, 140]


def test_equal_flops_agree_within_half_a_step_at_the_end_of_every_round():
    flops, of_contestants = _budgets("budget=flops")
    median = statistics.median(flops.values())
    assert max(flops.values()) > 2 * min(flops.values())
    for name, budget in of_contestants.items():
        for end, steps in zip(budget.steps, itertools.accumulate(STEPS), strict=True):
            assert abs(end * flops[name] - steps * median) <= 0.5 * flops[name] * (1 + 1e-9)


def test_equal_flops_agree_within_half_a_step_at_the_end_of_the_league():
    for spread in (1.1, 1.3, 1.7, 2.3):
        flops, of_contestants = _budgets("budget=flops", "steps=[3, 3, 3]", flops={"a": 1.0, "b": 1.0, "c": spread})
        for name, budget in of_contestants.items():
            assert abs(budget.steps[-1] * flops[name] - 9.0) <= 0.5 * flops[name] * (1 + 1e-9)


def test_equal_flops_give_the_median_contestant_the_steps_of_the_config_and_each_at_least_one():
    _, of_contestants = _budgets("budget=flops", "steps=[1, 2, 4]", flops={"cheap": 0.5, "median": 1.0, "dear": 9.0})
    assert {name: budget.steps for name, budget in of_contestants.items()} == {
        "cheap": (2, 6, 14),
        "median": (1, 3, 7),
        "dear": (1, 2, 3),
    }


def test_equal_seconds_count_training_time_from_the_leagues_start():
    _, of_contestants = _budgets("budget=seconds", "seconds=[10.0, 20.0, 40.0]")
    assert {budget.seconds for budget in of_contestants.values()} == {(10.0, 30.0, 70.0)}
    budget = of_contestants["v01_dense_small"]
    assert [budget.is_spent(i, 0, now) for i, now in ((0, 9.9), (0, 10.0), (1, 29.9), (1, 30.0), (2, 70.0))] == [
        False,
        True,
        False,
        True,
        True,
    ]
    assert not budget.is_spent(0, 10**9, 9.9)  # steps do not count


def test_a_budget_is_spent_at_its_step_however_long_that_took():
    budget = Budget((20, 60))
    assert [budget.is_spent(i, step, 1e9) for i, step in ((0, 19), (0, 20), (1, 20), (1, 59), (1, 60))] == [
        False,
        True,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("words", "steps"),
    [([], 20), (["steps=[100, 1, 1]"], 100), (["steps=[1, 1, 1]", "warmup_steps=0"], 1), (["lr_probe_steps=50"], 50)],
)
def test_a_rate_is_tried_for_as_many_steps_as_round_one_has(words, steps):
    assert probe_steps(load_config("smoke", words)) == steps
