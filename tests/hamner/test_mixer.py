"""Batches: a plain function of (seed, stage, step), in exact ratios, nothing read twice too early."""

from collections import Counter

import numpy as np
import pytest
import torch

from hamner import heldout
from hamner.config import BadInput
from hamner.mixer import BLOCK, Mixer, SyntheticRows, TextRows
from hamner.tokenizer import END_OF_TEXT, Tokenizer

WIDTH = 4
MIX = {"a": 0.5, "b": 0.3, "c": 0.2}


class Named:
    """Rows that tell who they are: [source, index, level, 0]."""

    def __init__(self, source):
        self._source = source

    def row(self, index, level):
        return np.array([self._source, index, level, 0])


def _mixer(batch_size=8, **more):
    mixer = Mixer({name: Named(n) for n, name in enumerate("abc")}, batch_size, **more)
    mixer.start_stage(MIX)
    return mixer


def _steps(mixer, count):
    return [mixer.next() for _ in range(count)]


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(["True or false: sort, count: which is bigger 0123456789 yes no = + - * ->"], 290)


def test_batch_is_the_same_asked_directly_or_by_stepping():
    stepped = _steps(_mixer(), 250)
    assert stepped[0].shape == (8, WIDTH) and stepped[0].dtype == torch.int64
    fresh = _mixer()
    for step in (249, 0, 100, 99, 101, 37):
        assert torch.equal(fresh.batch(step), stepped[step])
    assert torch.equal(fresh.next(), stepped[0])    # asking does not move it


@pytest.mark.parametrize("batch_size", [1, 3, 8, 24])
@pytest.mark.parametrize(
    "mix", [MIX, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, {"a": 0.95, "c": 0.05}, {"b": 1.0}]
)
def test_ratios_hold_over_a_block_and_nearly_in_each_batch(batch_size, mix):
    mixer = _mixer(batch_size)
    mixer.start_stage(mix)
    blocks = torch.stack(_steps(mixer, 2 * BLOCK))[:, :, 0].view(2, BLOCK, batch_size)
    for block in blocks:
        for source, name in enumerate("abc"):
            wanted = mix.get(name, 0) * batch_size
            counts = (block == source).sum(dim=1)
            assert abs(counts.sum().item() - wanted * BLOCK) < 1
            assert (counts - wanted).abs().max().item() < 2
    assert torch.equal(blocks[0], blocks[1])


def test_each_source_is_read_row_by_row_without_a_gap():
    mixer = _mixer()
    read = torch.cat(_steps(mixer, 130))
    for source, name in enumerate("abc"):
        indices = read[read[:, 0] == source, 1].tolist()
        assert indices == list(range(len(indices)))
        assert mixer.rows_read()[name] == len(indices)
    assert sum(mixer.rows_read().values()) == 130 * 8


def test_a_new_stage_goes_on_where_each_source_stood():
    mixer = _mixer()
    read = _steps(mixer, 33)
    mixer.start_stage({"b": 0.25, "a": 0.75}, level=3)
    assert mixer.state()["step"] == 0
    later = _steps(mixer, 120)
    assert [torch.cat(batches)[:, 2].unique().tolist() for batches in (read, later)] == [[1], [3]]
    mixer.start_stage({"c": 1.0})
    everything = torch.cat([*read, *later, *_steps(mixer, 5)])
    for source in range(3):
        indices = everything[everything[:, 0] == source, 1].tolist()
        assert indices == list(range(len(indices)))


@pytest.mark.parametrize("step", [0, 1, 99, 100, 157])
def test_state_goes_on_bit_for_bit(step):
    def stage_two(mixer):
        mixer.start_stage({"a": 0.4, "b": 0.6}, level=2)
        return mixer

    whole = _mixer()
    _steps(whole, 41)
    _steps(stage_two(whole), step)
    resumed = stage_two(_mixer())
    resumed.load_state(whole.state())
    assert resumed.rows_read() == whole.rows_read()
    for _ in range(20):
        assert torch.equal(resumed.next(), whole.next())
    for mixer in (whole, resumed):
        mixer.start_stage({"c": 0.5, "a": 0.5})
    assert torch.equal(torch.stack(_steps(whole, 9)), torch.stack(_steps(resumed, 9)))


@pytest.mark.parametrize("world", [2, 4])
def test_workers_together_read_the_one_worker_batch(world):
    alone, workers = _mixer(), [_mixer(rank=rank, world=world) for rank in range(world)]
    for mixer in (alone, *workers):
        _steps(mixer, 30)
        mixer.start_stage({"c": 0.9, "b": 0.1})
    for _ in range(120):
        assert torch.equal(alone.next(), torch.cat([worker.next() for worker in workers]))
    assert all(worker.rows_read() == alone.rows_read() for worker in workers)


def test_a_batch_that_workers_cannot_share_is_refused():
    with pytest.raises(BadInput, match="a batch of 8 rows cannot be shared by 3 workers"):
        _mixer(world=3)


def test_no_row_twice_before_the_source_is_exhausted():
    tokens = np.arange(103 * WIDTH + 3, dtype=np.uint16)    # the tail shorter than a row is never read
    rows = TextRows(tokens, WIDTH, "sft", seed=5)
    assert rows.count == 103
    epochs = [[rows.row(n, 1).tolist() for n in range(e * 103, (e + 1) * 103)] for e in range(3)]
    for epoch in epochs:
        assert sorted(epoch) == tokens[: 103 * WIDTH].reshape(103, WIDTH).tolist()
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert rows.row(5, 1).tolist() == epochs[0][5]    # and back again


def test_order_is_seeded_by_seed_and_source():
    tokens = np.arange(64 * WIDTH)
    orders = {(seed, name): tuple(int(TextRows(tokens, WIDTH, name, seed).row(n, 1)[0]) for n in range(64))
              for seed in (0, 1) for name in ("sft", "personal")}
    assert len(set(orders.values())) == 4
    assert orders[0, "sft"] == tuple(int(TextRows(tokens, WIDTH, "sft", 0).row(n, 1)[0]) for n in range(64))


def test_epochs_count_rows_read():
    mixer = Mixer({"a": TextRows(np.arange(40), WIDTH, "a", 0), "b": Named(1)}, 5)
    mixer.start_stage({"a": 0.8, "b": 0.2})
    _steps(mixer, 6)
    assert mixer.epochs() == {"a": 2.4}


def test_a_source_shorter_than_one_row_is_bad_input():
    with pytest.raises(BadInput, match="source 'sft' has 7 training tokens, less than one row of 8"):
        TextRows(np.arange(7), 8, "sft", 0)


def _items(tokenizer, rows, count, level):
    """Whole items among the first rows: the last of a row may be cut."""
    found = Counter()
    for index in range(count):
        ids = rows.row(index, level).tolist()
        ends = [place for place, token in enumerate(ids) if token == END_OF_TEXT]
        for first, last in zip([-1, *ends], ends, strict=False):
            found[tokenizer.decode(ids[first + 1: last])] += 1
    return found


@pytest.mark.parametrize("level", [1, 3, 5])
def test_synthetic_training_and_heldout_items_are_disjoint(tokenizer, level):
    training = _items(tokenizer, SyntheticRows(tokenizer, 256, 0, 0.05), 60, level)
    held = _items(tokenizer, SyntheticRows(tokenizer, 256, 0, 0.05, held_out=True), 20, level)
    assert sum(training.values()) > 100 and len(held) > 20
    assert not training.keys() & held.keys()
    assert max(heldout.draw(item) for item in held) < 0.05 <= min(heldout.draw(item) for item in training)


def test_synthetic_row_is_the_same_for_the_same_index(tokenizer):
    def rows(seed=0, **more):
        return SyntheticRows(tokenizer, 64, seed, 0.05, **more)

    backwards, forwards = rows(), rows()
    later = [backwards.row(n, 2).tolist() for n in reversed(range(6))][::-1]
    assert later == [forwards.row(n, 2).tolist() for n in range(6)]
    assert all(len(row) == 64 for row in later)
    others = [rows(seed=1).row(0, 2), rows().row(0, 3), rows().row(1, 2), rows(held_out=True).row(0, 2)]
    assert len({tuple(row) for row in [later[0], *others]}) == 5
