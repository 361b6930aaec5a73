"""What a prepared source is refused for; how many nats its token frequencies leave."""

import math
from pathlib import Path

import numpy as np
import pytest

from hamner.data.corpus import row_problems, unigram_entropy


def test_a_side_that_does_not_fill_a_row_is_a_problem():
    assert list(row_problems("sft", 8, train=8, heldout=9)) == []
    (problem,) = row_problems("sft", 8, train=7, heldout=8)
    assert problem.startswith("source 'sft' has 7 tokens to train on, less than one row of 8: ")
    (problem,) = row_problems("sft", 8, heldout=0, place=Path("data"))
    assert problem.startswith("source 'sft' of data has 0 tokens held out, less than one row of 8: ")
    assert len(list(row_problems("sft", 10, train=7, heldout=8))) == 2


def test_unigram_entropy_is_that_of_the_frequencies():
    assert unigram_entropy(np.array([5, 5, 0, 5, 5])) == pytest.approx(math.log(4))
    assert unigram_entropy(np.array([0, 9])) == 0
