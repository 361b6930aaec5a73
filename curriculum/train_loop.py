"""The worker of the curriculum: stage by stage, under Ray Train, from wherever the last checkpoint stands.

Every worker runs the same loop and comes to the same decisions, since these are fed by numbers all workers
share; only rank 0 writes. All that must survive a kill is in the checkpoint, so a restarted worker, or a new
driver, goes on bit for bit. There is no random state in it: batches, samples and items depend on (seed, step) alone.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor

from curriculum.measurements import Measure
from curriculum.plateau_stopper import StageJudge
from curriculum.run_logger import Records
from curriculum.stage_schedule import StageEnd
from curriculum.stages import Curriculum, Stage
from hamner.config.errors import BadInput
from hamner.config.load import parse
from hamner.config.schema import Config, ModelConfig
from hamner.data.corpus import Corpus
from hamner.data.mixer import Exhausted
from hamner.data.prefetch import PrefetchingMixer
from hamner.data.text_rows import training_rows
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.forgetting import drops
from hamner.inference.generate import SAMPLE_PROMPTS, Sampling, complete, prompt_name
from hamner.model.transformer import build
from hamner.runs.files import read_json
from hamner.runs.resume_log import StepFile
from hamner.training import checkpoint
from hamner.training.checkpoint_writer import CheckpointWriter, checkpoint_due, must_be_on_disk
from hamner.training.compilation import compiles
from hamner.training.throughput import Meter
from hamner.training.trainer import Diverged, Trainer

STOP = ".stop"  # a file that asks the worker to save and leave
MEAN_STEPS = 100  # training losses in a row's mean_loss, of one stage


class Stopped(Exception):
    """The run was asked to stop; it stands at a checkpoint."""


def train(settings: dict[str, Any]) -> None:
    """What Ray Train runs in each worker. settings: {"run": the run's folder, "attempt": its how manieth start}."""
    folder = Path(settings["run"])
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    rank = torch.distributed.get_rank() if distributed else 0
    world = torch.distributed.get_world_size() if distributed else 1
    if read_json(folder / "config.json")["config"]["compute"]["device"] == "cuda":  # not: where there is a card
        from ray.train.torch import get_device

        torch.cuda.set_device(get_device())  # of several cards on a node, the one Ray gave this worker
    lock = FileLock(folder / f".worker{rank}.lock", thread_local=False)
    with lock.acquire(timeout=60):  # an orphan of a killed driver may still be writing
        course = CurriculumRun(folder, rank=rank, world=world, attempt=settings["attempt"])
        try:
            course.run()
        finally:
            course.close()  # before the lock goes: a successor must not meet a half-written checkpoint


class CurriculumRun:
    """One run of the curriculum on one worker."""

    def __init__(self, folder: Path, *, rank: int = 0, world: int = 1, attempt: int = 1) -> None:
        document = read_json(folder / "config.json")
        where = str(folder / "config.json")
        self.folder, self.rank, self._world = folder, rank, world
        self.config = parse(Config, document["config"], where)
        self.settings, compute = self.config.curriculum, self.config.compute
        self.stages = parse(Curriculum, document["curriculum"], where).stages
        torch.set_num_threads(compute.worker_threads)
        self.tokenizer = Tokenizer.load(folder / "data")
        corpus = Corpus(folder / "data", self.tokenizer.sha256)
        names = list(dict.fromkeys(name for stage in self.stages for name in stage.mix))
        mixer = PrefetchingMixer(
            training_rows(corpus, self.tokenizer, names, self.settings.seq_len),
            self.settings.batch_size,
            rank=rank,
            world_size=world,
            max_epochs=self.settings.max_epochs,
        )
        self.model = parse(ModelConfig, document["model"], "model")
        hamner = build(self.model, self.config.seed, activation_checkpointing=compute.activation_checkpointing)
        most = len(self.stages) * self.settings.max_steps * self.settings.batch_size * self.settings.seq_len
        self.trainer = Trainer(
            hamner,
            mixer,
            self.config.optimizer,
            compute,
            gradient_accumulation_steps=self.settings.gradient_accumulation_steps,
            max_skipped=self.settings.max_skipped,
            compiled=compiles(compute, self.model, self.settings.seq_len, most / world, compute.worker_threads),
        )
        self.corpus = corpus
        self.measure = Measure(corpus, self.tokenizer, names, self.config)
        self.records = Records(
            folder, lambda tokens: Meter(compute, self.model, self.settings.seq_len, tokens), writes=rank == 0
        )
        self.say = self.records.say
        self._beacon = StepFile(folder, time.time_ns() // 10**6)  # each process is a start of its own, whoever began it
        self._attempt, self._source = attempt, document["from"]
        self.stage_index: int = document["first_stage"]
        self.stage_step = 0
        self.told: list[dict[str, Any]] = []  # a record of each stage that is over
        self._rate = 0.0  # tokens per second, as last written
        self._writer = CheckpointWriter()

    # --- the story -------------------------------------------------------------------------------------

    def run(self) -> None:
        """All stages, then final/. Leaves no final/ when training diverged or was asked to stop."""
        found = self._newest()
        if found:
            self.load(found)
            if self._gave_up(found):
                return
        elif self._source:
            self._load_weights(Path(self._source))
        step = self.trainer.step_count
        if self.rank == 0:
            self._beacon.note_resume(self.folder / "resume.jsonl", step)
        self.records.open(step, self.trainer.tokens_total, self.told)
        self.say(
            f"step {step}, stage {self.stage_index + 1}"
            if found
            else f"starting at step 0 with stage {self.stage_index + 1}"
        )
        try:
            while self.stage_index < len(self.stages):
                self._run_stage(self.stages[self.stage_index])
        except Diverged as error:
            self._writer.wait()
            last = checkpoint.newest(self.folder / "checkpoints", self.say, complete=True)
            self.say(f"diverged: {error}; the last good checkpoint is {last.path if last else 'none'}")
            return
        except Stopped as stopped:
            self.say(f"stopped at step {self.trainer.step_count}{stopped}; --resume goes on from there")
            return
        if self.rank == 0:
            checkpoint.save(self.folder / "final", *self._all())
            self.say(f"finished: {self.folder / 'final'}")

    def close(self) -> None:
        """Until nothing is being written. Raises what writing raised."""
        self._writer.wait()

    def _newest(self) -> checkpoint.Checkpoint | None:
        """The run's newest checkpoint, as rank 0 sees it: all workers must go on from the same one.

        Raises BadInput when there are some but none is whole: a run never starts again from zero by itself.
        """
        folder, name, found = self.folder / "checkpoints", "", None
        if self.rank == 0:
            found = checkpoint.newest(folder, self.say, complete=True)
            some = sorted(folder.glob("step_*"))
            name = found.path.name if found else "none" if some else ""
            for path in some if found else ():  # out of the way of those to come
                if path.name > name:
                    aside = path.with_name(f"corrupt_{path.name}")
                    shutil.rmtree(aside, ignore_errors=True)
                    path.rename(aside)
        name = self._broadcast(name)
        if name == "none":
            problem = f"no checkpoint in {folder} is whole: begin a new run, with --from a checkpoint that is"
            self.say(problem)
            raise BadInput(problem)
        return found or (checkpoint.load(folder / name) if name else None)

    def _broadcast(self, word: str) -> str:
        if self._world == 1:
            return word
        words = [word]
        torch.distributed.broadcast_object_list(words, src=0)
        return words[0]

    def _gave_up(self, found: checkpoint.Checkpoint) -> bool:
        """Whether this very start of the run ended with a rising loss that was to stop it."""
        return (
            self.settings.after_worse == "stop"
            and found.state["attempt"] == self._attempt
            and self.stage_step == 0
            and self.told[-1]["reason"] == "worse"
        )

    def _load_weights(self, path: Path) -> None:
        """Begin with the weights of --from, which must read the run's own tokens."""
        found = checkpoint.load(path)
        if found.state["tokenizer_sha256"] != self.tokenizer.sha256:
            raise BadInput(f"{path} was trained with another tokenizer than the one in {self.folder / 'data'}")
        self.trainer.hamner.load_state_dict(found.tensors("model", self.config.compute.device))

    def _run_stage(self, stage: Stage) -> None:
        if self.stage_step == 0:
            self.begin_stage(stage)
        self.records.begin_stage(f"{self.stage_index + 1}_{stage.name}", self.trainer.step_count)
        reason = None
        while reason is None:
            try:
                row = self.step()
            except Exhausted:
                reason = "data"
                self.say(f"  every source of {stage.name} has been read {self.settings.max_epochs:g} times")
                break
            reason = row.pop("reason")
            self._after_step(stage, row, reason)
        self._end_stage(stage, reason)

    def begin_stage(self, stage: Stage) -> None:
        """A new warmup and average, fresh AdamW unless the config keeps it; weights and data position carry over."""
        mixer, keep = self.trainer.mixer, self.settings.optimizer_at_border == "keep" and bool(self.told)
        self._mixing, self._rows_before = self.stage_index, mixer.rows_read() if self.trainer.step_count else {}
        mixer.start_stage(stage.mix, stage.levels)
        self.trainer.begin(stage.learning_rate * self.config.lr_scale, self.settings.warmup_steps, keep_optimizer=keep)
        self._prepare(stage)
        self.best: dict[str, Any] | None = None
        self.left_out: list[dict[str, Any]] = []
        self.recent: list[float] = []
        self.started_at = self._measured_here() or self.measure.losses(self.trainer.hamner)
        self.say(
            f"stage {self.stage_index + 1} {stage.name} begins: {_listed(stage.mix)}; learning rate "
            f"{stage.learning_rate * self.config.lr_scale:.3g}"
            + ("" if self.told else f"; held out {_listed(self.started_at)}")
        )

    def _measured_here(self) -> dict[str, float] | None:
        """The held-out losses of the stage before, when these are its weights."""
        here = f"checkpoints/{checkpoint.step_name(self.trainer.step_count)}"
        return self.told[-1]["heldout_loss"] if self.told and self.told[-1]["checkpoint"] == here else None

    def _prepare(self, stage: Stage) -> None:
        self.judge = StageJudge(self.trainer.hamner, stage, self.measure.judged(stage), self.config)
        self.end = StageEnd(stage, self.settings, last=self._mixing == len(self.stages) - 1)

    def step(self) -> dict[str, Any]:
        """One training step and, where due, one evaluation. "reason" is set when the stage is over.

        Raises Exhausted, Diverged.
        """
        self._leave_out()
        began = time.perf_counter()
        row: dict[str, Any] = dict(self.trainer.step(self.end.rate_scale(self.stage_step)))
        self.records.meter.ran(time.perf_counter() - began)
        self.stage_step += 1
        if math.isfinite(row["loss"]):
            self.recent = [*self.recent[1 - MEAN_STEPS :], row["loss"]]
        else:
            self.say(f"  step {row['step']}: the loss is {row['loss']}; the step changes nothing")
        ending = self.judge.after_step(self.trainer.hamner, self.stage_step, row["loss"])
        mean = sum(self.recent) / len(self.recent) if self.recent else None
        row |= {
            "stage_step": self.stage_step,
            "mean_loss": mean,
            "heldout_loss": self.judge.last_loss if self.judge.due(self.stage_step) else None,
            "reason": self.end.after_step(self.stage_step, ending),
        }
        return row

    def _leave_out(self) -> None:
        """Announce and record the sources that have been read often enough."""
        for name in self.trainer.mixer.leave_out_exhausted():
            mix = {n: round(share, 6) for n, share in self.trainer.mixer.mix.items()}
            self.left_out.append({"source": name, "stage_step": self.stage_step, "mix": mix})
            self.say(
                f"  {name} has been read {self.settings.max_epochs:g} times and leaves the mix at stage step "
                f"{self.stage_step}: {_listed(mix)}"
            )

    def _after_step(self, stage: Stage, row: dict[str, Any], reason: str | None) -> None:
        """Rows, samples and checkpoints that are due."""
        step, last, look = self.trainer.step_count, reason is not None, self.judge.last_look
        if self.rank == 0:
            self._beacon.mark(step)
        if look is not None:
            error = f" ± {100 * look.standard_error:.2f}" if look.standard_error is not None else ""
            self.say(
                f"  {stage.name} step {look.step}: gain {100 * look.gain:.2f}{error} % a window: {look.verdict}"
                + (
                    f", strike {look.strikes} of {self.settings.plateau.strikes}"
                    if look.strikes and not stage.steps
                    else ""
                )
            )
        if last or step % self.settings.log_every == 0 or self.stage_step == 1:
            self._rate = self.records.row(stage.name, row, self.trainer.waited)
        self._progress(stage, row)
        if last or step % self.settings.sample_every == 0:
            self._sample(stage)
        due = self._best_so_far() or checkpoint_due(step, self.settings.checkpoint_every)
        due = due or (bool(self.settings.keep_every) and step % self.settings.keep_every == 0)
        if last:
            return  # the border's checkpoint, which says that the stage is over, is of the same step
        stop = self._stop_requested()
        if due or stop:
            self._checkpoint(wait=stop)
        if must_be_on_disk(step, self.settings.checkpoint_every):
            self._writer.wait()
        if stop:
            raise Stopped

    def _best_so_far(self) -> bool:
        """Note the stage's best window; true when it is this one."""
        loss = self.judge.last_loss
        if (
            not self.judge.window_ends(self.stage_step)
            or loss is None
            or (self.best is not None and loss >= self.best["heldout_loss"])
        ):
            return False
        self.best = {
            "stage_step": self.stage_step,
            "heldout_loss": loss,
            "checkpoint": f"checkpoints/{checkpoint.step_name(self.trainer.step_count)}",
        }
        return True

    def _progress(self, stage: Stage, row: dict[str, Any]) -> None:
        stopper, rule = self.judge.stopper, self.settings.plateau
        cap = stage.length(self.settings.max_steps)
        stop = cap if stage.steps else min(cap, stopper.earliest_stop(self.stage_step))
        fixed = stage.steps or self.end.at
        self.records.progress(
            f"stage {self.stage_index + 1}/{len(self.stages)} {stage.name}  step {self.stage_step}  loss "
            f"{row['mean_loss'] or math.nan:.3f}  {self._rate:,.0f} tokens/s  "
            + ("" if fixed else f"strikes {stopper.strikes}/{rule.strikes}  ")
            + f"ends at {self.end.at or stop}"
            + ("" if fixed else " at the earliest")
        )

    def _end_stage(self, stage: Stage, reason: str) -> None:
        if reason == "worse":
            self._after_worse(stage)
        hamner, mixer, step = self.trainer.hamner, self.trainer.mixer, self.trainer.step_count
        read = mixer.rows_read()
        record: dict[str, Any] = {
            "number": self.stage_index + 1,
            "stage": stage.name,
            "steps": self.stage_step,
            "tokens": self.stage_step * self.settings.batch_size * self.settings.seq_len,
            "reason": reason,
            "started_at": self.started_at,
            "train_loss": self.measure.training_losses(hamner, mixer),
            **self.measure.at_the_end(hamner),
            "epochs": mixer.epochs(),
            "left_out": self.left_out,
            "rows": {name: count - self._rows_before.get(name, 0) for name, count in read.items()},
            "skipped_steps": self.trainer.skipped_total,
            "checkpoint": f"checkpoints/{checkpoint.step_name(step)}",
            "best": self.best,
        }
        self.told.append(record)
        self.say(
            f"stage {record['number']} {stage.name} ended by {reason} after {record['steps']} steps: held out "
            f"{_listed(record['heldout_loss'])}"
        )
        for drop in drops(self.told):
            self.say(f"  {drop.line}")
        self.records.stage_over(self.told, self.measure.chance, step)
        self.stage_index, self.stage_step = self.stage_index + 1, 0
        self._checkpoint(wait=True)
        self.records.stages(self.told)
        if reason == "worse" and self.settings.after_worse == "stop":
            raise Stopped(": the loss of the stage was rising, and after_worse = stop")
        if self.stage_index < len(self.stages) and self._stop_requested():
            raise Stopped

    def _after_worse(self, stage: Stage) -> None:
        """The loss was rising: go back to the stage's best weights. What was read since stays read."""
        told, best = f"  the held-out loss of {stage.name} rises", self.best
        if self.settings.after_worse != "best" or best is None or best["stage_step"] == self.stage_step:
            self.say(told)
            return
        problem = ""
        if self.rank == 0:
            try:
                self._writer.wait()
                checkpoint.load(self.folder / best["checkpoint"])
            except BadInput as error:
                problem = str(error)
        problem = self._broadcast(problem)
        if problem:
            self.say(f"{told}; its best weights are lost, so it goes on from the last: {problem}")
            return
        found = checkpoint.load(self.folder / best["checkpoint"])
        self.trainer.load_weights(found, optimizer=self.settings.optimizer_at_border == "keep")
        self.say(f"{told}: back to the weights of its step {best['stage_step']}")

    def _stop_requested(self) -> bool:
        told = torch.tensor(float(self.rank == 0 and (self.folder / STOP).exists()))
        if self._world > 1:  # all at the same step, or none
            told = told.to(self.config.compute.device)
            torch.distributed.broadcast(told, src=0)
        return bool(told)

    def _sample(self, stage: Stage) -> None:
        if self.rank != 0:
            return
        step = self.trainer.step_count
        samples = {
            prompt_name(p): complete(
                self.trainer.hamner, self.tokenizer, p, self.settings.sample_tokens, Sampling(), seed=step
            )
            for p in SAMPLE_PROMPTS
        }
        self.records.samples(stage.name, step, self.trainer.tokens_total, samples)

    # --- surviving --------------------------------------------------------------------------------------

    def _checkpoint(self, *, wait: bool = False) -> None:
        """In a thread, unless it is waited for."""
        if self.rank == 0:
            folder, prune = self.folder / "checkpoints", self._pruning()
            self._writer.write(
                folder / checkpoint.step_name(self.trainer.step_count), *self._all(), then=lambda: prune(folder)
            )
            if wait:
                self._writer.wait()

    def _pruning(self) -> Callable[[Path], None]:
        """Keep the newest, those of `keep_every`, this stage's best, and something of each stage's end and best."""
        settings, spare = self.settings, {checkpoint.step_name(self.trainer.step_count)}
        over = {
            Path(place).name
            for record in self.told
            for place in (record["checkpoint"], (record["best"] or record)["checkpoint"])
        }
        if self.best:
            spare.add(Path(self.best["checkpoint"]).name)
        if settings.keep_stages == "full":
            spare |= over

        def prune(folder: Path) -> None:
            every = {
                p.name
                for p in folder.glob("step_*")
                if settings.keep_every and int(p.name[5:]) % settings.keep_every == 0
            }
            checkpoint.prune(
                folder, settings.keep_checkpoints, spare=frozenset(spare | every), weights_of=frozenset(over)
            )

        return prune

    def _all(self) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any], ModelConfig, Tokenizer]:
        """What a checkpoint of now holds."""
        state = self.trainer.state() | {
            "stage_index": self.stage_index,
            "stage_step": self.stage_step,
            "records": self.told,
            "mixing": self._mixing,
            "rows_before": self._rows_before,
            "started_at": self.started_at,
            "judge": self.judge.state(),
            "end": self.end.state(),
            "best": self.best,
            "left_out": self.left_out,
            "recent": self.recent,
            "elapsed_seconds": self.records.seconds,
            "attempt": self._attempt,
        }
        return self.trainer.tensors() | {"average": self.judge.tensors()}, state, self.model, self.tokenizer

    def load(self, found: checkpoint.Checkpoint, *, before_border: bool = False) -> None:
        """Go on where a checkpoint stands. before_border: stay in the stage that it ended."""
        state = found.state
        self.told, self.started_at = list(state["records"]), state["started_at"]
        self.stage_index, self.stage_step = state["stage_index"], state["stage_step"]
        self._mixing, self._rows_before = state["mixing"], state["rows_before"]
        self.best, self.left_out, self.recent = state["best"], list(state["left_out"]), list(state["recent"])
        self.records.spent = state["elapsed_seconds"]
        if before_border:
            self.stage_index, self.stage_step = self._mixing, state["schedule_step"]
        stage = self.stages[self._mixing]  # at a border still the one before: begin_stage makes the next
        self.trainer.mixer.start_stage(stage.mix, stage.levels)
        self.trainer.load(found, state)
        self._prepare(stage)
        self.judge.load(found.tensors("average", self.config.compute.device), state["judge"])
        self.end.load_state(state["end"])


def _listed(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in values.items())
