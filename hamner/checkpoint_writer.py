"""Checkpoints beside training: copied at once, written by a thread, committed by the same rename as always.

Small ones are written in line: that takes a moment, and a kill never costs more than the steps between two of them.
Of large ones a kill may come while one is being written, and then costs the steps since the one before.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hamner import checkpoint
from hamner.config import ModelConfig
from hamner.tokenizer import Tokenizer

BESIDE_BYTES = 64 * 2**20    # of tensors: from here on writing is worth a thread and a copy


class CheckpointWriter:
    """Writes one checkpoint at a time."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def write(
        self, folder: Path, groups: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any], model: ModelConfig,
        tokenizer: Tokenizer, then: Callable[[], None] = lambda: None,
    ) -> None:
        """checkpoint.save of what the arguments hold now, and `then`; in a thread when it is large.

        Waits for the one before it. Raises what that one raised, and what a small one raises.
        """
        self.wait()
        if sum(tensor.nbytes for tensors in groups.values() for tensor in tensors.values()) < BESIDE_BYTES:
            checkpoint.save(folder, groups, state, model, tokenizer)
            return then()
        held = {group: {name: _copy(tensor) for name, tensor in tensors.items()} for group, tensors in groups.items()}
        held_state = copy.deepcopy(dict(state))

        def work() -> None:
            try:
                checkpoint.save(folder, held, held_state, model, tokenizer)
                then()
            except BaseException as error:
                self._error = error

        self._thread = threading.Thread(target=work, name="checkpoint")
        self._thread.start()

    def wait(self) -> None:
        """Until nothing is being written. Raises what writing raised."""
        if self._thread:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error:
            raise error


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
