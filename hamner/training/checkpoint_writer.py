"""Asynchronous checkpointing: tensors are copied at once, written by a thread, committed by a rename.

A kill may come while a checkpoint is being written. So that it never costs more than the interval that was requested,
a tenth of the interval is reserved for writing: a checkpoint begins that much earlier, and training waits for one that
is not on disk by then.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hamner.config.schema import ModelConfig
from hamner.data.tokenizer import Tokenizer
from hamner.runs.background import Background
from hamner.training import checkpoint


def checkpoint_interval(every: int) -> int:
    """Return the steps between two checkpoints, if a kill may cost `every` steps."""
    return every - every // 10


def checkpoint_due(step: int, every: int) -> bool:
    """Return whether a checkpoint begins after this step, if a kill may cost `every` steps."""
    return step % checkpoint_interval(every) == 0


def must_be_on_disk(step: int, every: int) -> bool:
    """Return whether the newest checkpoint must be on disk before the next step.

    Where a tenth of the interval is less than a step, that is at once.
    """
    return step % checkpoint_interval(every) == every // 10


class CheckpointWriter:
    """Writes one checkpoint at a time, in a thread."""

    def __init__(self) -> None:
        self._running: Background[None] | None = None

    def write(
        self,
        folder: Path,
        groups: Mapping[str, Mapping[str, Tensor]],
        state: Mapping[str, Any],
        model: ModelConfig,
        tokenizer: Tokenizer,
        *,
        before: Callable[[], None] = lambda: None,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        """Copy the arguments, then call `before`, save the checkpoint and call `after` in a thread.

        Waits for the checkpoint before it. Raises what writing that one raised.
        """
        self.wait()
        groups = {group: {name: _copy(tensor) for name, tensor in tensors.items()} for group, tensors in groups.items()}
        state = copy.deepcopy(dict(state))

        def work() -> None:
            before()
            checkpoint.save(folder, groups, state, model, tokenizer)
            after()

        self._running = Background(work, "checkpoint")

    def wait(self) -> None:
        """Wait until nothing is being written. Raises what writing raised."""
        running, self._running = self._running, None
        if running:
            running.result()


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
