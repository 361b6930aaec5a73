"""Batches: a plain function of (seed, stage, step), in exact ratios, nothing read twice too early."""

from collections import Counter

import numpy as np
import pytest
import torch

from hamner import heldout
from hamner.config import BadInput
from hamner.mixer import BLOCK, Exhausted, Mixer, SyntheticRows, TextRows
from hamner.tokenizer import END_OF_TEXT, Tokenizer

WIDTH = 4
MIX = {"a": 0.5, "b": 0.3, "c": 0.2}


class Named:
    """Rows that tell who they are: [source, index, highest level, 0]."""

    def __init__(self, source):
        self._source = source

    def row(self, index, levels):
        return np.array([self._source, index, len(levels), 0])


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
    mixer.start_stage({"b": 0.25, "a": 0.75}, levels=(.1, .2, .7))
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
        mixer.start_stage({"a": 0.4, "b": 0.6}, levels=(.3, .7))
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
    epochs = [[rows.row(n).tolist() for n in range(e * 103, (e + 1) * 103)] for e in range(3)]
    for epoch in epochs:
        assert sorted(epoch) == tokens[: 103 * WIDTH].reshape(103, WIDTH).tolist()
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert rows.row(5).tolist() == epochs[0][5]    # and back again


def test_order_is_seeded_by_seed_and_source():
    tokens = np.arange(64 * WIDTH)
    orders = {(seed, name): tuple(int(TextRows(tokens, WIDTH, name, seed).row(n)[0]) for n in range(64))
              for seed in (0, 1) for name in ("sft", "personal")}
    assert len(set(orders.values())) == 4
    assert orders[0, "sft"] == tuple(int(TextRows(tokens, WIDTH, "sft", 0).row(n)[0]) for n in range(64))


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
        ids = rows.row(index, (0,) * (level - 1) + (1.0,)).tolist()
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
    two, three = (.3, .7), (.1, .2, .7)
    later = [backwards.row(n, two).tolist() for n in reversed(range(6))][::-1]
    assert later == [forwards.row(n, two).tolist() for n in range(6)]
    assert all(len(row) == 64 for row in later)
    others = [rows(seed=1).row(0, two), rows().row(0, three), rows().row(1, two), rows(held_out=True).row(0, two)]
    assert len({tuple(row) for row in [later[0], *others]}) == 5


def test_easier_levels_stay_in_the_rows(tokenizer):
    """Arithmetic of level 1 reaches 10 and has two numbers, that of level 5 has three: both are there, as asked."""
    rows = SyntheticRows(tokenizer, 256, 0, 0.05)
    items = Counter()
    for index in range(900):
        ids = rows.row(index, (.3, 0, 0, 0, .7)).tolist()
        for text in _texts(tokenizer, ids):
            if text.startswith("Calculate: ") and "=" in text:
                items[len(text.split("=")[0].split()) > 4] += 1
    share = items[True] / items.total()
    assert items.total() > 300 and abs(share - 0.7) < 0.09


def _texts(tokenizer, ids):
    ends = [place for place, token in enumerate(ids) if token == END_OF_TEXT]
    return [tokenizer.decode(ids[first + 1: last]) for first, last in zip([-1, *ends], ends, strict=False)]


def _capped(max_epochs, batch_size=5):
    rows = {"a": TextRows(np.arange(40), WIDTH, "a", 0), "b": TextRows(np.arange(200), WIDTH, "b", 0), "c": Named(2)}
    mixer = Mixer(rows, batch_size, max_epochs=max_epochs)
    mixer.start_stage({"a": 0.6, "b": 0.2, "c": 0.2})
    return mixer


def _capped_steps(mixer, count):
    return [(mixer.leave_out_exhausted(), mixer.next()) for _ in range(count)]


def test_a_source_read_often_enough_leaves_the_mix_and_the_others_keep_their_proportions():
    mixer = _capped(2.0)
    told = _capped_steps(mixer, 40)
    left = [(step, gone) for step, (gone, _) in enumerate(told) if gone]
    assert left == [(6, ["a"])]    # 3 of 10 rows a batch, 20 allowed: six batches
    assert mixer.mix == {"b": 0.5, "c": 0.5}
    assert mixer.epochs() == {"a": 1.8, "b": pytest.approx((6 + 34 * 2.5) / 50, abs=0.03)}
    later = torch.cat([batch for _, batch in told[6:]])
    counts = (later[:, 0] == 2).sum().item()    # of c, whose rows begin with 2
    assert abs(counts / len(later) - 0.5) < 0.1
    mixer.start_stage({"a": 0.5, "c": 0.5})    # read no further in a later stage either
    assert mixer.leave_out_exhausted() == ["a"] and mixer.mix == {"c": 1.0}


def test_when_nothing_is_left_to_read_it_says_so():
    mixer = Mixer({"a": TextRows(np.arange(40), WIDTH, "a", 0)}, 5, max_epochs=0.5)
    mixer.start_stage({"a": 1.0})
    assert _capped_steps(mixer, 1)[0][0] == []
    with pytest.raises(Exhausted):
        mixer.leave_out_exhausted()


@pytest.mark.parametrize("step", [3, 6, 7, 20])
def test_a_capped_mix_goes_on_bit_for_bit(step):
    whole, resumed = _capped(2.0), _capped(2.0)
    _capped_steps(whole, step)
    resumed.load_state(whole.state())
    for (gone, batch), (gone_too, batch_too) in zip(_capped_steps(whole, 12), _capped_steps(resumed, 12), strict=True):
        assert gone == gone_too and torch.equal(batch, batch_too)
    assert whole.state() == resumed.state()


def test_rows_already_read_are_those_that_were_read():
    mixer = _capped(4.0)
    assert mixer.already_read("a", 8) is None
    read = torch.cat([batch for _, batch in _capped_steps(mixer, 2)])
    rows = mixer.already_read("b", 8)
    assert len(rows) == 2 and all((read == row).all(dim=1).any() for row in rows)
    assert len(mixer.already_read("a", 4)) == 4 and mixer.already_read("c", 4) is None
