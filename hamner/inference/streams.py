"""Scheduler of streams (continuous batching): several replies share one model in turns, one token each.

One thread holds the model. In each round every stream that has read its prompt gets one token, and prompts that are
still to be read share PROMPT_TOKENS, in turns as well: a long prompt delays others by a piece of it at a time. Streams
beyond the places wait in the order in which they came.

Data in: Jobs, from any thread. Data out: tokens, then an ending, through each job's `deliver`.
"""

from __future__ import annotations

import math
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

import torch
from torch import Tensor

from hamner.inference.continuous_batch import Part, last_hidden_states
from hamner.inference.generate import REPLY_ENDS, Sampling, draw_token
from hamner.model.evaluation_mode import evaluation_mode
from hamner.model.kv_cache import KVCache
from hamner.model.transformer import Hamner

PROMPT_TOKENS = 64  # read in a round: as long as four tokens of one stream (V3: 59 ms); docs/serve.md
LONGEST_WAIT = 60  # seconds that somebody who is turned away is told to wait at most
Ending = Literal["stop", "length", "error", "shutdown"]


class Busy(Exception):
    """All places are taken and the queue is full."""

    def __init__(self, places: int, queue: int, seconds: int) -> None:
        """seconds: until a place may be free"""
        super().__init__(f"{places} replies are being written and {queue} wait")
        self.seconds = seconds


@dataclass(frozen=True)
class Job:
    """One reply to be written. ids and max_new_tokens together fit the context, and neither is empty or 0.

    deliver: called in the model's thread with each new token, then once with the ending. It must not wait.
    """

    ids: Sequence[int]
    max_new_tokens: int
    sampling: Sampling
    seed: int
    deliver: Callable[[int | Ending], None]


class Stream:
    """A job on its way: waiting, reading its prompt, writing, or over."""

    def __init__(self, job: Job, streams: Streams) -> None:
        self._job, self._streams = job, streams
        self.is_over = False
        self.unread = list(job.ids)
        self._cache: KVCache | None = None  # while it has a place
        self._written: list[int] = []
        self._generator = torch.Generator().manual_seed(job.seed)

    @property
    def left(self) -> int:
        """Tokens that it may still write."""
        return self._job.max_new_tokens - len(self._written)

    def cancel(self) -> None:
        """End it without another token, and free its place. Nothing happens where it is over."""
        self._streams.remove(self)

    def next_part(self, hamner: Hamner, most: int) -> Part:
        """The next tokens to read, at most so many of its prompt."""
        if self._cache is None:
            room = len(self._job.ids) + self._job.max_new_tokens
            self._cache = KVCache(hamner.config, room, device=hamner.embedding.weight.device, dtype=hamner.dtype)
        tokens, self.unread = self.unread[:most], self.unread[most:]
        return Part(tokens, self._cache)

    def write(self, logits: Tensor) -> None:
        """Draw a token from logits (V,) and deliver it, or the ending."""
        try:
            token = draw_token(logits, self._written, self._job.sampling, self._generator)
        except RuntimeError:  # no numbers: of a model that has diverged
            traceback.print_exc(file=sys.stderr)
            return self.end("error")
        if self.is_over:  # its reader has left in the meantime
            return
        if token in REPLY_ENDS:
            return self.end("stop")
        self._written.append(token)
        self.unread = [token]
        self._job.deliver(token)
        if not self.left:
            self.end("length")

    def end(self, ending: Ending) -> None:
        """End it, from the model's thread."""
        self._cache = None  # its reader may hold this object much longer
        if self._streams.remove(self):
            self._job.deliver(ending)


class Streams:
    """The streams of a model, and the thread that holds it."""

    def __init__(self, hamner: Hamner, *, places: int = 64, queue: int = 64) -> None:
        """places: streams that share the model at a time. queue: streams that wait for a place."""
        self.places, self.queue = places, queue
        self.hamner = hamner
        self._active: list[Stream] = []
        self._waiting: deque[Stream] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._seconds = 0.0  # of a round, lately
        self._turn = 0  # of prompts: who reads first
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    def open(self, job: Job) -> Stream:
        """Begin a job, or let it wait for a place. Raises Busy where the queue is full too.

        Once all is closed it is ended here and now.
        """
        stream = Stream(job, self)
        with self._changed:
            if self._is_closed:  # it would wait for ever
                stream.is_over = True
                job.deliver("shutdown")
                return stream
            if len(self._active) + len(self._waiting) >= self.places + self.queue:
                nearest = min((other.left for other in self._active), default=0) * self._seconds
                raise Busy(self.places, self.queue, min(LONGEST_WAIT, max(1, math.ceil(nearest))))
            self._waiting.append(stream)
            self._changed.notify()
        return stream

    def remove(self, stream: Stream) -> bool:
        """End a stream and free its place; returns whether it was not over yet."""
        with self._changed:
            if stream.is_over:
                return False
            stream.is_over = True
            (self._waiting if stream in self._waiting else self._active).remove(stream)
        return True

    def close(self) -> None:
        """End all streams and the thread. Closed again, nothing happens."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    @property
    def active(self) -> list[Stream]:
        """The streams that have a place."""
        return list(self._active)

    @property
    def counts(self) -> tuple[int, int]:
        """How many streams have a place, and how many wait."""
        return len(self._active), len(self._waiting)

    @torch.inference_mode()
    def _work(self) -> None:
        """The model's thread."""
        with evaluation_mode(self.hamner):
            while streams := self._next_round():
                begin = perf_counter()
                try:
                    self._play(streams)
                except Exception:  # such as a full memory: these replies are lost, the server is not
                    traceback.print_exc(file=sys.stderr)
                    for stream in streams:
                        stream.end("error")
                seconds = perf_counter() - begin
                self._seconds += (seconds - self._seconds) / 8 if self._seconds else seconds
        for stream in [*self._active, *self._waiting]:
            stream.end("shutdown")

    def _next_round(self) -> list[Stream]:
        """Give free places to those that wait, and wait for a stream where there is none; [] when all is over."""
        with self._changed:
            while not (self._active or self._waiting or self._is_closed):
                self._changed.wait()
            while self._waiting and len(self._active) < self.places and not self._is_closed:
                self._active.append(self._waiting.popleft())
            return [] if self._is_closed else list(self._active)

    def _play(self, streams: Sequence[Stream]) -> None:
        """One token for each stream that has read its prompt; the others read PROMPT_TOKENS together."""
        reading = [stream for stream in streams if len(stream.unread) > 1]
        writing = [stream for stream in streams if len(stream.unread) == 1]
        self._turn = (self._turn + 1) % len(reading) if reading else 0
        room, chosen = PROMPT_TOKENS, list[tuple[Stream, int]]()
        for stream in [*reading[self._turn :], *reading[: self._turn]]:
            if room:
                chosen.append((stream, min(room, len(stream.unread))))
                room -= chosen[-1][1]
        chosen += [(stream, 1) for stream in writing]
        parts = [stream.next_part(self.hamner, most) for stream, most in chosen]
        states = last_hidden_states(self.hamner, parts)
        rows = [row for row, (stream, _) in enumerate(chosen) if not stream.unread]
        if rows:
            logits = self.hamner.logits(states[rows]).float().cpu()
            for place, row in enumerate(rows):
                chosen[row][0].write(logits[place])
