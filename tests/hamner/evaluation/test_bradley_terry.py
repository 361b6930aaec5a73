"""Bradley–Terry strengths: recovered within their intervals in simulated arenas, settled when the rule says so."""

import math

import numpy as np
import pytest

from hamner.evaluation.bradley_terry import Duel, fit, shares, side_preference, unlinked, votes_to_settle

ARENAS = 200
LOG_ODDS = {0.6: math.log(0.6 / 0.4), 0.7: math.log(0.7 / 0.3)}


def arena(rng, strengths, votes, tie=0.0):
    """Votes on pairs in random order, cast by the rule that the strengths state."""
    duels = []
    for number in range(votes):
        first, second = rng.permutation(len(strengths))[:2].tolist()
        if len(strengths) == 2 and number % 2:
            first, second = second, first
        chances = shares(strengths[first] - strengths[second], tie)
        duels.append(Duel(first, second, ("first", "second", "tie")[rng.choice(3, p=chances)]))
    return duels


@pytest.mark.parametrize(("strengths", "votes", "tie"), [((0.4, -0.4), 60, 0.5), ((0.9, 0.1, -0.3, -0.7), 150, 0.4)])
def test_strengths_are_recovered_within_their_intervals(strengths, votes, tie):
    rng, inside, biases = np.random.default_rng(7), [], []
    for _ in range(ARENAS):
        found = fit(arena(rng, strengths, votes, tie), len(strengths))
        for friend, true in enumerate(strengths):
            low, high = found.interval(friend)
            inside.append(low <= true <= high)
        biases.append(found.strengths - np.array(strengths))
    assert np.mean(inside) >= 0.9
    assert np.abs(np.mean(biases, axis=0)).max() < 0.05


@pytest.mark.parametrize(("share", "votes"), [(0.7, 52), (0.6, 199)])
def test_the_votes_that_the_rule_asks_for_settle_a_difference_four_times_in_five(share, votes):
    assert round(votes_to_settle(LOG_ODDS[share])) == votes
    rng = np.random.default_rng(1)
    settled = [fit(arena(rng, (LOG_ODDS[share], 0.0), votes), 2).pairs[0].is_settled for _ in range(ARENAS)]
    assert 0.7 <= np.mean(settled) <= 0.9


def test_equal_friends_stay_undecided():
    rng = np.random.default_rng(2)
    results = [fit(arena(rng, (0.0, 0.0, 0.0), 90, 0.3), 3) for _ in range(ARENAS)]
    assert np.mean([any(pair.is_settled for pair in result.pairs) for result in results]) <= 0.08
    assert all(
        pair.more_votes is None or pair.more_votes > 0 for r in results for pair in r.pairs if not pair.is_settled
    )


def test_two_friends_without_ties_are_the_logarithm_of_their_odds_with_half_a_win_more_each():
    duels = [Duel(0, 1, "first")] * 14 + [Duel(1, 0, "first")] * 6
    found = fit(duels, 2)
    assert found.pairs[0].gap == pytest.approx(math.log(14.5 / 6.5), abs=1e-4) and found.tie == 0
    assert found.pairs[0].share == pytest.approx(14.5 / 21, abs=1e-4)
    assert fit([Duel(0, 1, "first")] * 10, 2).pairs[0].gap == pytest.approx(math.log(10.5 / 0.5), abs=1e-3)


def test_the_number_of_votes_that_is_asked_for_is_the_rule_at_the_present_difference():
    duels = [Duel(0, 1, "first")] * 18 + [Duel(0, 1, "second")] * 12
    pair = fit(duels, 2).pairs[0]
    assert not pair.is_settled and (pair.better, pair.worse) == (0, 1)
    assert pair.more_votes == math.ceil(votes_to_settle(pair.gap) - 30)
    assert fit(duels * 40, 2).pairs[0].more_votes == 0


def test_ties_make_friends_alike():
    wins = [Duel(0, 1, "first")] * 20 + [Duel(1, 0, "first")] * 10
    without, with_ties = fit(wins, 2).pairs[0], fit(wins + [Duel(0, 1, "tie")] * 60, 2).pairs[0]
    assert with_ties.share < without.share and with_ties.error == pytest.approx(without.error, rel=0.05)


def test_a_preference_for_a_side_is_told_from_chance():
    assert side_preference([Duel(0, 1, "tie")]) == (0, 0, 1.0)
    first, second, p = side_preference([Duel(0, 1, "first"), Duel(1, 0, "first")] * 10 + [Duel(0, 1, "second")] * 4)
    assert (first, second) == (20, 4) and p == pytest.approx(0.00154, abs=1e-4)


def test_friends_that_no_vote_links_are_refused():
    duels = [Duel(0, 1, "first"), Duel(2, 3, "tie"), Duel(3, 2, "first")]
    assert unlinked(duels, 4) == (0, 2) and unlinked([*duels, Duel(3, 1, "tie")], 4) is None
    with pytest.raises(ValueError, match="no vote links"):
        fit(duels, 4)
