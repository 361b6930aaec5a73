"""Timekeeper of a curriculum: measures how long the parts of training take, and plans the stages within a deadline.

Everything is counted that takes time: a training step, an evaluation of the held-out rows, samples, the end of a stage
with its checkpoint, the beginning of the next, final/. What is left of the hours, less what the ends and borders still
to come will take, is turned into steps, and these are divided among the stages in proportion of their planned lengths.
The plan is made anew after every step: what a stage left over, or lost, is then shared by all that are still to come.

Data in: seconds, from a clock that can be replaced. Data out: steps. Pure rules on floats, no torch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curriculum.budget import planned_steps
from curriculum.deadline import Deadline, divided
from curriculum.stages import Stage
from hamner.config.schema import Config

STEADY = "steady_step"
# part -> how many of its newest measurements a mean is taken over
PARTS = {
    "step": 16,  # with its row of metrics and its share of checkpoints
    STEADY: 256,  # the same, for plans of many steps: a few slow ones must not end a stage
    "evaluation": 32,  # of the plateau's held-out rows
    "sample": 4,  # texts
    "ending": 2,  # of a stage: what is measured there, and its checkpoint
    "opening": 2,  # of a stage: its rows, and its held-out losses at the beginning
    "finish": 1,  # the averaged weights measured, final/ written
}
COLD_STEPS = 2  # of each process: compiling, caches
SETTLED = 8  # measurements after which one is an outlier that is more than OUTLIER times the mean
OUTLIER = 5.0
MOST_CHANGE = 4.0  # of the speed, by which what was measured before is corrected
FORECAST_WEIGHT = 4  # measurements that a forecast counts as


@dataclass
class Mean:
    """Mean of the newest measurements of a part: of all of them at first, exponential from `most` on."""

    most: int
    seconds: float = 0.0
    count: int = 0
    pace: float = 0.0  # seconds of a step when it was measured; 0: not known

    def at(self, pace: float) -> float:
        """Seconds at another speed, of so many seconds a step: what slows a step down slows the rest, too."""
        if not (self.pace and pace):
            return self.seconds
        return self.seconds * min(max(pace / self.pace, 1 / MOST_CHANGE), MOST_CHANGE)

    def add(self, seconds: float, pace: float = 0.0) -> None:
        """Take a measurement; a stall counts as OUTLIER means, else it would cut the plan to pieces.

        pace: seconds of a step at the time.
        """
        self.seconds = self.at(pace)
        self.pace = pace
        if self.count >= SETTLED:
            seconds = min(seconds, OUTLIER * self.seconds)
        self.count += 1
        self.seconds += (seconds - self.seconds) / min(self.count, self.most)


class Timekeeper:
    """The speed of one run, and its plan within its deadline."""

    def __init__(
        self,
        deadline: Deadline | None,
        weights: Sequence[float],
        *,
        evaluate_every: int,
        sample_every: int,
        forecast: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """weights: planned steps of each stage. forecast: seconds of the parts, as `seconds` returns them."""
        self.deadline, self._weights, self.clock = deadline, weights, clock
        self._every = {"evaluation": evaluate_every, "sample": sample_every}
        self._means = {part: Mean(most) for part, most in PARTS.items()}
        pace = (forecast or {}).get("step", 0.0)
        for part, seconds in (forecast or {}).items():
            count = min(FORECAST_WEIGHT, PARTS[part])
            self._means[part] = Mean(PARTS[part], seconds, count, 0.0 if part == "step" else pace)
        self._means[STEADY] = Mean(PARTS[STEADY], pace, FORECAST_WEIGHT if pace else 0)
        self._mark, self._pending, self._cold = clock(), dict[str, float](), COLD_STEPS

    # -- measuring

    def lap(self, part: str | None) -> None:
        """Count the time since the last lap as this part's; None: as nobody's."""
        now = self.clock()
        if part:
            self._pending[part] = self._pending.get(part, 0.0) + now - self._mark
        self._mark = now

    def commit(self) -> None:
        """Take what the laps since the last commit counted as one measurement of each part."""
        is_cold = "step" in self._pending and self._cold > 0
        self._cold -= is_cold
        measured = dict(self._pending)
        if "step" in measured:
            measured[STEADY] = measured["step"]
        for part, seconds in measured.items():
            mean = self._means[part]
            if not is_cold or not mean.count:
                mean.add(seconds, 0.0 if part in ("step", STEADY) else self._means["step"].seconds)
            if is_cold and mean.count == 1:
                mean.count = 0  # provisional: the next one takes its place
        self._pending.clear()

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of each part as measured so far."""
        return {part: self._seconds(part) for part, mean in self._means.items() if mean.seconds > 0 and part != STEADY}

    def _seconds(self, part: str) -> float:
        """Seconds of a part at the present speed."""
        return self._means[part].at(self._means["step"].seconds)

    @property
    def knows_speed(self) -> bool:
        return self._means["step"].seconds > 0

    # -- planning

    def pace(self, steps: float) -> float:
        """Seconds of each of the next `steps` training steps: of few as the newest, of many as the last hundreds."""
        newest, steady = self._means["step"].seconds, self._means[STEADY].seconds
        return newest + (steady - newest) * min(steps / PARTS[STEADY], 1.0)

    def seconds_for(self, steps: int, stage_step: int = 0, global_step: int = 0, *, pace: float | None = None) -> float:
        """Seconds that so many more steps take, with the evaluations and samples that fall among them.

        pace: seconds of a step, without them.
        """
        from_step = {"evaluation": stage_step, "sample": global_step}
        duties = sum(
            self._seconds(part) * ((from_step[part] + steps) // every - from_step[part] // every)
            for part, every in self._every.items()
        )
        return steps * (self.pace(steps) if pace is None else pace) + duties

    def steps_within(self, seconds: float, stage_step: int = 0, global_step: int = 0) -> int:
        """The number of steps that comes nearest to so many seconds."""
        step = self.pace(seconds / self._means[STEADY].seconds)
        fewest, most = 0, max(int(seconds / step) + 1, 0)  # evaluations only make it fewer
        while fewest < most:
            middle = (fewest + most + 1) // 2
            if self.seconds_for(middle, stage_step, global_step, pace=step) <= seconds + step / 2:
                fewest = middle
            else:
                most = middle - 1
        return fewest

    @property
    def border_seconds(self) -> float:
        """Seconds between the last step of a stage and the first of the next."""
        return sum(map(self._seconds, ("sample", "ending", "opening")))

    @property
    def end_seconds(self) -> float:
        """Seconds between the last step of the run and its final/."""
        return sum(map(self._seconds, ("sample", "ending", "finish")))

    def plan(self, index: int, stage_step: int, global_step: int) -> list[int] | None:
        """Steps of the stage `index` and of each after it, those already trained included.

        None where there is no deadline, or the speed is not known yet.
        """
        left = self._seconds_left(index, stage_step)
        if left is None:
            return None
        steps = divided(stage_step + self.steps_within(left, stage_step, global_step), self._weights[index:])
        return [max(steps[0], stage_step), *steps[1:]]

    def leaves_out(self, index: int) -> bool:
        """Whether a stage that has not begun has no time: the ends and borders to come take all there is.

        The last stage, the decay, is never left out.
        """
        left = self._seconds_left(index, 0)
        return index < len(self._weights) - 1 and left is not None and left <= 0

    def _seconds_left(self, index: int, stage_step: int) -> float | None:
        """Seconds left for training steps from a step of the stage `index` on; None where plan() is."""
        if self.deadline is None or not self.knows_speed or index >= len(self._weights):
            return None
        borders = (len(self._weights) - index - 1) * self.border_seconds
        opening = 0.0 if stage_step else self._seconds("opening")
        return self.deadline.ends_at - self.clock() - self.end_seconds - borders - opening

    def stage_seconds(self, steps: Sequence[int], stage_step: int = 0) -> list[float]:
        """Seconds of stages of these lengths one after the other, from a step of the first on, borders included."""
        left = [max(steps[0] - stage_step, 0), *steps[1:]]
        ends = [self.border_seconds] * (len(steps) - 1) + [self.end_seconds]
        return [self.seconds_for(count) + end for count, end in zip(left, ends, strict=True)]

    # -- surviving

    def state(self) -> dict[str, Any]:
        means = {part: [mean.seconds, mean.count, mean.pace] for part, mean in self._means.items()}
        return {"means": means, "at": self.clock()}

    def load_state(self, state: Mapping[str, Any]) -> float:
        """Load what state() returned; returns the seconds that have passed since."""
        for part, (seconds, count, pace) in state["means"].items():
            self._means[part] = Mean(PARTS[part], seconds, count, pace)
        since = max(float(state["at"]), self.deadline.began_at if self.deadline else 0.0)
        return max(self.clock() - since, 0.0)


def new_timekeeper(
    document: Mapping[str, Any], stages: Sequence[Stage], config: Config, clock: Callable[[], float]
) -> Timekeeper:
    """The timekeeper of a run. document: deadline, forecast and first_stage of its config.json."""
    settings, first = config.curriculum, document["first_stage"]
    return Timekeeper(
        Deadline.from_facts(document.get("deadline")),
        [1] * first + planned_steps(stages[first:], settings),
        evaluate_every=settings.plateau.evaluation_steps,
        sample_every=settings.sample_every,
        forecast=document.get("forecast"),
        clock=clock,
    )
