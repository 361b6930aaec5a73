"""The train / held-out split: a share decided by hashes of the text, whatever the order, the run or the machine."""

import random

import numpy as np
import pytest
from sample_texts import prose

from hamner.data import split


def _heldout(texts, fraction=0.05, tokens=0):
    draws = list(map(split.unit_hash, texts))
    limit = split.threshold(draws, list(map(len, texts)), fraction, tokens)
    return {text for text, draw in zip(texts, draws, strict=True) if draw < limit}


def test_a_twentieth_of_a_large_source_is_held_out():
    texts = [prose("large", n, 3) for n in range(20_000)]
    heldout = _heldout(texts, tokens=100)
    assert abs(len(heldout) - 1000) < 5 * 31  # 5 standard deviations
    assert all((split.unit_hash(text) < 0.05) == (text in heldout) for text in texts)


def test_a_small_source_holds_out_more_but_never_above_a_fifth():
    texts = [prose("small", n) for n in range(100)]
    counts = [len(_heldout(texts, tokens=tokens)) for tokens in (0, 200, 300, 10**9)]
    assert counts[0] < counts[1] < counts[2] < counts[3] == 20
    assert 200 * 5 <= sum(map(len, _heldout(texts, tokens=200))) < 200 * 5 + 250
    assert [len(_heldout(texts[:n], tokens=10**9)) for n in (5, 9, 10, 99)] == [1, 1, 2, 19]


def test_what_is_held_out_depends_on_the_text_alone():
    texts = [prose("any", n) for n in range(200)]
    heldout = _heldout(texts, tokens=250)
    assert _heldout(texts[::-1], tokens=250) == _heldout(random.Random(0).sample(texts, 200), tokens=250) == heldout
    assert split.unit_hash("a text") == 0.3773985425632937  # for ever: a change would let old test text into training
    doubled = _heldout([*texts, *texts[::-1]], tokens=250)  # both copies go to one side
    limit = max(map(split.unit_hash, doubled))
    assert doubled == {text for text in texts if split.unit_hash(text) <= limit} and len(doubled) > 1


@pytest.mark.parametrize("pieces", [[3] * 40, [1] * 30 + [9] * 10, [60, 40], [5, 95], [100]])
def test_what_was_cut_from_one_whole_is_on_one_side(pieces):
    """Never none and never all; a fifth at most where whole groups fit into it."""
    wholes = np.repeat([split.unit_hash(f"video {n}") for n in range(len(pieces))], pieces)
    limit = split.threshold(wholes, np.full(len(wholes), 50), 0.05, tokens=100)
    heldout = int((wholes < limit).sum())
    first = pieces[int(np.argmin([split.unit_hash(f"video {n}") for n in range(len(pieces))]))]
    assert heldout == 0 if len(pieces) == 1 else 0 < heldout <= max(first, len(wholes) // 5)
