"""Early stopping: every sequence of five losses in three values against a plain reading of the rule."""

import math
from itertools import product

import pytest

from hamner.training.early_stopping import best_index, is_over


def plainly_over(losses, patience):
    """Count the looks since the last that was better than all before it."""
    lowest, since = math.inf, 0
    for loss in losses:
        lowest, since = (loss, 0) if loss < lowest else (lowest, since + 1)
    return since >= patience


@pytest.mark.parametrize("patience", [1, 2, 3, 6])
def test_the_rule_on_every_sequence(patience):
    for length in range(6):
        for losses in product((1.0, 2.0, 3.0, math.nan, math.inf), repeat=length):
            assert is_over(losses, patience) == plainly_over(losses, patience), losses


@pytest.mark.parametrize(
    ("losses", "best"),
    [([], None), ([math.nan], None), ([2.0, 1.0, 1.0], 1), ([math.inf, 3.0], 1), ([1.0, math.nan], 0)],
)
def test_the_best_is_the_first_of_the_lowest(losses, best):
    assert best_index(losses) == best
