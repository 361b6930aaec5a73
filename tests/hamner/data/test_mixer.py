"""Batches: a plain function of (seed, stage, step), in exact ratios, nothing read twice too early."""

import numpy as np
import pytest
import torch

from hamner.config.checks import mix_problems
from hamner.config.errors import BadInput
from hamner.data.mixer import BLOCK, Exhausted, Mixer
from hamner.data.synthetic_rows import level_problems
from hamner.data.text_rows import TextRows

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


def test_batch_is_the_same_asked_directly_or_by_stepping():
    stepped = _steps(_mixer(), 250)
    assert stepped[0].shape == (8, WIDTH) and stepped[0].dtype == torch.int64
    fresh = _mixer()
    for step in (249, 0, 100, 99, 101, 37):
        assert torch.equal(fresh.batch(step), stepped[step])
    assert torch.equal(fresh.next(), stepped[0])  # asking does not move it


@pytest.mark.parametrize("batch_size", [1, 3, 8, 24])
@pytest.mark.parametrize("mix", [MIX, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, {"a": 0.95, "c": 0.05}, {"b": 1.0}])
def test_ratios_hold_over_a_block_and_nearly_in_each_batch(batch_size, mix):
    mixer = _mixer(batch_size)
    mixer.start_stage(mix)
    blocks = torch.stack(_steps(mixer, 2 * BLOCK))[:, :, 0].view(2, BLOCK, batch_size)
    for block in blocks:
        for source, name in enumerate("abc"):
            expected = mix.get(name, 0) * batch_size
            counts = (block == source).sum(dim=1)
            assert abs(counts.sum().item() - expected * BLOCK) < 1
            assert (counts - expected).abs().max().item() < 2
    rows = [share * BLOCK * batch_size for share in mix.values()]
    assert torch.equal(blocks[0], blocks[1]) == all(abs(n - round(n)) < 1e-6 for n in rows)


@pytest.mark.parametrize(
    "mix", [{"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, {"a": 0.61803, "b": 0.3, "c": 0.08197}, {"a": 0.0007, "c": 0.9993}]
)
def test_ratios_are_exact_however_long_a_stage_lasts(mix):
    """A block of 8-row batches cannot hold a third of 800 rows: what one block rounds up, another rounds down."""
    mixer = _mixer()
    mixer.start_stage(mix)
    for step in [*range(0, 20 * BLOCK, 37), 98_765, 10**6 + 1]:
        read = mixer.rows_read(step)
        assert sum(read.values()) == 8 * step
        for name, share in mix.items():
            assert abs(read[name] - share * 8 * step) < 3.0  # within 1.2 at a block's border


def test_composition_varies_far_less_than_by_independent_draws():
    """Variance of a source's rows in a batch; each row drawn by itself gives batch_size * p * (1 - p)."""
    mixer = _mixer(batch_size=24)
    counts = torch.stack([(mixer.next()[:, :1] == torch.arange(3)).sum(dim=0) for _ in range(2 * BLOCK)]).double()
    shares = torch.tensor(list(MIX.values()), dtype=torch.double)
    assert torch.allclose(counts.mean(dim=0), 24 * shares)
    assert (counts.var(dim=0) < 0.1 * 24 * shares * (1 - shares)).all()


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
    mixer.start_stage({"b": 0.25, "a": 0.75}, levels=(0.1, 0.2, 0.7))
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
        mixer.start_stage({"a": 0.4, "b": 0.6}, levels=(0.3, 0.7))
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
    alone, workers = _mixer(), [_mixer(rank=rank, world_size=world) for rank in range(world)]
    for mixer in (alone, *workers):
        _steps(mixer, 30)
        mixer.start_stage({"c": 0.9, "b": 0.1})
    for _ in range(120):
        assert torch.equal(alone.next(), torch.cat([worker.next() for worker in workers]))
    assert all(worker.rows_read() == alone.rows_read() for worker in workers)


def test_a_batch_that_workers_cannot_share_is_refused():
    with pytest.raises(BadInput, match="a batch of 8 rows cannot be shared by 3 workers: use a multiple of 3"):
        _mixer(world_size=3)
    with pytest.raises(BadInput) as refused:
        Mixer({}, 0, rank=2, world_size=2, max_epochs=0)
    starts = ("a batch of 0 rows cannot be shared by 2 workers", "worker 2 of 2 does not exist", "max_epochs = 0 must")
    assert len(refused.value.problems) == 3
    assert all(problem.startswith(start) for problem, start in zip(refused.value.problems, starts, strict=True))


def test_ratios_and_levels_that_are_none_are_refused_and_change_nothing():
    mixer = _mixer()
    before = _steps(mixer, 3)
    with pytest.raises(BadInput) as refused:
        mixer.start_stage({"a": 0.5, "bb": -0.2}, levels=(0.5, 0.6))
    assert refused.value.problems == [
        *mix_problems({"a": 0.5, "bb": -0.2}, "mix", list("abc")),
        *level_problems((0.5, 0.6)),
    ]
    assert len(refused.value.problems) == 4  # an unknown source, its ratio, two sums
    for mix in ({}, {"a": float("nan")}, {"a": 0.0, "b": 1.0}):
        with pytest.raises(BadInput):
            mixer.start_stage(mix)
    assert mixer.state() == {
        "before": {"a": 0, "b": 0, "c": 0},
        "step": 3,
        "mix": MIX,
        "levels": [1.0],
        "limits": {},
        "passed_over": {},
    }
    assert torch.equal(torch.cat([*before, mixer.next()]), torch.cat(_steps(_mixer(), 4)))


def test_a_saved_place_of_other_sources_is_refused():
    state = Mixer({"a": Named(0), "d": Named(1)}, 8).state() | {"mix": {"a": 0.5, "d": 0.5}}
    with pytest.raises(BadInput) as refused:
        _mixer().load_state(state)
    in_mix, in_place = refused.value.problems
    assert in_mix.startswith("saved mix: ") and "'d'" in in_mix
    assert "rows of a, d, not of a, b, c" in in_place


def test_epochs_count_rows_read():
    mixer = Mixer({"a": TextRows(np.arange(40), WIDTH, "a", 0), "b": Named(1)}, 5)
    mixer.start_stage({"a": 0.8, "b": 0.2})
    _steps(mixer, 6)
    assert mixer.epochs() == {"a": 2.4}


def _capped(max_epochs, batch_size=5):
    rows = {"a": TextRows(np.arange(40), WIDTH, "a", 0), "b": TextRows(np.arange(200), WIDTH, "b", 0), "c": Named(2)}
    mixer = Mixer(rows, batch_size, max_epochs=max_epochs)
    mixer.start_stage({"a": 0.6, "b": 0.2, "c": 0.2})
    return mixer


def _capped_steps(mixer, count):
    return [(mixer.leave_out_exhausted(), mixer.next()) for _ in range(count)]


def test_a_source_read_often_enough_leaves_the_mix_and_the_others_keep_their_proportions():
    mixer = _capped(2.0)
    steps = _capped_steps(mixer, 40)
    left = [(step, names) for step, (names, _) in enumerate(steps) if names]
    assert left == [(6, ["a"])]  # 3 of 10 rows a batch, 20 allowed: six batches
    assert mixer.mix == {"b": 0.5, "c": 0.5}
    assert mixer.epochs() == {"a": 1.8, "b": pytest.approx((6 + 34 * 2.5) / 50, abs=0.03)}
    later = torch.cat([batch for _, batch in steps[6:]])
    counts = (later[:, 0] == 2).sum().item()  # of c, whose rows begin with 2
    assert abs(counts / len(later) - 0.5) < 0.1
    mixer.start_stage({"a": 0.5, "c": 0.5})  # read no further in a later stage either
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
