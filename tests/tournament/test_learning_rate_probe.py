"""Learning-rate search: three rates, one further at an edge, at most twice."""

import math

import pytest

from tournament.learning_rate_probe import best_power, next_power


def _search(loss):
    """All rates that are tried when power p ends at loss(p), in order, and the best."""
    losses = {}
    while (power := next_power(losses)) is not None:
        assert power not in losses and len(losses) < 9
        losses[power] = loss(power)
    return list(losses), best_power(losses)


@pytest.mark.parametrize(
    ("optimum", "tried"),
    [
        (0, [0, -1, 1]),
        (0.4, [0, -1, 1]),
        (-0.4, [0, -1, 1]),
        (1, [0, -1, 1, 2]),
        (2, [0, -1, 1, 2, 3]),
        (3, [0, -1, 1, 2, 3]),
        (9, [0, -1, 1, 2, 3]),
        (-1, [0, -1, 1, -2]),
        (-2, [0, -1, 1, -2, -3]),
        (-9, [0, -1, 1, -2, -3]),
    ],
)
def test_it_moves_towards_the_optimum_and_at_most_twice(optimum, tried):
    powers, best = _search(lambda power: 5 + (power - optimum) ** 2)
    assert powers == tried
    assert best == min(range(-3, 4), key=lambda power: abs(power - optimum))  # of all it can reach


@pytest.mark.parametrize("bad", [None, math.nan, math.inf])
@pytest.mark.parametrize(
    ("limit", "tried", "best"),
    [
        (9, [0, -1, 1, 2, 3], 3),
        (2, [0, -1, 1, 2, 3], 2),
        (1, [0, -1, 1, 2], 1),
        (0, [0, -1, 1], 0),
        (-1, [0, -1, 1, -2], -1),
        (-2, [0, -1, 1], None),
    ],
)
def test_rates_that_diverge_are_not_candidates(limit, tried, best, bad):
    assert _search(lambda power: 5.0 - power if power <= limit else bad) == (tried, best)


def test_the_lower_of_two_equal_rates_is_taken():
    assert _search(lambda power: 5.0) == ([0, -1, 1, -2, -3], -3)
    assert best_power({0: 2.0, 1: 2.0, -1: 3.0}) == 0
    assert next_power({0: 2.0, 1: 2.0, -1: 3.0}) is None


@pytest.mark.parametrize("known", range(5))
def test_a_probe_that_was_killed_tries_the_same_next(known):
    loss = {0: 5.0, -1: 6.0, 1: 4.0, 2: 3.0, 3: 3.5}
    order, _ = _search(loss.get)
    assert order == [0, -1, 1, 2, 3]
    assert next_power({power: loss[power] for power in sorted(order[:known])}) == order[known]
