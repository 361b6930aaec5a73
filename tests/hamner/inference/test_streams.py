"""The scheduler of streams: turns, places, the queue, and streams that are ended from outside."""

import threading
from collections import Counter

import pytest
import torch
from served import TOKENIZER, endless_model, wait_until

from hamner.inference.generate import Sampling, stream
from hamner.inference.streams import PROMPT_TOKENS, Busy, Job, Streams

PROMPT = TOKENIZER.encode("hello there the fox")


class Reader:
    """Receives what a job delivers; `log` is shared, so that it tells who got what when."""

    def __init__(self, log=None, name=0):
        self.items, self.log, self.name, self.gate = [], log if log is not None else [], name, threading.Event()
        self.gate.set()
        self.is_over = threading.Event()

    def __call__(self, item):
        self.gate.wait()
        self.items.append(item)
        self.log.append(self.name)
        if isinstance(item, str):
            self.is_over.set()

    def job(self, ids=PROMPT, most=20, sampling=None, seed=0):
        return Job(ids, most, sampling or Sampling(), seed, self)

    def result(self):
        assert self.is_over.wait(60)
        return self.items


@pytest.fixture(scope="module")
def loaded():
    return endless_model()


@pytest.fixture
def streams(loaded):
    streams = Streams(loaded.model, places=4, queue=2)
    yield streams
    streams.close()


def _alone(loaded, ids, most, sampling, seed):
    return list(stream(loaded.model, ids, most, sampling, torch.Generator().manual_seed(seed)))


def test_streams_side_by_side_write_what_each_writes_alone(loaded, streams):
    kinds = [(PROMPT, 25, Sampling(temperature=0), 0), (PROMPT * 3, 9, Sampling(), 7), (PROMPT[:1], 14, Sampling(), 8)]
    kinds.append((PROMPT * 40, 12, Sampling(temperature=1.3, top_k=5), 9))  # read in several pieces
    assert len(PROMPT) * 40 > 2 * PROMPT_TOKENS
    readers = [Reader() for _ in kinds]
    for reader, (ids, most, sampling, seed) in zip(readers, kinds, strict=True):
        streams.open(reader.job(ids, most, sampling, seed))
    for reader, kind in zip(readers, kinds, strict=True):
        assert reader.result() == [*_alone(loaded, *kind), "length"]


def test_streams_get_one_token_each_in_turn(streams):
    log = []
    readers = [Reader(log, name) for name in range(4)]
    readers[0].gate.clear()  # until all four are there
    for reader in readers:
        streams.open(reader.job(most=30))
    readers[0].gate.set()
    for reader in readers:
        reader.result()
    for place in range(8, len(log) - 8):  # by then all have begun, and none has ended
        if place <= 100:
            assert max(Counter(log[place : place + 8]).values()) <= 3, log


def test_a_long_prompt_is_read_in_pieces_between_the_tokens_of_others(streams):
    log = []
    writer, newcomer = Reader(log, "writer"), Reader(log, "newcomer")
    streams.open(writer.job(most=300))
    wait_until(lambda: len(writer.items) > 2)
    pieces = 10
    streams.open(newcomer.job([5] * PROMPT_TOKENS * pieces, most=1))
    newcomer.result()
    before = log.index("newcomer")
    assert log[:before].count("writer") >= 2 + pieces - 1  # it went on: a token for every piece but the last
    writer.result()


def test_prompts_are_read_in_turns(streams):
    log = []
    long, short = Reader(log, "long"), Reader(log, "short")
    long.gate.clear(), short.gate.clear()
    streams.open(long.job([5] * PROMPT_TOKENS * 20, most=1))
    streams.open(short.job(PROMPT, most=1))
    short.gate.set(), long.gate.set()
    long.result()
    assert log[0] == "short"


def test_a_stream_that_is_cancelled_gets_at_most_the_token_that_is_being_computed(streams):
    reader = Reader()
    opened = streams.open(reader.job(most=1000))
    wait_until(lambda: len(reader.items) > 3)
    opened.cancel()
    count = len(reader.items)
    assert streams.counts == (0, 0)  # its place is free at once
    other = Reader()
    streams.open(other.job(most=50))
    other.result()
    assert len(reader.items) <= count + 1 and "length" not in reader.items
    opened.cancel()  # twice is once


def test_what_finds_no_place_waits_and_what_finds_no_room_in_the_queue_is_busy(streams):
    readers = [Reader(name=name) for name in range(6)]
    opened = [streams.open(reader.job(most=400)) for reader in readers]
    wait_until(lambda: streams.counts == (4, 2))
    with pytest.raises(Busy, match="4 replies are being written and 2 wait") as busy:
        streams.open(Reader().job())
    assert 1 <= busy.value.seconds <= 60
    assert not readers[4].items and not readers[5].items
    opened[4].cancel()  # one that waits
    last = Reader()
    streams.open(last.job(most=5))
    opened[0].cancel()  # one that has a place: the next that waits takes it
    wait_until(lambda: len(readers[5].items) > 0)
    assert not readers[4].items and not last.items
    for stream_ in opened:
        stream_.cancel()
    assert last.result()[-1] == "length"


def test_an_error_of_the_model_ends_its_replies_and_the_next_ones_are_written(loaded, streams, capfd):
    lost, reader = Reader(), Reader()
    streams.open(lost.job([10**6], most=5))  # no token of the vocabulary
    assert lost.result() == ["error"]
    streams.open(reader.job(most=5))
    assert reader.result()[-1] == "length" and len(reader.items) == 6
    assert "IndexError" in capfd.readouterr().err


def test_a_stream_whose_token_cannot_be_drawn_ends_alone(streams, capfd):
    lost, reader = Reader(), Reader()
    streams.open(reader.job(most=40))
    sampling = Sampling()
    object.__setattr__(sampling, "repetition_penalty", 1e-300)  # which Sampling refuses: infinite logits
    streams.open(lost.job(sampling=sampling, most=40))
    assert lost.result()[-1] == "error"
    assert reader.result()[-1] == "length" and len(reader.items) == 41
    assert "multinomial" in capfd.readouterr().err


def test_a_server_that_closes_ends_its_streams(loaded):
    streams, readers = Streams(loaded.model, places=1, queue=1), [Reader(), Reader()]
    for reader in readers:
        streams.open(reader.job(most=1000))
    streams.close()
    streams.close()  # as an app's end does once more
    assert [reader.result()[-1] for reader in readers] == ["shutdown", "shutdown"]
    late = Reader()
    streams.open(late.job()).cancel()
    assert late.items == ["shutdown"]  # and no silence
    assert loaded.model.training  # as it was before
