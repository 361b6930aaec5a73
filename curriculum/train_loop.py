"""Training loop of the curriculum: one worker under Ray Train, stage by stage, from the newest checkpoint on.

Told on training/session.py. Every worker runs the same loop and comes to the same decisions, since these are fed by
numbers all workers share; only rank 0 writes. There is no random state: batches, samples and items depend on
(seed, step) alone, so a restarted worker, or a new driver, continues bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from curriculum.beginning import Beginning
from curriculum.border import Border
from curriculum.budget import LARGE_SHARE, StageBudget, limits, plan_budget, planned_steps, thin_problems
from curriculum.endings import limit
from curriculum.interventions import Interventions
from curriculum.measurements import Measurements
from curriculum.memory import accumulation_steps, is_checkpointed
from curriculum.pacer import Pacer
from curriculum.place import Place
from curriculum.plateau_stopper import StageJudge
from curriculum.retention import pruning
from curriculum.run_logger import RunLogger, heldout_columns, listed, needs_row
from curriculum.stage_schedule import StageSchedule
from curriculum.stages import Stage, StagePlan
from hamner.config.load import parse
from hamner.config.schema import Config, ModelConfig, ParameterGroup
from hamner.data.mixer import Exhausted
from hamner.evaluation.statistics import mix_loss
from hamner.inference.generate import SAMPLE_PROMPTS, Sampling, complete, prompt_name
from hamner.model.distributed import broadcast_tensor, rank, world_size
from hamner.model.transformer import Hamner
from hamner.runs.cluster import threads_here
from hamner.runs.compile_check import as_started
from hamner.runs.files import read_json
from hamner.runs.resume_log import step_reached
from hamner.runs.stopping import STOP
from hamner.training import checkpoint
from hamner.training.checkpoint import Checkpoint
from hamner.training.session import Row, Session, Setup
from hamner.training.trainer import Diverged, Objective


class Stopped(Exception):
    """The run was asked to stop; it stands at a checkpoint."""


class CurriculumRun:
    """One run of the curriculum on one worker."""

    def __init__(
        self,
        folder: Path,
        *,
        attempt: int = 1,
        stop_requested: Callable[[], bool] | None = None,
        on_batch: Callable[[int], None] = lambda step: None,
        objective: Callable[[Hamner], nn.Module] = Objective,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the run's text and model from its config.json, at step 0.

        attempt: how many times the run has been started, this one included. stop_requested: whether to save and
        leave after this step; default: the file .stop exists. on_batch: called with the global step before each.
        objective: the training loss. clock: of the deadline, in seconds.
        """
        document, where = read_json(folder / "config.json"), str(folder / "config.json")
        self.folder, self.config = folder, as_started(parse(Config, document["config"], where), document)
        self.settings = self.config.curriculum
        self.plan = parse(StagePlan, document["curriculum"], where)
        self.stages = self.plan.stages
        torch.set_num_threads(threads_here(self.config.compute.worker_threads, self.config.compute.device))
        self.log = RunLogger(folder, writes=rank() == 0)
        self.pacer = Pacer(document, self.stages, self.config, self.log, clock)
        self.session = Session(
            self._setup(document, objective),
            folder / "data",
            folder,
            attempt=time.time_ns() // 10**6,  # each process counts as a start of its own
            say=self.log.say,
        )
        self.measurements = Measurements(self.session.corpus, self.session.tokenizer, self._sources, self.config)
        self.keeps_optimizer = self.plan.keeps_optimizer(self.settings)
        self.border = Border(
            self.session, self.measurements, self.log, self.settings, keeps_optimizer=self.keeps_optimizer
        )
        self.beginning = Beginning(self.session, document["from"], self.log)
        self.interventions = Interventions(
            document, self.session, self.border, self.beginning, self.log, keeps_optimizer=self.keeps_optimizer
        )
        self._rate_factor = document.get("learning_rate_factor", 1.0) * self.config.lr_scale
        self.place = Place(stage_index=document["first_stage"])
        self._attempt, self._rate = attempt, 0.0
        self._stop_requested = stop_requested or (folder / STOP).exists
        self._on_batch = on_batch
        self._register()

    @property
    def _sources(self) -> list[str]:
        return list(dict.fromkeys(name for stage in self.stages for name in stage.mix))

    def _setup(self, document: Mapping[str, Any], objective: Callable[[Hamner], nn.Module]) -> Setup:
        settings, compute = self.settings, self.config.compute
        tokens = sum(planned_steps(self.stages, settings)) * settings.batch_size * settings.seq_len
        model = parse(ModelConfig, document["model"], "model")
        return Setup(
            model=model,
            seed=self.config.seed,
            optimizer=self.config.optimizer,
            compute=compute,
            threads=compute.worker_threads,
            sources=self._sources,
            batch_size=settings.batch_size,
            seq_len=settings.seq_len,
            gradient_accumulation_steps=accumulation_steps(self.config, world_size()),
            activation_checkpointing=is_checkpointed(model, self.config),
            groups=[parse(ParameterGroup, group, "groups") for group in document.get("groups", ())],
            max_skipped=settings.max_skipped,
            max_epochs=settings.max_epochs,
            expected_tokens=tokens / world_size(),
            checkpoint_every=settings.checkpoint_every,
            prefetch=True,
            objective=objective,
        )

    def _register(self) -> None:
        """What survives a kill, and what is periodic."""
        session, settings = self.session, self.settings
        session.register("place", lambda: self.place.state(), self._load_place)
        session.register("judge", lambda: self.judge.state(), lambda state: self.judge.load_state(state))
        session.register("stage_end", lambda: self.stage_end.state(), lambda state: self.stage_end.load_state(state))
        session.register("text", self.beginning.text_state, lambda state: None)
        session.register(
            "start",
            lambda: {"attempt": self._attempt, "elapsed_seconds": self.log.seconds},
            lambda state: self.log.add_seconds(state["elapsed_seconds"]),
        )
        session.register("pace", self.pacer.state, self.pacer.load_state)
        session.register_tensors(
            "average", lambda: self.judge.tensors(), lambda tensors: self.judge.load_tensors(tensors)
        )
        session.every(settings.log_every, self._log_row, at_end=True)
        session.every(settings.sample_every, self._sample, at_end=True)
        session.every_checkpoint()
        if settings.keep_every:
            session.every(settings.keep_every, session.request_checkpoint)

    # -- the story

    def run(self) -> None:
        """Train all stages, then write final/. There is no final/ when training diverged or was asked to stop."""
        saved = self.session.resume()
        if saved and saved.state["start"]["attempt"] == self._attempt and self.border.must_stop(self.place):
            return  # Ray has restarted a worker of a run that ended at a rising loss
        is_restart = saved is not None and saved.state["start"]["attempt"] == self._attempt
        self._open_log(is_new=not saved, is_restart=is_restart)
        if not saved:
            self.beginning.begin()
        self.pacer.lap(None)
        try:
            self.place = self.interventions.apply(self.place, self.stages)
            while self.place.stage_index < len(self.stages):
                if self.place.stage_step == 0 and self.pacer.leaves_out(self.place):
                    self.place = replace(self.place, stage_index=self.place.stage_index + 1)
                    continue
                self._run_stage(self._stage(self.place.stage_index))
        except Diverged as error:
            self.session.wait()
            last = checkpoint.newest(self.session.checkpoints, self.log.say, complete=True)
            self.log.say(self.interventions.way_out(error, last))
        except Stopped as reason:
            self.log.say(f"stopped at step {self.session.global_step}{reason}; use --resume to continue")
        else:
            self._finish()
        self.log.close()

    def _open_log(self, *, is_new: bool, is_restart: bool) -> None:
        session, number, all_workers = self.session, self.place.stage_index + 1, self.config.compute.workers
        had_begun = step_reached(self.folder) is not None  # asked first: log_resume writes a step itself
        session.log_resume(self.folder / "resume.jsonl")
        self.log.open(session.global_step, self.place.records, self.settings.log_every)
        place = f"starting at step 0 with stage {number}" if is_new else f"step {session.global_step}, stage {number}"
        place = f"there was no checkpoint yet; {place}" if is_new and had_begun else place
        place += f", {world_size()} of {all_workers} workers" if self.config.compute.min_workers else ""
        self.log.say(f"a worker has ended, and is started again: {place}" if is_restart else place)

    def _run_stage(self, stage: Stage) -> None:
        if self.place.stage_step == 0:
            self.begin_stage(stage)
        self.place = self.interventions.pass_over(self.place)
        self.log.begin_stage(self.place, stage, self.session.global_step)
        reason = None
        while reason is None:
            try:
                row = self.step()
            except Exhausted as error:
                reason = "data"
                ended = f"{error} has ended" if str(error) else "every source has ended"
                self.log.say(f"  {ended}, and stage {stage.name} with it")
                break
            reason = row.pop("reason")
            self._after_step(stage, row, is_last=reason is not None)
        self.place = self.border.end_stage(stage, self.place, reason, self.judge.last_loss)
        self._save(wait=True)
        self.pacer.lap("ending")
        self.log.write_stages(self.place.records)
        if self.border.must_stop(self.place):
            raise Stopped(": the loss of the stage was rising, and after_rising_loss = stop")
        if self.place.stage_index < len(self.stages) and self._should_stop():
            raise Stopped

    def _stage(self, index: int) -> Stage:
        """A stage with its length, where that depends on the stages before it."""
        return self.stages[index].after(self.place.steps_before(index))

    def budget(self) -> list[StageBudget]:
        """The rows of each stage from the present one on, planned from what has been read so far."""
        stages, steps = self.stages[self.place.stage_index :], self.pacer.steps(self.place, self.session.global_step)
        return plan_budget(stages, steps, self.settings.batch_size, self.session.trainer.mixer.rows_left())

    def begin_stage(self, stage: Stage) -> None:
        """Start a new mix and average, and a fresh AdamW with a warmup unless it is kept."""
        budget = self.budget()
        mix = dict(budget[0].mix)
        for line in thin_problems(budget[:1], self.settings.max_epochs):
            self.log.say(f"  {line}")
        trainer, place = self.session.trainer, self.place
        rate, rows_before = stage.learning_rate * self._rate_factor, trainer.mixer.rows_trained()
        trainer.mixer.start_stage(
            mix, stage.levels, limits(budget, trainer.mixer.rows_read(), trainer.mixer.rows_left())
        )
        keep = self.keeps_optimizer and bool(place.records) and not place.has_fresh_optimizer
        trainer.begin(rate, 0 if keep else self.settings.warmup_steps, keep_optimizer=keep)
        self._open_stage(stage, place.stage_index, mix, budget[0].steps if self.pacer.deadline else None)
        start_losses = self._losses_at_border() or self.measurements.heldout_losses(trainer.hamner)
        self.place = place.with_stage_begun(mix, rows_before, start_losses)
        self.log.say(
            f"stage {place.stage_index + 1} {stage.name} begins: {listed(mix)}; learning rate "
            + f"{rate * place.rate_scale:.3g}"
            + ("" if place.records else f"; held out {listed(start_losses)}")
        )
        self.pacer.begin_stage(place, budget[0].steps)

    def _open_stage(self, stage: Stage, index: int, mix: Mapping[str, float], length: int | None = None) -> None:
        stage = stage.model_copy(update={"mix": mix})  # judged by what it reads, not by what it asked for
        self.judge = StageJudge(self.session.trainer.hamner, stage, self.measurements.plateau_rows(stage), self.config)
        self.stage_end = StageSchedule(stage, self.settings, is_last=index == len(self.stages) - 1, length=length)

    def _losses_at_border(self) -> dict[str, float] | None:
        """Return the held-out losses of the stage before, when the weights are still those it was measured with."""
        here = f"checkpoints/{checkpoint.step_name(self.session.global_step)}"
        last = next(reversed(self.place.records), None)
        if not last or last["checkpoint"] != here or last.get("abandoned"):
            return None
        return dict(last["heldout_loss"]) or None

    def _finish(self) -> None:
        """Write final/: the better of the weights and their running average, on the held-out text of the last mix."""
        record, average = self.place.records[-1], self.judge.averaged
        losses = {"raw": record["heldout_loss"], "averaged": self.measurements.heldout_losses(average)}
        mixed = {name: mix_loss(of_sources, self.judge.mix) for name, of_sources in losses.items()}
        best = min(mixed, key=lambda name: mixed[name])  # the raw ones where they are equal
        if self.session.rank != 0:
            return
        # what only training needs is in the newest checkpoint
        groups, state, model, tokenizer = self.session.contents()
        weights = groups["model"] if best == "raw" else dict(average.state_dict())
        final = {"weights": best, "heldout_loss": losses[best], "mixed": mixed} | self.pacer.finish()
        self.log.write_stages(self.place.records, final)  # first: where final/ is, a resume writes nothing more
        checkpoint.save(self.folder / "final", {"model": weights}, state, model, tokenizer)
        self.log.say(
            f"final/ holds the {best} weights; held out, on the last stage's mix: {listed(mixed)}; finished: "
            f"{self.folder / 'final'}"
        )

    # -- one step

    def step(self) -> Row:
        """Train one step and measure where due; row["reason"] says why the stage is over, None while it is not.

        Raises Exhausted, Diverged.
        """
        self._leave_out_exhausted()
        self._on_batch(self.session.global_step)
        row = self.session.step(self.stage_end.rate_scale(self.place.stage_step) * self.place.rate_scale)
        self.pacer.lap("step")
        is_finite = math.isfinite(row["loss"])
        if not is_finite:
            self.log.say(f"  step {row['step']}: the loss is {row['loss']}; the step changes nothing")
        self.place = self.place.with_step((row["loss"],) if is_finite else ())
        stage_step = self.place.stage_step
        ending = self.judge.after_step(self.session.trainer.hamner, stage_step, row["loss"])
        self.pacer.lap("evaluation" if self.judge.due(stage_step) else "step")
        self.pacer.correct(self.place, self.session.global_step, self.stage_end)
        reason = self.stage_end.after_step(stage_step, ending)
        if self.stage_end.is_decaying_from(stage_step):
            self._decay_from_best("worse")
        return row | {
            "stage_step": stage_step,
            "mean_loss": self.place.mean_loss,
            **heldout_columns(self.judge, stage_step),
            "reason": reason,
        }

    def _decay_from_best(self, reason: str) -> None:
        """A stage whose loss rose, or whose text ended, decays from its best weights."""
        stage = self.stages[self.place.stage_index]
        self.log.say(f"  {stage.name}: the rate falls from stage step {self.place.stage_step} on ({reason})")
        if self.border.go_back(stage, self.place, reason, self.judge.last_loss):
            self.judge.forget_average()

    def _leave_out_exhausted(self) -> None:
        """Say and record which sources have no rows left for this stage. Raises Exhausted when the stage needs them."""
        mixer, place = self.session.trainer.mixer, self.place
        for name in mixer.leave_out_exhausted():
            mix = {source: round(share, 6) for source, share in mixer.mix.items()}
            record = {"source": name, "stage_step": place.stage_step, "mix": mix}
            self.place = replace(self.place, left_out=(*self.place.left_out, record))
            self.log.say(
                f"  {name} has been read {mixer.epochs()[name]:.2f} times, as often as it may be by this stage, and "
                f"leaves the mix at stage step {place.stage_step}: {listed(mix)}"
            )
            if (place.mix or {}).get(name, 0.0) <= LARGE_SHARE or self.stage_end.is_falling:
                continue
            if not self.stage_end.begin_decay(place.stage_step, "data"):
                raise Exhausted(name)
            self._decay_from_best("data")

    def _after_step(self, stage: Stage, row: Row, *, is_last: bool) -> None:
        """Do what is due: rows, samples, a checkpoint. The last step's checkpoint is the border's."""
        if self.judge.last_look is not None:
            self.log.look(stage, self.judge.last_look, self.settings.plateau)
        if needs_row(row) and not is_last and row["step"] % self.settings.log_every:
            self._log_row(row)
        self.session.run_periodic(row, at_end=is_last)
        self.log.progress(lambda: self._progress(stage, row))
        is_best = self._update_best()
        if is_last:
            return
        if is_best:
            self.session.request_checkpoint()
        should_stop = self._should_stop()
        if self.session.take_checkpoint_request() or should_stop:
            self._save(wait=should_stop)
        self.pacer.step_over(self.place, self.session.global_step)
        if should_stop:
            raise Stopped

    def _update_best(self) -> bool:
        """Record the stage's best window; return whether it is this one."""
        place, loss = self.place, self.judge.last_loss
        if not self.judge.window_ends(place.stage_step) or loss is None:
            return False
        if place.best is not None and loss >= place.best["heldout_loss"]:
            return False
        path = f"checkpoints/{checkpoint.step_name(self.session.global_step)}"
        best = {"stage_step": place.stage_step, "heldout_loss": loss, "checkpoint": path}
        self.place = replace(place, best=best)
        return True

    def _should_stop(self) -> bool:
        """Return whether rank 0 was asked to stop: all workers stop at the same step, or none."""
        requested = torch.tensor(float(self.session.rank == 0 and self._stop_requested()))
        if self.session.world_size > 1:
            requested = broadcast_tensor(requested.to(self.config.compute.device))
        return bool(requested)

    # -- what is shown

    def _log_row(self, row: Row) -> None:
        stage = self.stages[self.place.stage_index]
        self._rate = self.log.row(stage.name, row, self.session.cost(), limit(self.settings.plateau))

    def _sample(self, row: Row) -> None:
        if self.session.rank != 0:
            return
        self.pacer.lap("step")
        stage, trainer = self.stages[self.place.stage_index], self.session.trainer
        self.log.samples(stage.name, self.session.global_step, trainer.tokens_total, self.sample_texts())
        self.pacer.lap("sample")

    def sample_texts(self) -> dict[str, str]:
        """What the model makes of each prompt."""
        hamner, tokenizer, step = self.session.trainer.hamner, self.session.tokenizer, self.session.global_step
        tokens = self.settings.sample_tokens
        return {
            prompt_name(prompt): complete(hamner, tokenizer, prompt, tokens, Sampling(), seed=step)
            for prompt in SAMPLE_PROMPTS
        }

    def _progress(self, stage: Stage, row: Row) -> dict[str, Any]:
        """Where the run stands, for whoever watches: a line, and what it is made of. Steps are of the stage."""
        stopper, step, end = self.judge.stopper, self.place.stage_step, self.stage_end.end_step
        latest = end or self.stage_end.length
        is_fixed = bool(stage.steps or end)
        earliest = latest if is_fixed else min(latest, stopper.earliest_stop(step))
        return {
            "line": f"stage {self.place.stage_index + 1}/{len(self.stages)} {stage.name}  step {step}  loss "
            f"{row['mean_loss'] or math.nan:.3f}  {self._rate:,.0f} tokens/s  "
            + ("" if is_fixed else f"strikes {stopper.strikes:.1f}/{self.settings.plateau.strikes}  ")
            + f"ends at {earliest}"
            + ("" if is_fixed else " at the earliest"),
            "stage": self.place.stage_index + 1,
            "stage_step": step,
            "strikes": None if is_fixed else stopper.strikes,
            "ends_at_step": [earliest, latest],
            **self.pacer.seconds_left(self.place, self.session.global_step, (earliest, latest)),
        }

    # -- surviving

    def _save(self, *, wait: bool = False) -> None:
        self.session.save(wait=wait, after=pruning(self.place, self.session.global_step, self.settings))

    def _load_place(self, state: Any) -> None:
        self.place = Place.from_state(state)
        stage = self._stage(self.place.mix_index)
        self._open_stage(stage, self.place.mix_index, self.place.mix or stage.mix)

    def load(self, saved: Checkpoint, *, before_border: bool = False) -> None:
        """Continue where a checkpoint stands. before_border: stay in the stage that it ended."""
        self.session.load(saved)
        if before_border:
            stage_step = self.session.trainer.schedule_step
            self.place = replace(self.place, stage_index=self.place.mix_index, stage_step=stage_step)

    def close(self) -> None:
        """Wait for the checkpoint being written. Raises what writing raised."""
        self.session.close()
