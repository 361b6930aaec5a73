"""Pacer of a curriculum: keeps a run within its deadline while it trains, and says how long its stages take.

The rules are in timekeeper.py and deadline.py. Rank 0 measures and decides; the other workers are told, so that all end
a stage at the same step. Data in: a run's config.json, the place where it stands. Data out: lengths of stages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from curriculum.budget import planned_steps
from curriculum.deadline import clock_text
from curriculum.place import Place
from curriculum.run_logger import RunLogger
from curriculum.stage_schedule import StageSchedule
from curriculum.stages import Stage, lengths
from curriculum.timekeeper import new_timekeeper
from hamner.config.schema import Config
from hamner.model.distributed import broadcast_object, broadcast_tensor, is_distributed, rank
from hamner.runs.durations import duration_text

FIRST_SECONDS = 60.0  # after which the speed is known well enough to be said
KEPT = 0.03  # of the hours: a run that ends so near to its deadline has kept it
FIRST_SHARE = 0.05  # ... or after this share of the hours, whichever comes first


class Pacer:
    """The pace of one run on one worker."""

    def __init__(
        self,
        document: Mapping[str, Any],
        stages: Sequence[Stage],
        config: Config,
        log: RunLogger,
        clock: Callable[[], float],
    ) -> None:
        """document: of the run's config.json. clock: seconds of the Unix clock."""
        self.keeper = new_timekeeper(document, stages, config, clock)
        self.deadline, self.lap = self.keeper.deadline, self.keeper.lap
        self._stages, self._config, self._log = stages, config, log
        self._began, self._is_said = clock(), False

    def steps(self, place: Place, global_step: int) -> list[int]:
        """Planned length of the present stage and of each after it, within the deadline if there is one."""
        index = place.stage_index
        plan = self.keeper.plan(index, place.stage_step, global_step)
        return planned_steps(
            self._stages[index:],
            self._config.curriculum,
            place.steps_before(index),
            deadline_steps=broadcast_object(plan) if self.deadline else None,
        )

    def leaves_out(self, place: Place) -> bool:
        """Whether the stage that comes next has no time left, which is said."""
        is_left_out = self.deadline is not None and broadcast_object(self.keeper.leaves_out(place.stage_index))
        if is_left_out:
            self._log.say(f"stage {place.stage_index + 1} {self._stages[place.stage_index].name} is left out: no time")
        return is_left_out

    def begin_stage(self, place: Place, steps: int) -> None:
        """Say what the deadline gives the stage that begins."""
        self.lap("opening")
        self.keeper.commit()
        if self.deadline and self.keeper.knows_speed:
            now = self.keeper.clock()
            left = self.deadline.ends_at - self.keeper.end_seconds - now  # the plan was made before the opening
            seconds = max(min(self.keeper.seconds_for(steps), left), 0.0)
            self._log.say(
                f"  stage {place.stage_index + 1} gets {steps:,} steps, {duration_text(seconds)}, until "
                f"{clock_text(now + seconds, self.deadline.seconds)}"
            )

    def correct(self, place: Place, global_step: int, stage_end: StageSchedule) -> None:
        """After a step, move the stage's end to where the time left puts it."""
        if self.deadline is None:
            return
        plan = self.keeper.plan(place.stage_index, place.stage_step, global_step) if rank() == 0 else None
        length = torch.tensor(plan[0] if plan else 0)
        if is_distributed():
            length = broadcast_tensor(length.to(self._config.compute.device))
        if length > 0:
            stage_end.move_end(place.stage_step, int(length))

    def step_over(self, place: Place, global_step: int) -> None:
        """Count what the step took, and say once how long the stages take."""
        self.lap("step")
        self.keeper.commit()
        wait = min(FIRST_SECONDS, FIRST_SHARE * self.deadline.seconds) if self.deadline else FIRST_SECONDS
        if not self._is_said and rank() == 0 and self.keeper.clock() >= self._began + wait:
            self._is_said = True
            self._say_plan(place, global_step)

    def _say_plan(self, place: Place, global_step: int) -> None:
        """Say when each stage ends, or, without a deadline, how long they take at least."""
        index, keeper = place.stage_index, self.keeper
        steps = keeper.plan(index, place.stage_step, global_step) or planned_steps(
            self._stages[index:], self._config.curriculum, place.steps_before(index)
        )
        seconds = keeper.stage_seconds(steps, place.stage_step)
        each = f"  measured: {keeper.seconds_for(1000) / 1000:.3g} s a step, evaluations and samples included"
        if self.deadline is None:
            whole = duration_text(sum(seconds))
            self._log.say(f"{each}; the stages, as short as the plateau rule may end them, take {whole} more")
            return
        self._log.say(f"{each}; the run ends {clock_text(self.deadline.ends_at, self.deadline.seconds)}:")
        moment = keeper.clock()
        for number, (stage, count, part) in enumerate(
            zip(self._stages[index:], steps, seconds, strict=True), index + 1
        ):
            moment += part
            until = clock_text(moment, self.deadline.seconds)
            self._log.say(f"    {number} {stage.name}: {count:,} steps, {duration_text(part)}, until {until}")

    def seconds_left(self, place: Place, global_step: int, ends: tuple[int, int]) -> dict[str, list[float]]:
        """Seconds that stage and run still take, each at the least and at the most; nothing before the speed is known.

        ends: the stage's last step at the earliest and at the latest.
        """
        keeper, index, settings = self.keeper, place.stage_index, self._config.curriculum
        if not keeper.knows_speed:
            return {}
        stage = [keeper.seconds_for(max(end - place.stage_step, 0), place.stage_step, global_step) for end in ends]
        if self.deadline:
            return {"stage_seconds_left": stage, "seconds_left": [self.deadline.ends_at - keeper.clock()] * 2}
        later, before = self._stages[index + 1 :], place.steps_before(index)
        shortest = planned_steps(later, settings, before + ends[0])
        longest = lengths(later, lambda stage: stage.length(settings.max_steps), before + ends[1])
        border = keeper.border_seconds if later else keeper.end_seconds
        rest = [sum(keeper.stage_seconds(steps)) if later else 0.0 for steps in (shortest, longest)]
        return {
            "stage_seconds_left": stage,
            "seconds_left": [of_stage + border + others for of_stage, others in zip(stage, rest, strict=True)],
        }

    def finish(self) -> dict[str, Any]:
        """Say how well the deadline was kept; returns what stages.json keeps of it."""
        if self.deadline is None:
            return {}
        now, missed = self.keeper.clock(), self.deadline.missed_by(self.keeper.clock())
        verdict = f"kept within {100 * abs(missed):.1f} % of the {duration_text(self.deadline.seconds)}"
        if abs(missed) > KEPT:
            verdict = "it was missed" if missed > 0 else "every stage was over by then"
        self._log.say(
            f"deadline {clock_text(self.deadline.ends_at, self.deadline.seconds)}: finished "
            f"{duration_text(abs(now - self.deadline.ends_at))} {'late' if missed > 0 else 'early'}, {verdict}"
        )
        return {"deadline": {**self.deadline.facts(), "missed_by": missed}}

    # -- surviving

    def state(self) -> dict[str, Any]:
        return self.keeper.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Load what state() returned, and say what a stop has cost."""
        lost = self.keeper.load_state(state)
        self.lap(None)
        if self.deadline:
            left = self.deadline.ends_at - self.keeper.clock()
            self._log.say(
                f"{duration_text(lost)} have passed since the checkpoint and are lost; "
                + (f"{duration_text(left)} are left" if left > 0 else "the time is over")
                + f" until {clock_text(self.deadline.ends_at, self.deadline.seconds)}"
            )
