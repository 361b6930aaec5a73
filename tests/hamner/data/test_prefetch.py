"""Drawn ahead in a thread or not: the same batches, the same state, whatever is changed in between."""

import threading

import numpy as np
import pytest
import torch

from hamner.data.mixer import Mixer
from hamner.data.prefetch import PrefetchingMixer
from hamner.data.synthetic_rows import SyntheticRows
from hamner.data.text_rows import TextRows
from hamner.data.tokenizer import Tokenizer

WIDTH = 24


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(["Calculate: sort, count: which is bigger 0123456789 yes no = + - * ->"], 290)


def _both(tokenizer, **more):
    """The two kinds of mixer, each with rows of its own, at the beginning of the same stage."""
    mixers = []
    for kind in (Mixer, PrefetchingMixer):
        rows = {
            "synthetic": SyntheticRows(tokenizer, WIDTH, 0, 0.05),
            "sft": TextRows(np.arange(40 * WIDTH), WIDTH, "sft", 0),
            "personal": TextRows(np.arange(400 * WIDTH), WIDTH, "personal", 0),
        }
        mixers.append(kind(rows, 8, **more))
        mixers[-1].start_stage({"synthetic": 0.5, "sft": 0.3, "personal": 0.2})
    return mixers


def _same(plain, ahead, steps):
    for _ in range(steps):
        assert torch.equal(plain.next(), ahead.next())
        assert plain.state() == ahead.state() and plain.rows_read() == ahead.rows_read()


def test_batches_are_those_of_the_plain_mixer_over_stages(tokenizer):
    plain, ahead = _both(tokenizer)
    _same(plain, ahead, 130)
    for name, levels in (("synthetic", (0.3, 0.7)), ("synthetic", (0.1, 0.2, 0.7)), ("sft", (1.0,))):
        for mixer in (plain, ahead):
            mixer.start_stage({name: 1.0}, levels)
        _same(plain, ahead, 20)


def test_state_knows_nothing_of_what_was_drawn_ahead_and_goes_on_bit_for_bit(tokenizer):
    plain, ahead = _both(tokenizer)
    _same(plain, ahead, 17)
    _, resumed = _both(tokenizer)
    resumed.load_state(ahead.state())
    _same(plain, resumed, 20)
    ahead.load_state(plain.state())  # forwards, with a batch of the old place waiting
    _same(plain, ahead, 5)
    _, other = _both(tokenizer)
    ahead.load_state(other.state())  # and back to the beginning
    _same(_both(tokenizer)[0], ahead, 30)


def test_asking_for_any_batch_or_rows_read_disturbs_nothing(tokenizer):
    plain, ahead = _both(tokenizer)
    for step in (3, 250, 0, 4):
        _same(plain, ahead, 3)
        assert torch.equal(plain.batch(step), ahead.batch(step))
        assert torch.equal(plain.already_read("sft", 5), ahead.already_read("sft", 5))
        assert plain.epochs() == ahead.epochs()


def test_a_source_that_leaves_the_mix_takes_what_was_drawn_ahead_with_it(tokenizer):
    plain, ahead = _both(tokenizer, max_epochs=1.5)
    left = []
    for _ in range(60):
        gone = ahead.leave_out_exhausted()
        assert plain.leave_out_exhausted() == gone
        left += gone
        _same(plain, ahead, 1)
    assert left == ["sft"]


@pytest.mark.parametrize("rank", [0, 1])
def test_each_of_two_workers_draws_its_share_ahead(tokenizer, rank):
    _same(*_both(tokenizer, rank=rank, world_size=2), 110)


class Failing:
    """Rows of which number 10 cannot be read."""

    def row(self, index, levels):
        if index == 10:
            raise OSError("row 10 cannot be read")
        return np.full(WIDTH, index)


def test_an_error_is_raised_by_the_step_that_reads_the_batch_and_again_by_the_next_try():
    ahead = PrefetchingMixer({"sft": Failing()}, 4)
    ahead.start_stage({"sft": 1.0})
    assert [int(ahead.next()[0, 0]) for _ in range(2)] == [0, 4]  # the third is being drawn
    for _ in range(2):
        with pytest.raises(OSError, match="row 10 cannot be read"):
            ahead.next()
    assert ahead.state()["step"] == 2
    ahead.load_state(ahead.state() | {"step": 3})  # past it
    assert int(ahead.next()[0, 0]) == 12


class Slow(Failing):
    """Rows that tell which thread read them, and wait until they may."""

    def __init__(self):
        self.threads, self.gate = [], threading.Event()

    def row(self, index, levels):
        if index >= 4:
            self.gate.wait(10)
        self.threads.append(threading.current_thread().name)
        return np.full(WIDTH, index)


def test_the_next_batch_is_drawn_by_another_thread_while_this_one_is_used():
    rows = Slow()
    ahead = PrefetchingMixer({"sft": rows}, 4)
    ahead.start_stage({"sft": 1.0})
    assert int(ahead.next()[0, 0]) == 0  # returns although batch 1 cannot be drawn yet
    rows.gate.set()
    assert int(ahead.next()[0, 0]) == 4
    assert rows.threads[:4] == [threading.current_thread().name] * 4
    assert all(name.startswith("prefetch") for name in rows.threads[4:8])


def test_the_thread_ends_with_the_mixer():
    before = set(threading.enumerate())  # other tests' among them
    ahead = PrefetchingMixer({"sft": Failing()}, 1)
    ahead.start_stage({"sft": 1.0})
    ahead.next()
    (thread,) = [t for t in threading.enumerate() if t.name.startswith("prefetch") and t not in before]
    del ahead
    thread.join(10)
    assert not thread.is_alive()
