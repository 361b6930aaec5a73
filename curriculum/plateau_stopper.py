"""Plateau stopper: measures the held-out loss that plateau.py judges, of a running average (EMA) of the weights.

Averaging leaves training untouched and takes most of the scatter out of one evaluation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from curriculum.plateau import Look, StopReason, make_stopper
from curriculum.stages import Stage
from hamner.config.schema import Config
from hamner.evaluation.heldout import MixResult, evaluate_rows
from hamner.model.transformer import Hamner
from hamner.training.trainer import Diverged


class StageJudge:
    """The stopper of one stage. `rows`: held-out rows of each source of its mix."""

    def __init__(self, hamner: Hamner, stage: Stage, rows: Mapping[str, Tensor], config: Config) -> None:
        self._stage, self._config, self._rows = stage, config, rows
        rule = config.curriculum.plateau
        self._every, self._window = rule.evaluation_steps, rule.window_steps
        decay = 1 - 1 / max(rule.averaging_steps, 1.0)
        self.average = AveragedModel(hamner, multi_avg_fn=get_ema_multi_avg_fn(decay))
        self.stopper = make_stopper(rule, config.curriculum.warmup_steps)
        self.last_loss: float | None = None
        self.last_losses: dict[str, float] = {}  # of each source of the mix
        self.last_look: Look | None = None

    def after_step(self, hamner: Hamner, step: int, loss: float) -> StopReason | None:
        """Take the weights and the training loss of 1-based step `step`; returns the reason when the stage is over.

        Raises Diverged when the averaged weights are of no use any more.
        """
        self.average.update_parameters(hamner)
        self.last_look = self.stopper.add_training_loss(step, loss) if math.isfinite(loss) else None  # a skipped step
        if self.due(step):
            self.last_loss = self.measure()
            self.last_look = self.stopper.add_heldout_loss(step, self.last_loss) or self.last_look
        return self.stopper.stop_reason(self.last_look)

    def due(self, step: int) -> bool:
        """Whether the held-out loss is measured after this step."""
        return step % self._every == 0

    def window_ends(self, step: int) -> bool:
        return step % self._window == 0

    def measure(self) -> float:
        """Held-out loss of the averaged weights on the stage's mix, nats per token. Raises Diverged."""
        settings = self._config.curriculum
        results = {
            name: evaluate_rows(
                self.averaged,
                rows,
                self._config.compute,
                batch_size=settings.batch_size // settings.gradient_accumulation_steps,
            )
            for name, rows in self._rows.items()
        }
        loss = MixResult(results, self._stage.mix).loss
        self.last_losses = {name: result.loss for name, result in results.items()}
        if not math.isfinite(loss):
            raise Diverged(f"the held-out loss of the averaged weights is {loss}")
        return loss

    @property
    def averaged(self) -> Hamner:
        """The model with the running average of the stage's weights."""
        return cast(Hamner, self.average.module)

    @property
    def mix(self) -> Mapping[str, float]:
        """Shares of the sources that the stage is judged on."""
        return self._stage.mix

    def forget_average(self) -> None:
        """Begin the running average anew with the next step's weights."""
        self.average.n_averaged = torch.zeros_like(self.average.n_averaged)

    def tensors(self) -> dict[str, Tensor]:
        return dict(self.average.module.state_dict())

    def state(self) -> dict[str, Any]:
        return {"stopper": self.stopper.state(), "averaged": int(self.average.n_averaged), "last": self.last_loss}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Load what tensors() returned."""
        self.average.module.load_state_dict(dict(tensors))

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Load what state() returned."""
        self.average.n_averaged = torch.tensor(state["averaged"])
        self.stopper.load_state(state["stopper"])
        self.last_loss = state["last"]
