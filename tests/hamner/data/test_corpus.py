"""Shards read as one array; what a prepared source is refused for; how many nats its token frequencies leave."""

import math
from pathlib import Path

import numpy as np
import pytest

from hamner.data.corpus import TokenShards, row_problems, unigram_entropy


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


def test_shards_in_a_row_read_as_one_array(tmp_path):
    rng, lengths = np.random.default_rng(0), [5, 1, 9, 3]
    parts = [rng.integers(0, 99, n, dtype=np.uint16) for n in lengths]
    paths = [tmp_path / str(n) for n in range(4)]
    for path, part in zip(paths, parts, strict=True):
        path.write_bytes(part.tobytes())
    shards, flat = TokenShards.from_files(paths, lengths, np.dtype(np.uint16)), np.concatenate(parts)
    assert len(shards) == 18 and shards[-1] == flat[-1] and shards[6] == flat[6]
    for start in range(19):
        for stop in range(19):
            assert np.array_equal(shards[start:stop], flat[start:stop])
