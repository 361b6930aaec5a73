"""A card that is not there: a run that raises the real out-of-memory error at a set number of bytes."""

from typing import ClassVar

import torch

from hamner.config.cost import GIB
from hamner.config.schema import Config
from tournament.gpu_memory import first_memory_plan, memory_estimate
from tournament.training import Training
from tournament.trial import Trial


class OnFakeCard(Training):
    """Computes on the CPU; a step takes the bytes that are planned for it.

    limits: bytes the share that a run begins with really holds, by the run's folder; a larger share holds more.
    """

    limits: ClassVar[dict[str, float]] = {}

    def __init__(self, config: Config, league, folder, contestant, *arguments, **more) -> None:
        self.card, self.first_plan = config, first_memory_plan(contestant.model, config)
        here = config.compute.model_copy(update={"device": "cpu", "precision": "fp32"})
        super().__init__(
            config.model_copy(update={"compute": here}),
            league,
            folder,
            contestant,
            *arguments,
            **more,
            first_plan=self.first_plan,
            on_batch=self.allocate,
        )

    def allocate(self) -> None:
        plan = self.memory.plan
        needed = memory_estimate(self.contestant.model, self.card, plan).peak
        size = self.limits.get(self.folder.name, needed) * (plan.share / self.first_plan.share)
        if needed > size:
            raise torch.OutOfMemoryError(
                f"CUDA out of memory. Tried to allocate {needed / GIB:.4f} GiB. GPU 0 has {size / GIB:.4f} GiB"
            )


class TrialOnFakeCard(Trial):
    training = OnFakeCard
