"""Simulated leagues: the same winners as the Bracket's, odds that are known exactly, and the steps of a plan."""

import math

import pytest

from tournament.bracket import Bracket, Outcome, Rules
from tournament.simulation import Field, Leagues, Plan, winners

TEN = [f"v{i:02}" for i in range(10)]
STEPS = (500, 1000, 2000)


NOISE = (1.0, 1.0, 1.0)
LEAGUES = Leagues(10, 3, range(1, 6))


def _winner_of_bracket(losses, keep):
    """The winner that the real rule finds; losses: of each round, by contestant."""
    bracket = Bracket(Rules(keep), dict.fromkeys(TEN, 1.0))
    while not bracket.is_over():
        for run in bracket.waiting_for():
            index = bracket.next_round(run)
            if index is not None:
                bracket.report(run, index, Outcome(float(losses[index][TEN.index(run.contestant)])))
    return TEN.index(bracket.winner())


@pytest.mark.parametrize("keep", [(5, 3, 1), (4, 2, 1), (7, 3, 1), (9, 10, 1)])
def test_the_simulation_finds_the_winner_that_the_bracket_finds(keep):
    losses = Leagues(10, 3, range(1, 4), 100).losses(Plan(keep, (1, 2, 3)), Field(2.0, NOISE, drift=(2.0, 1.0, 0.0)))
    expected = [_winner_of_bracket([5 + 0.03 * scores[i] for scores in losses], keep) for i in range(100)]
    assert winners(losses, keep).tolist() == expected
    assert len(set(expected)) > 5  # the leagues differ


def test_without_noise_the_best_always_wins_and_of_equals_each_wins_as_often():
    one, growing = Plan((5, 3, 1), (1, 1, 1)), Plan((5, 3, 1), (2, 3, 4))
    assert LEAGUES.odds(one, Field(1.0, (0.0, 0.0, 0.0))).chance == 1.0
    assert LEAGUES.odds(growing, Field(1e-9, NOISE)).chance == pytest.approx(0.1, abs=0.012)


@pytest.mark.parametrize(("spread", "seeds"), [(1.0, 1), (2.0, 1), (2.0, 4)])
def test_two_contestants_and_one_round_have_the_odds_of_the_formula(spread, seeds):
    """P(the better is ahead) = 1 − arctan(noise / spread) / π for two normal differences (orthant probability)."""
    odds = Leagues(2, 1, range(1, 5), 40_000).odds(Plan((1,), (seeds,)), Field(spread, (1.0,)))
    assert odds.chance == pytest.approx(1 - math.atan(1 / seeds**0.5 / spread) / math.pi, abs=0.01)


# Of an independent simulation: thousands of steps; spread in seed noise -> P(true best wins) in %, regret in seed noise
TABLE = [
    ((5, 3, 1), (1, 1, 1), 16, {1: (45, 0.41), 2: (66, 0.29), 4: (79, 0.19)}),
    ((5, 3, 1), (2, 2, 2), 32, {1: (56, 0.24), 2: (73, 0.17), 4: (85, 0.09)}),
    ((5, 3, 1), (3, 3, 3), 48, {1: (61, 0.18), 2: (77, 0.12), 4: (87, 0.07)}),
    ((5, 3, 1), (2, 3, 4), 56, {1: (63, 0.15), 2: (80, 0.08), 4: (89, 0.05)}),
    ((4, 2, 1), (1, 2, 4), 37, {2: (79, 0.10), 4: (89, 0.05)}),
    ((4, 2, 1), (2, 3, 5), 50, {2: (83, 0.07), 4: (91, 0.04)}),
]


@pytest.mark.parametrize(("keep", "seeds", "thousands", "odds"), TABLE)
def test_odds_and_steps_are_those_of_an_independent_simulation(keep, seeds, thousands, odds):
    plan = Plan(keep, seeds)
    assert round(plan.training_steps(STEPS, 10) / 1000) == thousands
    for spread, (chance, regret) in odds.items():
        found = LEAGUES.odds(plan, Field(float(spread), NOISE))
        assert 100 * found.chance == pytest.approx(chance, abs=3) and found.regret == pytest.approx(regret, abs=0.03)


def test_seeds_in_late_rounds_are_worth_more_than_as_many_in_all():
    late, even = (LEAGUES.odds(Plan((4, 2, 1), seeds), Field(2.0, NOISE)) for seeds in ((1, 2, 4), (2, 2, 2)))
    assert late.chance > even.chance + 0.02 and late.regret < even.regret - 0.02


def test_with_noise_that_lasts_over_the_rounds_more_rounds_teach_nothing():
    lasting = LEAGUES.odds(Plan((5, 3, 1), (1, 1, 1)), Field(2.0, NOISE, persistence=1.0))
    assert lasting == Leagues(10, 3, range(1, 6)).odds(Plan((1, 1, 1), (1, 1, 1)), Field(2.0, NOISE, persistence=1.0))
