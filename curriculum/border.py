"""The border between two stages: what a stage's end measures and records, and what follows from its reason.

Reasons: plateau (more of the stage would bring next to nothing), worse (its held-out loss rises), steps (its fixed
length), cap (the config's longest), time (its part of a deadline), data (every source of it has been read often
enough), left (a resume went to another stage).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curriculum.endings import ending_words
from curriculum.measurements import Measurements
from curriculum.place import Place, measured
from curriculum.run_logger import RunLogger, listed
from curriculum.stages import Stage
from hamner.config.errors import BadInput
from hamner.config.schema import Curriculum
from hamner.evaluation.forgetting import drops, forgotten
from hamner.model.distributed import broadcast_object
from hamner.runs.safe_paths import path_below
from hamner.training import checkpoint
from hamner.training.session import Session


class Border:
    """Ends stages of one run."""

    def __init__(
        self,
        session: Session,
        measurements: Measurements,
        log: RunLogger,
        settings: Curriculum,
        *,
        keeps_optimizer: bool,
    ) -> None:
        """keeps_optimizer: AdamW's moments go over the border, and back to the best weights with them."""
        self._session, self._measurements, self._log, self._settings = session, measurements, log, settings
        self._keeps_optimizer = keeps_optimizer

    def end_stage(self, stage: Stage, place: Place, reason: str, last_loss: float | None) -> Place:
        """Measure and record the stage; return the place behind it.

        last_loss: the newest held-out loss of the stage's mix. A stage that got worse, or that ran out of text past its
        best, goes back to its best weights first, unless a decay has made better ones since.
        """
        if reason in ("worse", "data"):
            self.go_back(stage, place, reason, last_loss)
        record = self.record(stage, place, reason)
        record["forgotten"] = forgotten(measured([*place.records, record]))
        place = place.with_stage_over(record)
        self._log.say(
            f"stage {record['number']} {stage.name} ended {record['ended']}, after {record['steps']} steps: held out "
            f"{listed(record['heldout_loss'])}"
        )
        if record["choice"]:
            self._log.say(
                f"  skills: {record['skills_above_chance']} of {len(record['choice'])} above chance, by choice among "
                "candidates (skills.png)"
            )
        for drop in drops(measured(place.records)):
            self._log.say(f"  {drop.line}")
        self._log.stage_over(place.records, self._measurements.chance, self._session.global_step)
        return place

    def must_stop(self, place: Place) -> bool:
        """Return whether the run ends at this border: the stage before got worse, and after_rising_loss = stop."""
        is_at_border = place.stage_step == 0 and bool(place.records)
        return self._settings.after_rising_loss == "stop" and is_at_border and place.records[-1]["reason"] == "worse"

    def record(self, stage: Stage, place: Place, reason: str) -> dict[str, Any]:
        """Measure the stage; return its record, as stages.json has it. Raises Diverged."""
        trainer = self._session.trainer
        return self.counts(stage, place, reason) | {
            "train_loss": self._measurements.training_losses(trainer.hamner, trainer.mixer),
            **self._measurements.stage_end_results(trainer.hamner),
        }

    def counts(self, stage: Stage, place: Place, reason: str) -> dict[str, Any]:
        """The part of a stage's record that needs no measurement."""
        trainer, settings, mixer = self._session.trainer, self._settings, self._session.trainer.mixer
        before: Mapping[str, int] = place.rows_before or {}
        rows = {name: count - before.get(name, 0) for name, count in mixer.rows_trained().items()}
        return {
            "number": place.stage_index + 1,
            "stage": stage.name,
            "steps": place.stage_step,
            "tokens": place.stage_step * settings.batch_size * settings.seq_len,
            "reason": reason,
            "ended": ending_words(reason, settings.plateau),
            "started_at": place.start_losses,
            "epochs": mixer.epochs(),
            "left_out": list(place.left_out),
            "rows": rows,
            "passed_over": dict(place.passed_over or {}),
            "skipped_steps": trainer.skipped_total,
            "checkpoint": f"checkpoints/{checkpoint.step_name(trainer.step_count)}",
            "best": place.best,
        }

    def go_back(self, stage: Stage, place: Place, reason: str, last_loss: float | None) -> bool:
        """Take the weights of the stage's best window again, where they are better and the config says so.

        What was read since stays read. Returns whether it did.
        """
        best = place.best
        if best is None or last_loss is None or last_loss <= best["heldout_loss"]:
            return False
        course = "rises" if reason == "worse" else "was lower before its text ended"
        line = f"  the held-out loss of {stage.name} {course}"
        if self._settings.after_rising_loss != "best":
            self._log.say(line)
            return False
        path, problem = path_below(self._session.folder, best["checkpoint"], checkpoint.STATE), ""
        if self._session.rank == 0:
            try:
                self._session.wait()
                checkpoint.load(path)
            except BadInput as error:
                problem = str(error)
        problem = broadcast_object(problem)
        if problem:
            self._log.say(f"{line}; its best weights are lost, so the run continues from the last: {problem}")
            return False
        self._session.trainer.load_weights(checkpoint.load(path), optimizer=self._keeps_optimizer)
        self._log.say(f"{line}: back to the weights of its step {best['stage_step']}")
        return True
