"""Shadows: the best of each cut train on beside the league, and change nothing in it."""

import random

import pytest
from fakes import play_fake

from hamner.config.errors import BadInput
from hamner.config.load import load_config
from tournament.bracket import Bracket, Outcome, Rules, Run
from tournament.looking_ahead import cut_too_early

KEEP = (5, 3, 1)
NAMES = [f"c{index}" for index in range(10)]


def _bracket(shadow, seeds=2, joins=None):
    rounds = joins or dict.fromkeys(range(seeds), 0)
    return Bracket(Rules(KEEP, shadow=shadow), dict.fromkeys(NAMES, 1.0), dict.fromkeys(NAMES, rounds))


def _losses(number):
    """Losses that depend on contestant, seed and round alone; the order changes from round to round."""
    return lambda run, index: Outcome(random.Random(f"{number}/{run}/{index}").gauss(4 - index, 0.1))


def _play(bracket, number, order=0, outcome=None):
    play_fake(bracket, outcome or _losses(number), random.Random(order))
    return bracket


@pytest.mark.parametrize("number", range(20))
def test_survivors_and_winner_are_those_of_a_league_without_shadows(number):
    plain = _play(_bracket(0), number)
    for shadow in (1, 2, 5):
        league = _play(_bracket(shadow), number, order=number)
        assert [set(r.survivors) for r in league.rounds] == [set(r.survivors) for r in plain.rounds]
        for index in range(3):
            assert league.ranking(index) == plain.ranking(index)
            assert league.seed_noise(index) == plain.seed_noise(index)
            assert league.labels(index) == plain.labels(index)


@pytest.mark.parametrize("shadow", [1, 2])
def test_the_best_of_each_cut_train_on_to_the_end(shadow):
    league = _play(_bracket(shadow), 1)
    first, second = league.ranking(0)[5 : 5 + shadow], league.ranking(1)[3 : 3 + shadow]
    assert list(league.shadows(0)) == []
    assert list(league.shadows(1)) == first and list(league.shadows(2)) == [*first, *second]
    for name in (*first, *second):
        assert league.shadows(2)[name] == [_losses(1)(Run(name, seed), 2).heldout_loss for seed in (0, 1)]
    trained = {run.contestant for run in league.rounds[2].outcomes}
    assert trained == {*league.contestants(2), *first, *second}


def test_a_round_waits_for_its_shadows_and_takes_no_notice_of_them():
    league = _bracket(1, seeds=1)
    for place, name in enumerate(NAMES):
        league.report(Run(name, 0), 0, Outcome(4 + place / 10))
    assert league.next_round(Run("c5", 0)) == 1 and not league.is_out(Run("c5", 0))
    assert league.is_out(Run("c6", 0)) and league.next_round(Run("c6", 0)) is None
    for place, name in enumerate(NAMES[:5]):
        league.report(Run(name, 0), 1, Outcome(3 + place / 10))
    assert league.round == 1  # the shadow is still training
    assert league.report(Run("c5", 0), 1, Outcome(1.0))
    assert league.rounds[1].survivors == ["c0", "c1", "c2"] and list(league.shadows(2)) == ["c5", "c3"]


def test_seeds_that_join_later_are_for_those_that_are_in():
    league = _play(_bracket(1, joins={0: 0, 1: 1, 2: 2}), 3)
    first, second = league.shadows(2)
    assert len(league.shadows(2)[first]) == 1 and len(league.shadows(2)[second]) == 2
    assert len(league.losses(2, league.winner())) == 3


def test_a_shadow_that_fails_is_no_hindrance():
    def outcome(run, index):
        good = _losses(4)(run, index)
        return Outcome(None, "diverged") if index == 1 and run.contestant == shadow else good

    shadow = _play(_bracket(0), 4).ranking(0)[5]
    league = _play(_bracket(1), 4, outcome=outcome)
    assert league.is_over() and league.winner() == _play(_bracket(0), 4).winner()
    assert league.shadows(2)[shadow] == []


def test_the_ledger_brings_them_back():
    league = _play(_bracket(2), 5)
    again = _bracket(2)
    again.load_state(league.state())
    assert again.shadows(2) == league.shadows(2) and again.is_over() and again.winner() == league.winner()


def test_one_that_ends_better_than_the_winner_is_told():
    def outcome(run, index):
        slow = run.contestant == "c5"
        return Outcome(4 - index + NAMES.index(run.contestant) / 10 - 3 * slow * index / 2)

    line = cut_too_early(_play(_bracket(1), 0, outcome=outcome))
    assert line == (
        "cut too early: c5, out in round 1, trained on and ended at -0.5000 nats/token; the winner c0, on the same "
        "seeds, at 2.0000"
    )


def test_async_leagues_have_none():
    with pytest.raises(BadInput, match="use mode=sync, or shadow=0"):
        load_config("smoke", ["shadow=1", "mode=async", "contested=cut"], "tournament")
