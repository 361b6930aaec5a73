"""How long a stage lasts and how its learning rate ends: a plain rule on step counts.

A plateau, or the stage's length, says when it is over. With a decay the rate then falls to 0 in a straight line over
`decay_steps` before it is (Hu et al. 2024: warmup, stable, decay); a fixed length or the cap has the decay inside.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from curriculum.plateau import Ending
from curriculum.stages import Stage
from hamner.config.schema import Curriculum

COSINE_FLOOR = 0.1  # of the peak rate


class StageEnd:
    """The end of one stage. last: no stage comes after it."""

    def __init__(self, stage: Stage, settings: Curriculum, *, last: bool) -> None:
        self._stage, self._length = stage, stage.length(settings.max_steps)
        wanted = settings.decay == "stage" or (settings.decay == "run" and last)
        self._decay_steps = min(settings.decay_steps, self._length - 1) if wanted else 0
        self._reason = "steps" if self._length == stage.steps else "cap"
        self._since: int | None = None  # stage step at which the decay began
        self.at: int | None = None  # ... and at which it ends the stage

    def rate_scale(self, step: int) -> float:
        """Factor of the learning rate of 0-based stage step `step`."""
        scale = 1.0
        if self._stage.schedule == "cosine":
            scale = COSINE_FLOOR + (1 - COSINE_FLOOR) * (1 + math.cos(math.pi * step / self._length)) / 2
        if self._since is not None and self.at is not None:
            scale *= 1 - (step - self._since) / (self.at - self._since)
        return scale

    def after_step(self, step: int, ending: Ending | None) -> str | None:
        """The reason when the stage is over after 1-based step `step`: plateau, worse, steps or cap."""
        if self._stage.steps:
            ending = None  # of a fixed length
        if self.at is not None:
            return self._reason if step >= self.at else None
        if ending == "worse" or (ending and not self._decay_steps) or step >= self._length:
            return ending or self._reason
        if self._decay_steps and (ending or step >= self._length - self._decay_steps):
            self._reason = ending or self._reason
            self._since, self.at = step, min(step + self._decay_steps, self._length)
        return None

    def state(self) -> dict[str, Any]:
        return {"reason": self._reason, "since": self._since, "at": self.at}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._reason, self._since, self.at = state["reason"], state["since"], state["at"]
