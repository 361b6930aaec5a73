"""When a stage ends and how its learning-rate schedule decays (WSD, cosine, linear).

Data in: step counts of one stage, and what early stopping says. Data out: the factor of the learning rate at each
step, and the reason when the stage is over. Pure arithmetic, no torch.

With a decay the schedule is warmup, stable, decay (WSD; Hu et al. 2024): once a plateau or the stage's length says
that the end has come, the rate falls to 0 in a straight line over `decay_steps`. Of a fixed length, or of the cap
`max_steps`, the decay is the last part.

With a deadline a stage's length is what the hours give it, and moves while the stage is trained (`move_end`). A rate
that is falling goes on from where it is, in a straight line to 0 at the new end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from curriculum.plateau import StopReason
from curriculum.stages import Stage
from hamner.config.schema import Curriculum
from hamner.training.learning_rate import cosine, linear_decay

COSINE_FLOOR = 0.1  # of the peak rate
SHORTEST_DECAY = 10  # steps in which the full rate falls to 0 though the time is over; of half the rate, half of them


class StageSchedule:
    """Length and learning-rate schedule of one stage. Its JSON state survives a restart."""

    def __init__(self, stage: Stage, settings: Curriculum, *, is_last: bool, length: int | None = None) -> None:
        """is_last: no stage comes after it, so `decay = "run"` decays here.

        length: what a deadline gives the stage, instead of its own length or the cap.
        """
        self._stage, self._is_last, self._longest_decay = stage, is_last, settings.decay_steps
        has_decay = settings.decay == "stage" or (settings.decay == "run" and is_last)
        self._has_decay = has_decay and not stage.is_decay  # which is a decay itself
        self.length = max(length, self._fewest(1.0)) if length else stage.length(settings.max_steps)
        self._reason = "time" if length else "steps" if self.length == stage.steps else "cap"
        self._is_timed = bool(length)
        self._decay_start: int | None = None  # stage step at which the decay began
        self.end_step: int | None = None  # ... and at which it ends the stage; known once it has begun
        self._line = (0, 1.0)  # stage step and factor where the straight line of a falling rate begins

    def _fewest(self, height: float) -> int:
        """Steps that the rate needs to come to 0 from this factor of it, at least; none where it does not fall."""
        if self._has_decay:
            return math.ceil(min(SHORTEST_DECAY, self._longest_decay) * height - 1e-9)
        return math.ceil(SHORTEST_DECAY * height - 1e-9) if self._stage.is_decay else 0

    @property
    def _decay_steps(self) -> int:
        return min(self._longest_decay, self.length - 1) if self._has_decay else 0

    @property
    def is_falling(self) -> bool:
        """Whether the rate is on its way to 0."""
        return self._stage.is_decay or self.end_step is not None

    def rate_scale(self, step: int) -> float:
        """Factor of the learning rate at 0-based stage step `step`, the warmup apart."""
        scale = 1.0
        if self._stage.schedule == "cosine":
            scale = cosine(step, self.length, COSINE_FLOOR)
        if self.is_falling:
            start, height = self._line
            scale *= height * linear_decay(step, start, self.end_step or self.length)
        return scale

    def after_step(self, step: int, stop_reason: StopReason | None) -> str | None:
        """Count 1-based stage step `step`; returns plateau, worse, steps, cap or time when the stage is over.

        stop_reason: of early stopping, if it wants the stage to end here; ignored in a stage of fixed length. With a
        decay it ends the stable part alone, whatever the reason.
        """
        if self._stage.steps or self._stage.run_share:
            stop_reason = None
        if self.end_step is not None:
            return self._reason if step >= self.end_step else None
        if step >= self.length or (stop_reason and not self.begin_decay(step, stop_reason)):
            return stop_reason or self._reason
        if self._decay_steps and step >= self.length - self._decay_steps:
            self.begin_decay(step, self._reason)
        return None

    def begin_decay(self, step: int, reason: str) -> bool:
        """End the stable part at 1-based `step`; False where there is no decay to come."""
        if not self._decay_steps or self.end_step is not None:
            return False
        self._reason, self._line = reason, (step, 1.0)
        self._decay_start, self.end_step = step, min(step + self._decay_steps, self.length)
        return True

    def move_end(self, step: int, length: int) -> None:
        """After 1-based `step`, give the stage another length. Its decay keeps the steps it needs to come to 0.

        A decay of the last stage lasts to the end of the time.
        """
        height = 1.0
        if self.is_falling:
            if step >= (self.end_step or self.length):
                return  # the rate has come to 0
            start, height = self._line
            height *= linear_decay(step, start, self.end_step or self.length)
            self._line = (step, height)
        self.length, self._is_timed = max(length, step + self._fewest(height), 1), True
        if self.end_step is None or self._decay_start is None:
            self._reason = "time"
            return
        own_end = self.length if self._is_last else self._decay_start + self._longest_decay
        self.end_step = max(min(self.length, own_end), step + 1)

    def is_decaying_from(self, step: int) -> bool:
        """Whether the decay began at this 1-based step, because the loss rose or a source ended."""
        return self._decay_start == step and self._reason in ("worse", "data")

    def state(self) -> dict[str, Any]:
        return {
            "reason": self._reason,
            "decay_start": self._decay_start,
            "end_step": self.end_step,
            "length": self.length,
            "line": list(self._line),
            "is_timed": self._is_timed,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._decay_start, self.end_step = state["decay_start"], state["end_step"]
        self._line, self._is_timed = (state["line"][0], state["line"][1]), state["is_timed"]
        if self._is_timed:  # else the config says it, whose cap may have been raised since
            self.length = state["length"]
        if self._is_timed or self.end_step is not None:
            self._reason = state["reason"]
