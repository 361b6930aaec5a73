"""Odds in words: against Student's t, with the steps that are said."""

import pytest

from tournament.odds import odds_in_words, order_probability


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (0.05, "19 to 1 against"),
        (0.4, "coin toss"),
        (0.5, "coin toss"),
        (0.599, "coin toss"),
        (0.61, "1.5 to 1"),
        (0.7, "2 to 1"),
        (0.75, "3 to 1"),
        (0.94, "15 to 1"),
        (0.95, "19 to 1"),
        (0.991, "99 to 1"),
        (1.0, "99 to 1"),
    ],
)
def test_a_probability_is_told_as_odds_rounded_down(probability, words):
    assert odds_in_words(probability) == words


def test_the_probability_is_that_of_students_t():
    assert order_probability(0.0, 0.1, 5) == pytest.approx(0.5)
    assert order_probability(0.2015, 0.1, 5) == pytest.approx(0.95, abs=1e-4)  # t(0.95; 5) = 2.015
    assert order_probability(0.1645, 0.1, 1e6) == pytest.approx(0.95, abs=1e-3)
    assert order_probability(0.1, 0.0, 5) == 1.0 and order_probability(0.0, 0.0, 5) == 0.5
    assert order_probability(0.1, None, 5) is None and order_probability(0.1, 0.1, None) is None
