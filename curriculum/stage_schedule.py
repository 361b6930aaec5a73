"""When a stage ends and how its learning-rate schedule decays (WSD, cosine, linear).

Data in: step counts of one stage, and what early stopping says. Data out: the factor of the learning rate at each
step, and the reason when the stage is over. Pure arithmetic, no torch.

With a decay the schedule is warmup, stable, decay (WSD; Hu et al. 2024): once a plateau or the stage's length says
that the end has come, the rate falls to 0 in a straight line over `decay_steps`. Of a fixed length, or of the cap
`max_steps`, the decay is the last part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curriculum.plateau import StopReason
from curriculum.stages import Stage
from hamner.config.schema import Curriculum
from hamner.training.learning_rate import cosine, linear_decay

COSINE_FLOOR = 0.1  # of the peak rate


class StageSchedule:
    """Length and learning-rate schedule of one stage. Its JSON state survives a restart."""

    def __init__(self, stage: Stage, settings: Curriculum, *, is_last: bool) -> None:
        """is_last: no stage comes after it, so `decay = "run"` decays here."""
        self._stage, self._length = stage, stage.length(settings.max_steps)
        has_decay = settings.decay == "stage" or (settings.decay == "run" and is_last)
        has_decay &= not stage.is_decay  # which is a decay itself
        self._decay_steps = min(settings.decay_steps, self._length - 1) if has_decay else 0
        self._reason = "steps" if self._length == stage.steps else "cap"
        self._decay_start: int | None = None  # stage step at which the decay began
        self.end_step: int | None = None  # ... and at which it ends the stage; known once it has begun

    def rate_scale(self, step: int) -> float:
        """Factor of the learning rate at 0-based stage step `step`, the warmup apart."""
        scale = 1.0
        if self._stage.schedule == "cosine":
            scale = cosine(step, self._length, COSINE_FLOOR)
        elif self._stage.schedule == "linear":
            scale = linear_decay(step, 0, self._length)
        if self._decay_start is not None and self.end_step is not None:
            scale *= linear_decay(step, self._decay_start, self.end_step)
        return scale

    def after_step(self, step: int, stop_reason: StopReason | None) -> str | None:
        """Count 1-based stage step `step`; returns plateau, worse, steps or cap when the stage is over.

        stop_reason: of early stopping, if it wants the stage to end here; ignored in a stage of fixed length. With a
        decay it ends the stable part alone, whatever the reason.
        """
        if self._stage.steps:
            stop_reason = None
        if self.end_step is not None:
            return self._reason if step >= self.end_step else None
        if step >= self._length or (stop_reason and not self.begin_decay(step, stop_reason)):
            return stop_reason or self._reason
        if self._decay_steps and step >= self._length - self._decay_steps:
            self.begin_decay(step, self._reason)
        return None

    def begin_decay(self, step: int, reason: str) -> bool:
        """End the stable part at 1-based `step`; False where there is no decay to come."""
        if not self._decay_steps or self.end_step is not None:
            return False
        self._reason = reason
        self._decay_start, self.end_step = step, min(step + self._decay_steps, self._length)
        return True

    def is_decaying_from(self, step: int) -> bool:
        """Whether the decay began at this 1-based step, because the loss rose or a source ended."""
        return self._decay_start == step and self._reason in ("worse", "data")

    def state(self) -> dict[str, Any]:
        return {"reason": self._reason, "decay_start": self._decay_start, "end_step": self.end_step}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._decay_start, self.end_step = state["decay_start"], state["end_step"]
        if self.end_step is not None:  # before the decay the config says it, whose cap may have been raised since
            self._reason = state["reason"]
