"""Odds that two contestants are in the right order, in words: a coin toss, 3 to 1, 19 to 1.

The odds concern one pair alone. A label (uncertainty.py) allows for all pairs of a round, so it asks for more: an order
of 19 to 1 can be contested.
"""

from __future__ import annotations

COIN_TOSS = 0.6  # probability below which an order is called a coin toss
ODDS = (99, 50, 30, 19, 15, 12, 9, 7, 5, 4, 3, 2)  # to 1, of which the largest that is reached is said


def order_probability(difference: float, standard_error: float | None, df: float | None) -> float | None:
    """Probability that the one with the higher loss is truly worse, by Student's t; 0.5 without any difference.

    difference: of the two losses; below 0 where they were ranked by something else. None without a standard error.
    """
    if standard_error is None or df is None:
        return None
    if standard_error <= 0:
        return 1.0 if difference > 0 else 0.5
    from scipy.special import stdtr  # SciPy takes a moment to load: only where a round is decided

    return float(stdtr(df, difference / standard_error))


def odds_in_words(probability: float) -> str:
    """Odds such as `3 to 1`, rounded down; `3 to 1 against` where the other order is the more probable."""
    if probability < 1 - COIN_TOSS:
        return f"{odds_in_words(1 - probability)} against"
    if probability < COIN_TOSS:
        return "coin toss"
    odds = probability / (1 - probability) if probability < 1 else float("inf")
    # 0.95 is 19 to 1, but for the rounding of the division
    return f"{next((step for step in ODDS if odds >= step - 1e-9), 1.5):g} to 1"
