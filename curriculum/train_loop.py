"""The worker of the curriculum: stage by stage, under Ray Train, from wherever the last checkpoint stands.

Every worker runs the same loop and comes to the same decisions, since these are fed by numbers all workers
share; only rank 0 writes. All that must survive a kill is in the checkpoint, so a restarted worker, or a new
driver, goes on bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor

from curriculum.plateau_stopper import StageJudge
from curriculum.stages import SEED, Stage
from hamner import checkpoint
from hamner.config import BadInput, Config, ModelConfig, parse
from hamner.corpus import Corpus
from hamner.evaluate import heldout_loss, heldout_rows, row_counts
from hamner.generate import SAMPLE_PROMPTS, Sampling, complete, prompt_name
from hamner.metrics import Curves, Metrics, Throughput, append_json_line, drop_json_lines_after
from hamner.mixer import Mixer, training_rows
from hamner.model import build
from hamner.results import read_json, write_json
from hamner.tokenizer import Tokenizer
from hamner.trainer import Diverged, Trainer

FIELDS = ("run", "step", "stage", "stage_step", "loss", "balance_loss", "gradient_norm", "heldout_loss",
          "learning_rate", "tokens_per_second", "tokens_total", "elapsed_seconds")


def train(settings: dict[str, Any]) -> None:
    """What Ray Train runs in each worker. settings: {"run": the run's folder}."""
    folder = Path(settings["run"])
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    rank = torch.distributed.get_rank() if distributed else 0
    world = torch.distributed.get_world_size() if distributed else 1
    if read_json(folder / "config.json")["config"]["compute"]["device"] == "cuda":    # not: where there is a card
        from ray.train.torch import get_device

        torch.cuda.set_device(get_device())    # of several cards on a node, the one Ray gave this worker
    lock = FileLock(folder / f".worker{rank}.lock", thread_local=False)
    with lock.acquire(timeout=60):    # an orphan of a killed driver may still be writing
        Course(folder, rank=rank, world=world).run()


class Course:
    """One run of the curriculum on one worker."""

    def __init__(self, folder: Path, *, rank: int = 0, world: int = 1) -> None:
        document = read_json(folder / "config.json")
        self.folder, self.rank = folder, rank
        self.config = parse(Config, document["config"], str(folder / "config.json"))
        self.settings, compute = self.config.curriculum, self.config.compute
        self.stages: Sequence[Stage] = SEED
        torch.set_num_threads(compute.worker_threads)
        self.tokenizer = Tokenizer.load(folder / "data")
        corpus = Corpus(folder / "data", self.tokenizer.sha256)
        names = sorted({name for stage in self.stages for name in stage.mix})
        mixer = Mixer(training_rows(corpus, self.tokenizer, names, self.settings.seq_len),
                      self.settings.batch_size, rank=rank, world=world)
        self.model = parse(ModelConfig, document["model"], "model")
        hamner = build(self.model, self.config.seed, activation_checkpointing=compute.activation_checkpointing)
        self.trainer = Trainer(hamner, mixer, self.config.optimizer, compute,
                               micro_batches=self.settings.micro_batches)
        self._corpus, self._source = corpus, document["from"]
        self.stage_index: int = document["first_stage"]
        self.stage_step = 0
        self.records: list[dict[str, Any]] = []    # of stages.json
        self._spent = 0.0                          # seconds of earlier processes
        self._began = time.perf_counter()

    # --- the story -------------------------------------------------------------------------------------

    def run(self) -> None:
        """All stages, then final/. Leaves no final/ when training diverged."""
        found = self._newest()
        if found:
            self.load(found)
        elif self._source:
            self._load_weights(Path(self._source))
        self._open_records()
        self.say(f"step {self.trainer.step_count}, stage {self.stage_index + 1}" if found
                 else f"starting at step 0 with stage {self.stage_index + 1}")
        try:
            while self.stage_index < len(self.stages):
                self._run_stage()
        except Diverged as error:
            last = checkpoint.newest(self.folder / "checkpoints", self.say)
            self.say(f"diverged: {error}; the last good checkpoint is {last.path if last else 'none'}")
            return
        if self.rank == 0:
            self._save(self.folder / "final")
            self.say(f"finished: {self.folder / 'final'}")

    def _newest(self) -> checkpoint.Checkpoint | None:
        """The run's newest checkpoint, as rank 0 sees it: all workers must go on from the same one."""
        found = checkpoint.newest(self.folder / "checkpoints", self.say) if self.rank == 0 else None
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            name = [found.path.name if found else None]
            torch.distributed.broadcast_object_list(name, src=0)
            if self.rank and name[0]:
                found = checkpoint.load(self.folder / "checkpoints" / name[0])
        return found

    def _load_weights(self, path: Path) -> None:
        """Begin with the weights of --from, which must read the run's own tokens."""
        found = checkpoint.load(path)
        if found.state["tokenizer_sha256"] != self.tokenizer.sha256:
            raise BadInput(f"{path} was trained with another tokenizer than the one in {self.folder / 'data'}")
        self.trainer.hamner.load_state_dict(found.tensors("model", self.config.compute.device))

    def _run_stage(self) -> None:
        stage = self.stages[self.stage_index]
        if self.stage_step == 0:
            self.begin_stage(stage)
        reason = None
        while reason is None:
            row = self.step()
            reason = row.pop("reason")
            self._after_step(stage, row, reason)
        self._end_stage(stage, reason)

    def begin_stage(self, stage: Stage) -> None:
        """Fresh AdamW and warmup, a new average; weights and data position carry over."""
        self._mixing = self.stage_index
        self.trainer.mixer.start_stage(stage.mix, stage.level)
        self.trainer.begin(stage.learning_rate * self.config.lr_scale, self.settings.warmup_steps)
        self._make_judge(stage)
        self.started_at = self.measure_sources()
        self.say(f"stage {self.stage_index + 1} {stage.name}: held out "
                 + ", ".join(f"{name} {loss:.3f}" for name, loss in self.started_at.items()))

    def step(self) -> dict[str, Any]:
        """One training step and, where due, one evaluation. "reason" is set when the stage is over."""
        row: dict[str, Any] = dict(self.trainer.step())
        self.stage_step += 1
        began = time.perf_counter()
        reason = self.judge.after_step(self.trainer.hamner, self.stage_step)
        self._speed.pause(time.perf_counter() - began)
        row["heldout_loss"] = self.judge.last_loss if not self.stage_step % self._evaluate_every else None
        row["reason"] = reason or ("cap" if self.stage_step >= self.settings.max_steps else None)
        return row

    def _after_step(self, stage: Stage, row: dict[str, Any], reason: str | None) -> None:
        """Rows, samples and checkpoints that are due."""
        step, last = self.trainer.step_count, reason is not None
        look = self.judge.last_look
        if look is not None:
            self.say(f"  {stage.name} step {look.step}: held out {self.judge.last_loss:.4f}, gain "
                     f"{100 * look.gain:.2f} ± {100 * look.standard_error:.2f} % a window: {look.verdict}"
                     + (f", strike {look.strikes} of {self.settings.plateau.strikes}" if look.strikes else ""))
        if last or step % self.settings.log_every == 0 or self.stage_step == 1:
            self._write(stage, row)
        if last or step % self.settings.sample_every == 0:
            self._sample(stage)
        if not last and step % self.settings.checkpoint_every == 0:
            self._checkpoint()

    def _end_stage(self, stage: Stage, reason: str) -> None:
        step = self.trainer.step_count
        record: dict[str, Any] = {
            "number": self.stage_index + 1, "stage": stage.name, "steps": self.stage_step,
            "tokens": self.stage_step * self.settings.batch_size * self.settings.seq_len, "reason": reason,
            "started_at": self.started_at, "heldout_loss": self.measure_sources(),
            "epochs": self.trainer.mixer.epochs(), "checkpoint": f"checkpoints/{checkpoint.step_name(step)}",
        }
        self.records.append(record)
        self.say(f"stage {record['number']} {stage.name} ended by {reason} after {record['steps']} steps: held out "
                 + ", ".join(f"{name} {loss:.3f}" for name, loss in record["heldout_loss"].items()))
        if self.rank == 0:
            self._curves.scalars({f"heldout/{n}": v for n, v in record["heldout_loss"].items()}, step)
            self._curves.close()
        self.stage_index, self.stage_step = self.stage_index + 1, 0
        self._checkpoint()
        self._write_stages()
        if self.stage_index < len(self.stages):
            self._open_curves(0)

    # --- measuring -------------------------------------------------------------------------------------

    def _make_judge(self, stage: Stage) -> None:
        count, length = self.settings.eval_sequences, self.settings.seq_len
        self._evaluate_every = self.settings.plateau.evaluate_every
        def rows(name: str, n: int) -> Tensor:
            return heldout_rows(self._corpus, self.tokenizer, name, length, n, stage.level)

        # judged on rows in the stage's ratios; measured, at its ends, on the same rows in every stage
        judged = {name: rows(name, n) for name, n in row_counts(stage.mix, count).items()}
        self._measured = {name: rows(name, max(1, count // 2)) for name in self._all_sources()}
        self._speed = Throughput(self.trainer.tokens_total)
        self.judge = StageJudge(self.trainer.hamner, stage, judged, self.config)

    def measure_sources(self) -> dict[str, float]:
        """Held-out loss of the weights as they are, for every source of the curriculum, in nats per token."""
        return {
            name: heldout_loss(self.trainer.hamner, rows, self.config.compute,
                               batch_size=self.settings.batch_size // self.settings.micro_batches)
            for name, rows in self._measured.items()
        }

    def _all_sources(self) -> list[str]:
        return list(dict.fromkeys(name for stage in self.stages for name in stage.mix))

    # --- writing, on rank 0 -----------------------------------------------------------------------------

    def say(self, line: str) -> None:
        """A line of run.log, which the driver shows."""
        if self.rank == 0:
            with (self.folder / "run.log").open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def _open_records(self) -> None:
        if self.rank == 0:
            self._metrics = Metrics(self.folder, FIELDS, resume_step=self.trainer.step_count)
            drop_json_lines_after(self.folder / "samples.jsonl", self.trainer.step_count)
            if self.stage_index < len(self.stages):
                self._open_curves(self.trainer.step_count)
            self._write_stages()

    def _open_curves(self, resume_step: int) -> None:
        if self.rank == 0:
            name = f"{self.stage_index + 1}_{self.stages[self.stage_index].name}"
            self._curves = Curves(self.folder / "tensorboard" / name, resume_step=resume_step)

    def _write(self, stage: Stage, row: dict[str, Any]) -> None:
        if self.rank != 0:
            return
        row |= {"tokens_per_second": self._speed.now(self.trainer.tokens_total)}
        self._curves.scalars({k: v for k, v in row.items() if k != "step"}, row["step"])
        elapsed = self._spent + time.perf_counter() - self._began
        self._metrics.row(row | {"run": self.folder.name, "stage": stage.name, "stage_step": self.stage_step,
                                 "elapsed_seconds": round(elapsed, 3)})

    def _sample(self, stage: Stage) -> None:
        if self.rank != 0:
            return
        began, step = time.perf_counter(), self.trainer.step_count
        samples = {
            prompt_name(p): complete(self.trainer.hamner, self.tokenizer, p, self.settings.sample_tokens, Sampling(),
                                     seed=step) for p in SAMPLE_PROMPTS
        }
        append_json_line(self.folder / "samples.jsonl", {
            "step": step, "stage": stage.name, "tokens_total": self.trainer.tokens_total, "samples": samples})
        self._curves.texts(samples, step)
        self._speed.pause(time.perf_counter() - began)

    def _write_stages(self) -> None:
        if self.rank == 0:
            write_json(self.folder / "stages.json", {"run": self.folder.name, "stages": self.records})

    # --- surviving --------------------------------------------------------------------------------------

    def _checkpoint(self) -> None:
        began = time.perf_counter()
        if self.rank == 0:
            folder = self.folder / "checkpoints"
            self._save(folder / checkpoint.step_name(self.trainer.step_count))
            ends = frozenset(Path(record["checkpoint"]).name for record in self.records)
            checkpoint.prune(folder, self.settings.keep_checkpoints, spare=ends)
        self._speed.pause(time.perf_counter() - began)

    def _save(self, path: Path) -> None:
        state = self.trainer.state() | {
            "stage_index": self.stage_index, "stage_step": self.stage_step, "records": self.records,
            "mixing": self._mixing, "started_at": self.started_at, "judge": self.judge.state(),
            "elapsed_seconds": self._spent + time.perf_counter() - self._began,
        }
        checkpoint.save(path, self.trainer.tensors() | {"average": self.judge.tensors()}, state, self.model,
                        self.tokenizer)

    def load(self, found: checkpoint.Checkpoint, *, before_border: bool = False) -> None:
        """Go on where a checkpoint stands. before_border: stay in the stage that it ended."""
        state = found.state
        self.records, self.started_at = list(state["records"]), state["started_at"]
        self.stage_index, self.stage_step = state["stage_index"], state["stage_step"]
        self._spent, self._mixing = state["elapsed_seconds"], state["mixing"]
        if before_border:
            self.stage_index, self.stage_step = self._mixing, state["schedule_step"]
        stage = self.stages[self._mixing]    # at a border still the one before: begin_stage makes the next
        self.trainer.mixer.start_stage(stage.mix, stage.level)
        self.trainer.load(found, state)
        self._make_judge(stage)
        self.judge.load(found.tensors("average", self.config.compute.device), state["judge"])
