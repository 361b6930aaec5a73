"""Packing: every conversation whole and once, rows nearly full, the same rows for the same key."""

import random

import numpy as np
import pytest

from hamner.config.special_tokens import END_OF_TEXT
from hamner.data.conversation_packing import pack, unpack


def conversations(count, longest=60, seed=0):
    rng = random.Random(seed)
    made = []
    for number in range(count):
        ids = np.full(rng.randint(2, longest), 100 + number, dtype=np.int32)
        ids[-1] = ~END_OF_TEXT
        made.append(ids)
    return made


def test_every_conversation_is_whole_and_once_in_a_row():
    made = conversations(300)
    rows = pack(made, 64, "key")
    found = {}
    for row in rows:
        for value in set(row.tolist()) - {~END_OF_TEXT}:
            assert value not in found
            found[value] = (row == value).sum()
            place = np.flatnonzero(row == value)
            assert (np.diff(place) == 1).all() and row[place[-1] + 1] == ~END_OF_TEXT
    assert found == {100 + number: len(ids) - 1 for number, ids in enumerate(made)}


def test_rows_are_nearly_full():
    made = conversations(2000)
    rows = pack(made, 128, "key")
    assert sum(map(len, made)) / rows.size > 0.97


def test_the_key_decides_the_order_and_nothing_else():
    made = conversations(200)
    one, again, other = (pack(made, 64, key) for key in ("a", "a", "b"))
    assert (one == again).all()
    assert one.shape[1] == other.shape[1] == 64 and not np.array_equal(one, other)


def test_what_was_packed_is_unpacked_as_ids_without_labels_and_without_what_fills_up():
    made = conversations(300)
    made[5][:3] = ~made[5][:3]  # only read
    found = sorted(unpack(pack(made, 64, "key")))
    assert found == [[100 + number] * (len(ids) - 1) for number, ids in enumerate(made)]
    assert list(unpack(pack([], 64, "key"))) == []


def test_none_make_no_row_and_one_that_is_too_long_is_an_error():
    assert pack([], 64, "key").shape == (0, 64)
    with pytest.raises(ValueError, match="65 tokens does not fit a row of 64"):
        pack([np.zeros(65, dtype=np.int32)], 64, "key")
