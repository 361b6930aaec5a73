"""Prefetching data loader: a mixer that prepares the next batch in a thread while the present one is trained on.

    mixer = PrefetchingMixer(rows, batch_size)    # wherever a Mixer is

A batch is a function of (ratios, levels, step), so one prepared early is the same batch, and it is not part of the
state: a checkpoint knows only the batches that `next` has returned. A change of stage, ratios or place waits for the
thread and drops its batch; an error in the thread is raised by the step that would read its batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from hamner.data.mixer import Mixer
from hamner.data.synthetic_rows import Levels


class PrefetchingMixer(Mixer):
    """Mixer, one batch ahead. For one caller at a time, as Mixer is."""

    _ahead: tuple[int, Future[torch.Tensor]] | None = None  # step, batch
    _thread: ThreadPoolExecutor | None = None  # started by the first `next`, since not every mixer is stepped

    def next(self) -> torch.Tensor:
        """As Mixer.next; then the thread begins with the batch after it."""
        batch = self.batch(self._step)
        self._step += 1
        self._thread = self._thread or ThreadPoolExecutor(1, "prefetch")
        self._ahead = self._step, self._thread.submit(super().batch, self._step)
        return batch

    def batch(self, step: int) -> torch.Tensor:
        """As Mixer.batch; the prefetched batch where `step` is the one it is of."""
        if self._ahead and self._ahead[0] == step:
            return self._ahead[1].result()
        self._wait_for_thread()
        return super().batch(step)

    def already_read(self, name: str, count: int) -> torch.Tensor | None:
        """As Mixer.already_read."""
        self._wait_for_thread()
        return super().already_read(name, count)

    def _begin(self, mix: Mapping[str, float], levels: Levels) -> None:
        """As Mixer._begin, through which every change of stage, ratios and place goes."""
        self._wait_for_thread()
        self._ahead = None
        super()._begin(mix, levels)

    def _wait_for_thread(self) -> None:
        """Wait until the thread reads no rows; an error stays with its batch."""
        if self._ahead:
            self._ahead[1].exception()  # unlike result() it waits without raising
