"""Interventions: what a resume does to a run beside continuing it, in the worker.

An intervention is one entry of `interventions` in config.json, which resume.py has written. The worker does those that
its checkpoint does not know yet (`Place.interventions` counts them) and rewrites no checkpoint: after a kill they are
done again from the same checkpoint, with the same result, until one that a later step wrote knows them. So each counts
once, however often a run is killed.

`stage`                 go back to the end of the stage before it, or, with `keep_weights`, keep the newest weights.
                        Text that was read stays read. An unfinished stage gets a record (`left`), records of stages
                        whose weights are given up are marked `abandoned`: all tokens stay in the books
`skip_batches`          pass over so many batches
`learning_rate_scale`   multiply the learning rate from here on
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from curriculum.beginning import Beginning
from curriculum.border import Border
from curriculum.place import Place
from curriculum.resume import records_after_going_back, stage_end_record
from curriculum.run_logger import RunLogger
from curriculum.stages import Stage
from hamner.runs.folders import resume_command
from hamner.runs.safe_paths import path_below
from hamner.training import checkpoint
from hamner.training.checkpoint import Checkpoint
from hamner.training.session import Session
from hamner.training.trainer import Diverged

HALF = 0.5  # factor of the learning rate that is offered to a diverged run


class Interventions:
    """What was asked of one run, and how it is done."""

    def __init__(
        self,
        document: Mapping[str, Any],
        session: Session,
        border: Border,
        beginning: Beginning,
        log: RunLogger,
        *,
        keeps_optimizer: bool,
    ) -> None:
        """document: the run's config.json."""
        self._document, self._session, self._border = document, session, border
        self._beginning, self._log, self._keeps_optimizer = beginning, log, keeps_optimizer

    def apply(self, place: Place, stages: Sequence[Stage]) -> Place:
        """Do what the place has not seen yet; return the place behind it."""
        for request in self._document.get("interventions", [])[place.interventions :]:
            if request["stage"] is not None:
                place = self._go_to_stage(place, stages, request["stage"], keeps_weights=request["keep_weights"])
            place = replace(
                place,
                interventions=place.interventions + 1,
                batches_to_pass=place.batches_to_pass + request["skip_batches"],
                rate_scale=place.rate_scale * request["learning_rate_scale"],
            )
            if request["learning_rate_scale"] != 1:
                self._log.say(f"  from here on the learning rate is {place.rate_scale:.3g} of what it would be")
            self._session.trainer.skipped = 0  # steps that were not finite count anew
            self._log.write_stages(place.records)
        return place

    def pass_over(self, place: Place) -> Place:
        """Pass over the batches that were asked for, if any."""
        if not place.batches_to_pass:
            return place
        rows = self._session.trainer.mixer.pass_over(place.batches_to_pass)
        self._log.say(f"  {place.batches_to_pass} batches are passed over: {rows_text(rows)} rows")
        before = place.passed_over or {}
        passed = {name: before.get(name, 0) + rows.get(name, 0) for name in {**before, **rows}}
        return replace(place, batches_to_pass=0, passed_over=passed)

    def way_out(self, error: Diverged, last: Checkpoint | None) -> str:
        """What to say of a run that has diverged: its last good checkpoint, and how to continue past the trouble."""
        if last is None:
            return f"diverged: {error}; the last good checkpoint is none: begin a new run, with a lower lr_scale"
        # from the checkpoint to the batch that did it
        batches = max(self._session.global_step + 1 - int(last.state["step"]), 1)
        who = shlex.quote(self._document.get("who", "WHO"))
        command = resume_command(f"curriculum run {who}", self._session.folder)
        return (
            f"diverged: {error}; the last good checkpoint is {last.path}. Continued as it is, it diverges again: use "
            f"`{command} --skip-batches {batches} --learning-rate-scale {HALF:g}`, or --stage N in their place to go "
            "back to the beginning of a stage"
        )

    def _go_to_stage(self, place: Place, stages: Sequence[Stage], index: int, *, keeps_weights: bool) -> Place:
        """The place at the beginning of another stage, with the weights that it begins with."""
        if place.stage_step:
            place = replace(place, records=(*place.records, self._left_record(place, stages[place.stage_index])))
        has_fresh_optimizer, text = False, "with the newest weights"
        if not keeps_weights:
            end = stage_end_record(place.records, index, self._document["first_stage"])
            has_fresh_optimizer, text = self._load_end(end)
            place = replace(place, records=records_after_going_back(place.records, end))
        self._log.say(f"back to the beginning of stage {index + 1} {stages[index].name}, {text}")
        return replace(
            place,
            stage_index=index,
            stage_step=0,
            best=None,
            recent_losses=(),
            batches_to_pass=0,
            has_fresh_optimizer=has_fresh_optimizer,
        )

    def _load_end(self, end: Mapping[str, Any] | None) -> tuple[bool, str]:
        """Take the weights of a stage's end, None: those of the run's beginning.

        Returns whether AdamW begins anew, and how to say where the weights are from.
        """
        if end is None:
            self._beginning.load_weights()
            return True, "with the weights that the run began with"
        saved = checkpoint.load(path_below(self._session.folder, end["checkpoint"], checkpoint.STATE))
        can_keep = self._keeps_optimizer and saved.is_complete
        self._session.trainer.load_weights(saved, optimizer=can_keep)
        text = f"with the weights of the end of {end['stage']}"
        if self._keeps_optimizer and not can_keep:
            text += "; of AdamW nothing was kept (keep_stages = weights), so it begins anew, with a warmup"
        return not can_keep, text

    def _left_record(self, place: Place, stage: Stage) -> dict[str, Any]:
        """The record of the unfinished stage; without results where the model makes nothing finite of a text."""
        try:
            record = self._border.record(stage, place, "left")
        except Diverged as error:
            record = self._border.counts(stage, place, "left") | {
                "train_loss": {},
                "heldout_loss": {},
                "documents": {},
                "skills": {},
                "choice": {},
                "skills_above_chance": 0,
            }
            self._log.say(f"  {error}")
        self._log.say(f"stage {record['number']} {stage.name} is left after {record['steps']} steps")
        return record


def rows_text(rows: Mapping[str, int]) -> str:
    """`sft 12, tinystories 20`."""
    return ", ".join(f"{name} {count:,}" for name, count in rows.items())
