"""A card that is not there: a run that raises the real out-of-memory error at a set number of bytes."""

from typing import ClassVar

import torch

from hamner.config.cost import GIB
from hamner.config.schema import Config
from tournament.gpu_memory import MemoryPlan, first_memory_plan, memory_bytes
from tournament.training import Training
from tournament.trial import Trial


class OnFakeCard(Training):
    """Computes on the CPU; a step takes the bytes that are planned for it.

    limits: bytes the share that a run begins with really holds, by the run's folder; a larger share holds more.
    """

    limits: ClassVar[dict[str, float]] = {}

    def __init__(self, config: Config, *arguments, **more) -> None:
        self.card = config
        here = config.compute.model_copy(update={"device": "cpu", "precision": "fp32"})
        super().__init__(config.model_copy(update={"compute": here}), *arguments, **more)

    def _first_rung(self) -> MemoryPlan:
        return first_memory_plan(self.contestant.model, self.card)

    def _step(self, round_index: int):
        wanted = memory_bytes(self.contestant.model, self.card, self.rung)
        given = self.limits.get(self.folder.name, wanted) * (self.rung.share / self._first_rung().share)
        if wanted > given:
            raise torch.OutOfMemoryError(
                f"CUDA out of memory. Tried to allocate {wanted / GIB:.4f} GiB. GPU 0 has {given / GIB:.4f} GiB"
            )
        return super()._step(round_index)


class TrialOnFakeCard(Trial):
    training = OnFakeCard
