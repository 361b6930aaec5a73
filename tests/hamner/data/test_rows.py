"""Rows of a source: in a new seeded order each epoch, whatever its shards; synthetic items, never a held-out one."""

import tracemalloc
from collections import Counter

import numpy as np
import pytest

from hamner.config.errors import BadInput
from hamner.config.special_tokens import END_OF_TEXT
from hamner.data import split
from hamner.data.synthetic_rows import SyntheticRows, level_problems
from hamner.data.synthetic_tasks import Draws, generate_texts
from hamner.data.text_rows import WINDOW, TextRows
from hamner.data.tokenizer import Tokenizer

WIDTH = 4


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(["True or false: sort, count: which is bigger 0123456789 yes no = + - * ->"], 290)


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
        with pytest.raises(BadInput, match="source 'sft' has 7 tokens to train on, less than one row of 8"):
            TextRows(tokens, 8, "sft", 0)
    with pytest.raises(BadInput, match="source 'sft' has 0 tokens to train on"):
        TextRows([], 8, "sft", 0)
    with pytest.raises(BadInput, match="source 'sft': rows of 0 tokens cannot be"):
        TextRows(np.arange(7), 0, "sft", 0)


@pytest.mark.parametrize(("seq_len", "fraction"), [(0, 0.05), (8, 0.0), (8, 1.0), (8, float("nan"))])
def test_synthetic_rows_that_would_never_be_full_are_bad_input(tokenizer, seq_len, fraction):
    with pytest.raises(BadInput, match=f"synthetic rows of {seq_len} tokens, {fraction} of the items held out"):
        SyntheticRows(tokenizer, seq_len, 0, fraction, held_out=True)


@pytest.mark.parametrize("levels", [(), (1.0,) * 6, (0.5, 0.6), (1.5, -0.5), (float("nan"),)])
def test_levels_that_are_no_shares_are_named(levels):
    assert len(list(level_problems(levels))) == 1 and "levels" in next(level_problems(levels))
    assert not list(level_problems((0.1, 0.2, 0.7)))


def _items(tokenizer, rows, count, level):
    """Whole items among the first rows: the last of a row may be cut."""
    found = Counter()
    for index in range(count):
        ids = rows.row(index, (0,) * (level - 1) + (1.0,)).tolist()
        ends = [place for place, token in enumerate(ids) if token == END_OF_TEXT]
        for first, last in zip([-1, *ends], ends, strict=False):
            found[tokenizer.decode(ids[first + 1 : last])] += 1
    return found


@pytest.mark.parametrize("level", [1, 3, 5])
def test_synthetic_training_and_heldout_items_are_disjoint(tokenizer, level):
    training = _items(tokenizer, SyntheticRows(tokenizer, 256, 0, 0.05), 60, level)
    held = _items(tokenizer, SyntheticRows(tokenizer, 256, 0, 0.05, held_out=True), 20, level)
    assert sum(training.values()) > 100 and len(held) > 20
    assert not training.keys() & held.keys()
    assert max(split.unit_hash(item) for item in held) < 0.05 <= min(split.unit_hash(item) for item in training)


def test_synthetic_row_is_the_same_for_the_same_index(tokenizer):
    def rows(seed=0, **more):
        return SyntheticRows(tokenizer, 64, seed, 0.05, **more)

    backwards, forwards = rows(), rows()
    two, three = (0.3, 0.7), (0.1, 0.2, 0.7)
    later = [backwards.row(n, two).tolist() for n in reversed(range(6))][::-1]
    assert later == [forwards.row(n, two).tolist() for n in range(6)]
    assert all(len(row) == 64 for row in later)
    others = [rows(seed=1).row(0, two), rows().row(0, three), rows().row(1, two), rows(held_out=True).row(0, two)]
    assert len({tuple(row) for row in [later[0], *others]}) == 5


@pytest.mark.parametrize("seq_len", [1, 50, 256, 20_000])
def test_every_synthetic_row_begins_with_an_item(tokenizer, seq_len):
    """An item cut off at the end of a row is not read on at the beginning of the next."""
    rows = SyntheticRows(tokenizer, seq_len, 0, 0.05)
    firsts = Counter(int(rows.row(index, (0.5, 0.5))[0]) for index in range(min(900, 10**6 // seq_len)))
    begin = {tokenizer.encode(text)[0] for text in generate_texts(Draws(0), (0.5, 0.5), 4000)}
    assert set(firsts) <= begin
    assert all(len(rows.row(index, (0.5, 0.5))) == seq_len for index in range(3))


def test_no_item_is_read_twice_because_rows_are_drawn_together(tokenizer):
    """Level 5 has so many items that chance repeats hardly any."""
    found = _items(tokenizer, SyntheticRows(tokenizer, 256, 0, 0.05), 400, 5)
    recall = [text for text in found if "." in text]
    assert len(recall) > 200 and max(found[text] for text in recall) == 1


def test_easier_levels_stay_in_the_rows(tokenizer):
    """Arithmetic of level 1 reaches 10 and has two numbers, that of level 5 has three: both are there, as asked."""
    rows = SyntheticRows(tokenizer, 256, 0, 0.05)
    items = Counter()
    for index in range(900):
        ids = rows.row(index, (0.3, 0, 0, 0, 0.7)).tolist()
        for text in _texts(tokenizer, ids):
            if text.startswith("Calculate: ") and "=" in text:
                items[len(text.split("=")[0].split()) > 4] += 1
    share = items[True] / items.total()
    assert items.total() > 300 and abs(share - 0.7) < 0.09


def _texts(tokenizer, ids):
    ends = [place for place, token in enumerate(ids) if token == END_OF_TEXT]
    return [tokenizer.decode(ids[first + 1 : last]) for first, last in zip([-1, *ends], ends, strict=False)]
