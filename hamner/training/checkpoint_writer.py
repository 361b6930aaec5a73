"""Checkpoints beside training: copied at once, written by a thread, committed by the same rename as always.

A kill may come while one is being written. So that it never costs more than the interval that was asked for, a tenth of
it is kept for writing: checkpoints begin that much earlier, and training waits for one that is not on disk by then.
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


def checkpoint_due(step: int, every: int) -> bool:
    """Whether a checkpoint begins after this step, if a kill may cost `every` steps."""
    return step % (every - every // 10) == 0


def must_be_on_disk(step: int, every: int) -> bool:
    """Whether the newest checkpoint must be on disk before the next step: at once where a tenth is less than a step."""
    return step % (every - every // 10) == every // 10


class CheckpointWriter:
    """Writes one checkpoint at a time."""

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
        first: Callable[[], None] = lambda: None,
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """`first`, checkpoint.save of what the arguments hold now, and `then`, in a thread.

        Waits for the one before it. Raises what that one raised.
        """
        self.wait()
        held = {group: {name: _copy(tensor) for name, tensor in tensors.items()} for group, tensors in groups.items()}
        held_state = copy.deepcopy(dict(state))

        def work() -> None:
            first()
            checkpoint.save(folder, held, held_state, model, tokenizer)
            then()

        self._running = Background(work, "checkpoint")

    def wait(self) -> None:
        """Until nothing is being written. Raises what writing raised."""
        running, self._running = self._running, None
        if running:
            running.result()


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
