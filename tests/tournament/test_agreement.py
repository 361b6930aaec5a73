"""Kendall's τ against a count by hand, its bootstrap interval against the truth, pairs by their distance."""

import random
from itertools import combinations

import pytest

from tournament.agreement import agreement, pair_groups


def _tau(first, second):
    """τ of numbers without ties, counted pair by pair."""
    signs = [1 if (first[i] - first[j]) * (second[i] - second[j]) > 0 else -1 for i, j in _pairs(first)]
    return sum(signs) / len(signs)


def _pairs(numbers):
    return list(combinations(range(len(numbers)), 2))


@pytest.mark.parametrize("seed", range(5))
def test_tau_is_the_surplus_of_pairs_in_the_same_order_and_lies_in_its_interval(seed):
    rng = random.Random(seed)
    first = [rng.random() for _ in range(10)]
    second = [x + rng.gauss(0, 0.4) for x in first]
    found = agreement(first, second)
    assert found.tau == pytest.approx(_tau(first, second)) and found.contestants == 10
    assert -1 <= found.low <= found.tau <= found.high <= 1 and found.high - found.low > 0.1
    assert agreement(first, second) == found  # seeded


def test_the_same_order_and_the_other_way_round_are_certain():
    first = [1.0, 2.0, 3.0, 4.0, 5.0]
    same, reversed_ = agreement(first, first), agreement(first, first[::-1])
    assert (same.tau, same.low) == (pytest.approx(1.0), pytest.approx(1.0))
    assert (reversed_.tau, reversed_.high) == (pytest.approx(-1.0), pytest.approx(-1.0))


def test_too_few_contestants_and_a_field_of_equals_have_no_tau():
    assert agreement([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]) is None
    assert agreement([1.0] * 5, [1.0, 2.0, 3.0, 4.0, 5.0]) is None


def test_the_interval_covers_the_order_of_the_population():
    """Independent losses: τ is 0; an interval of 95 % misses it one time in twenty, here in under one in eight."""
    rng = random.Random(1)
    misses = 0
    for seed in range(40):
        found = agreement(
            [rng.random() for _ in range(15)], [rng.random() for _ in range(15)], seed=seed, resamples=200
        )
        misses += not found.low <= 0 <= found.high
    assert misses < 5


def test_pairs_are_grouped_by_how_far_they_are_apart_in_the_first_league():
    first, second = [1.0, 1.1, 2.0, 4.0], [1.1, 1.0, 2.0, 4.0]  # only the nearest pair turns round
    groups = pair_groups(first, second)
    assert [(group.pairs, group.kept) for group in groups] == [(2, 1), (2, 2), (2, 2)]
    assert [(group.least, group.most) for group in groups] == [
        (pytest.approx(0.1), pytest.approx(0.9)),
        (pytest.approx(1.0), pytest.approx(2.0)),
        (pytest.approx(2.9), pytest.approx(3.0)),
    ]


def test_equal_pairs_say_nothing_in_the_first_league_and_have_not_kept_their_order_in_the_second():
    assert pair_groups([1.0, 1.0], [1.0, 2.0]) == []
    (group,) = pair_groups([1.0, 2.0], [3.0, 3.0])
    assert (group.pairs, group.kept) == (1, 0)
