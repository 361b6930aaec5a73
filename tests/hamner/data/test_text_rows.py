"""Rows of a source: in a new seeded order each epoch, whatever its shards."""

import tracemalloc

import numpy as np
import pytest

from hamner.config.errors import BadInput
from hamner.config.special_tokens import END_OF_TEXT
from hamner.data.corpus import row_problems
from hamner.data.text_rows import WINDOW, TextRows

WIDTH = 4


def test_no_row_twice_before_the_source_is_exhausted():
    tokens = np.arange(103 * WIDTH + 3, dtype=np.uint16)  # the tail shorter than a row is never read
    rows = TextRows(tokens, WIDTH, "sft", seed=5)
    assert rows.count == 103
    epochs = [[rows.row(n).tolist() for n in range(e * 103, (e + 1) * 103)] for e in range(3)]
    for epoch in epochs:
        assert sorted(epoch) == tokens[: 103 * WIDTH].reshape(103, WIDTH).tolist()
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert rows.row(5).tolist() == epochs[0][5]  # and back again


def test_order_is_seeded_by_seed_and_source():
    tokens = np.arange(64 * WIDTH)
    orders = {
        (seed, name): tuple(int(TextRows(tokens, WIDTH, name, seed).row(n)[0]) for n in range(64))
        for seed in (0, 1)
        for name in ("sft", "personal")
    }
    assert len(set(orders.values())) == 4
    assert orders[0, "sft"] == tuple(int(TextRows(tokens, WIDTH, "sft", 0).row(n)[0]) for n in range(64))


def test_every_row_of_a_source_larger_than_a_window_is_read_once_an_epoch():
    count = 3 * WINDOW + 17
    rows = TextRows(np.repeat(np.arange(count, dtype=np.uint32), 2), 2, "sft", 0)
    first, second = ([int(rows.row(n)[0]) for n in range(e * count, (e + 1) * count)] for e in range(2))
    assert sorted(first) == sorted(second) == list(range(count)) and first != second
    assert [int(rows.row(n)[0]) for n in (count - 1, count, 0, WINDOW)] == [
        first[-1],
        second[0],
        first[0],
        first[WINDOW],
    ]


def test_ten_billion_tokens_are_shuffled_in_no_more_memory_than_a_megabyte():
    tokens = np.broadcast_to(np.uint16(5), 10**10)  # one token, seen ten billion times
    tracemalloc.start()
    rows = TextRows(tokens, 1024, "fineweb_edu", 0)
    read = [rows.row(index) for index in (0, 1, rows.count - 1, rows.count, 3 * rows.count + 5)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows.count == 9_765_625 and all(len(row) == 1024 for row in read) and peak < 2**20


@pytest.mark.parametrize("borders", [[], [1], [7, 8, 9], [40, 40, 41], [3, 399]])
def test_how_a_source_is_cut_into_shards_changes_no_row(borders):
    tokens = np.arange(403, dtype=np.uint16)
    whole, cut = TextRows(tokens, 8, "sft", 0), TextRows(np.split(tokens, borders), 8, "sft", 0)
    assert cut.count == whole.count == 50
    for index in range(100):
        assert cut.row(index).tolist() == whole.row(index).tolist()
        assert cut.row(index).dtype == np.uint16


def test_rows_hold_documents_end_to_end_each_closed():
    """In their own order the rows are the corpus itself; only the tail, shorter than one, is left."""
    documents = [[5, 6, 7], [8], [9, 10, 11, 12, 13, 14], [15, 16]]
    packed = [token for document in documents for token in (*document, END_OF_TEXT)]
    rows = TextRows(np.array(packed), 5, "sft", 0)
    in_order = sorted((rows.row(n).tolist() for n in range(rows.count)), key=max)
    assert np.concatenate(in_order).tolist() == packed[:15]


def test_rows_are_read_through_a_memory_map_without_copying(tmp_path):
    np.arange(4096, dtype=np.uint16).tofile(tmp_path / "sft.train.bin")
    tokens = np.memmap(tmp_path / "sft.train.bin", dtype=np.uint16, mode="r")
    row = TextRows(tokens, 64, "sft", 0).row(5)
    assert np.shares_memory(row, tokens) and row.dtype == np.uint16 and type(row) is np.ndarray


def test_a_source_shorter_than_one_row_is_bad_input():
    for tokens in (np.arange(7), [np.arange(3), np.arange(4)]):
        with pytest.raises(BadInput) as error:
            TextRows(tokens, 8, "sft", 0)
        assert error.value.problems == list(row_problems("sft", 8, train=7))
    with pytest.raises(BadInput, match="'sft' has 0 tokens"):
        TextRows([], 8, "sft", 0)
    with pytest.raises(BadInput, match=r"'sft'.* seq_len"):
        TextRows(np.arange(7), 0, "sft", 0)
