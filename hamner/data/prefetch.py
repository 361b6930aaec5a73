"""A mixer whose next batch is drawn in a thread while the present one is trained on.

    mixer = PrefetchingMixer(rows, batch_size)    # wherever a Mixer is

A batch is a function of (ratios, levels, step), so one drawn early is the same batch, and nothing of it is state: a
checkpoint knows only what `next` has handed out. Whatever changes what comes next (a stage, ratios, a saved place)
waits for the thread and drops what it drew; an error in the thread is raised by the step that would read its batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from hamner.data.mixer import Mixer
from hamner.data.synthetic_rows import Levels


class PrefetchingMixer(Mixer):
    """Mixer, one batch ahead. For one caller at a time, as Mixer is."""

    _ahead: tuple[int, Future[torch.Tensor]] | None = None
    _thread: ThreadPoolExecutor | None = None  # started by the first `next`: a mixer may be asked for batches only

    def next(self) -> torch.Tensor:
        batch = self.batch(self._step)
        self._step += 1
        self._thread = self._thread or ThreadPoolExecutor(1, "prefetch")
        self._ahead = self._step, self._thread.submit(super().batch, self._step)
        return batch

    def batch(self, step: int) -> torch.Tensor:
        """As Mixer.batch; the batch drawn ahead when it is the one asked for."""
        if self._ahead and self._ahead[0] == step:
            return self._ahead[1].result()
        self._settle()
        return super().batch(step)

    def already_read(self, name: str, count: int) -> torch.Tensor | None:
        self._settle()
        return super().already_read(name, count)

    def _begin(self, mix: Mapping[str, float], levels: Levels) -> None:
        """Where every change passes: of stage, of ratios, of place."""
        self._settle()
        self._ahead = None
        super()._begin(mix, levels)

    def _settle(self) -> None:
        """Rows are read by one thread at a time."""
        if self._ahead:
            self._ahead[1].exception()  # waits, and leaves what went wrong to the step that needs the batch
