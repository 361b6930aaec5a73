"""One contestant under Ray Tune: train to the next boundary, evaluate, report.

Its own folder RUN/<contestant>/ holds metrics.csv, TensorBoard curves and checkpoints. What Tune is given as a
checkpoint is only a note of the round: weights, optimizer and data position are in our own format, so a run can
be resumed by anybody who finds the folder, whatever became of the driver.
"""

from __future__ import annotations

import json
import math
import time
import traceback
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from ray import tune

from hamner import checkpoint
from hamner.config import Config, parse
from hamner.corpus import Corpus
from hamner.evaluate import heldout_loss, heldout_rows, mix_loss, row_counts
from hamner.metrics import Curves, Metrics, Throughput
from hamner.mixer import Mixer, training_rows
from hamner.model import build
from hamner.results import read_json
from hamner.tokenizer import Tokenizer
from hamner.trainer import Diverged, Trainer
from tournament.gpu_share import share
from tournament.standings import round_end
from tournament.variants import entrants

FIELDS = ("step", "round", "loss", "balance_loss", "gradient_norm", "learning_rate", "tokens_per_second",
          "tokens_total", "heldout_loss")


class Trial(tune.Trainable):
    """config: {"contestant": name, "run": folder, "round": 0-based round to begin with}."""

    def setup(self, config: dict[str, Any]) -> None:
        self._folder = Path(config["run"]) / config["contestant"]
        # an orphan of a killed driver may still be writing
        self._lock = FileLock(self._folder / ".lock", thread_local=False)
        self._lock.acquire(timeout=60)
        self._round, self._reported = int(config["round"]), False
        self._failed_in_setup = ""
        try:
            self._prepare(Path(config["run"]), config["contestant"])
        except Exception as error:
            self._failed_in_setup = _failure(error)[1]
            self._setup_failure = _failure(error)[0]

    def _prepare(self, run: Path, name: str) -> None:
        self._config = parse(Config, read_json(run / "config.json")["config"], str(run / "config.json"))
        league, compute = self._config.tournament, self._config.compute
        torch.set_num_threads(compute.threads)
        self._tokenizer = Tokenizer.load(run / "data")
        corpus = Corpus(run / "data", self._tokenizer.sha256)
        self._model = entrants(self._config)[name]
        if compute.device == "cuda":    # one that needs more than its share must not take its neighbours'
            torch.cuda.set_per_process_memory_fraction(share(self._model, self._config))
        mixer = Mixer(training_rows(corpus, self._tokenizer, list(league.mix), league.seq_len), league.batch_size)
        mixer.start_stage(league.mix)
        self._rows = {
            source: heldout_rows(corpus, self._tokenizer, source, league.seq_len, count)
            for source, count in row_counts(league.mix, league.eval_sequences).items()
        }
        hamner = build(self._model, self._config.seed,
                       activation_checkpointing=compute.activation_checkpointing)
        self._trainer = Trainer(hamner, mixer, self._config.optimizer, compute, micro_batches=league.micro_batches)
        self._trainer.begin(league.learning_rate * self._config.lr_scale, league.warmup_steps)
        found = checkpoint.newest(self._folder / "checkpoints")
        if found:
            self._trainer.load(found, found.state)
            self._progress = dict(found.state["progress"])
        else:
            self._progress = {"losses": [], "seconds": 0.0, "start": self._evaluate(), "latest": None}
        step = self._trainer.step_count
        self._metrics = Metrics(self._folder, FIELDS, resume_step=step)
        self._curves = Curves(self._folder, resume_step=step)

    def step(self) -> dict[str, Any]:
        """Run to the next checkpoint or the end of the round. A failure is a result, not a traceback."""
        if self._failed_in_setup:
            return {"failure": self._setup_failure, "reason": self._failed_in_setup, "round": self._round,
                    "step": 0}
        if self._reported:    # Tune only calls again when the contestant goes on
            self._round, self._reported = self._round + 1, False
        try:
            return self._run_on()
        except Exception as error:
            kind, reason = _failure(error)
            if kind == "error":
                print(traceback.format_exc())
            return {"failure": kind, "reason": reason, "step": self._trainer.step_count, "round": self._round}

    def _run_on(self) -> dict[str, Any]:
        league, trainer = self._config.tournament, self._trainer
        end = round_end(self._config, self._round)
        begin = end - league.steps[self._round]
        if trainer.step_count == begin and self._round and self._progress["latest"] is not None:
            self._progress = {"losses": [], "seconds": 0.0, "start": self._progress["latest"], "latest": None}
        every = league.checkpoint_every
        target = min(end, (trainer.step_count // every + 1) * every)
        done = target == end
        if trainer.step_count < target:
            last_row = self._train_until(target)
            if done:
                self._progress["latest"] = last_row["heldout_loss"] = self._evaluate()
            if done or target % league.log_every == 0:
                self._write(last_row)
            self._save()
        self._reported = done
        facts = {"step": trainer.step_count, "round": self._round, "round_done": done}
        return facts | (self._result(end - begin) if done else {})

    def _train_until(self, target: int) -> dict[str, Any]:
        """Train up to step `target`; every row that is due is written but the last, which is returned."""
        trainer, every = self._trainer, self._config.tournament.log_every
        speed, began = Throughput(trainer.tokens_total), time.perf_counter()
        while True:
            row: dict[str, Any] = dict(trainer.step())
            self._progress["losses"].append(row["loss"])
            due = trainer.step_count % every == 0 or trainer.step_count in (1, target)
            if due:
                row |= {"round": self._round + 1, "tokens_per_second": speed.now(trainer.tokens_total)}
            if trainer.step_count == target:
                self._progress["seconds"] += time.perf_counter() - began
                return row
            if due:
                self._write(row)

    def _result(self, steps: int) -> dict[str, Any]:
        """What is reported at the end of a round."""
        progress, league = self._progress, self._config.tournament
        tail = progress["losses"][-max(1, steps // 10):]
        tokens = steps * league.batch_size * league.seq_len
        return {
            "heldout_loss": progress["latest"], "heldout_loss_start": progress["start"],
            "train_loss": sum(tail) / len(tail), "seconds": progress["seconds"],
            "tokens_per_second": tokens / progress["seconds"] if progress["seconds"] else None,
        }

    def _evaluate(self) -> float:
        """Held-out cross-entropy of the league's mix, nats per token. Raises Diverged when it is no number."""
        league = self._config.tournament
        part = league.batch_size // league.micro_batches
        losses = {source: heldout_loss(self._trainer.hamner, rows, self._config.compute, batch_size=part)
                  for source, rows in self._rows.items()}
        loss = mix_loss(losses, league.mix)
        if not math.isfinite(loss):
            raise Diverged(f"the held-out loss of step {self._trainer.step_count} is {loss}")
        return loss

    def _write(self, row: dict[str, Any]) -> None:
        self._metrics.row(row)
        self._curves.scalars({k: v for k, v in row.items() if k not in ("step", "round")}, row["step"])

    def _save(self) -> None:
        folder = self._folder / "checkpoints"
        checkpoint.save(
            folder / checkpoint.step_name(self._trainer.step_count), self._trainer.tensors(),
            self._trainer.state() | {"progress": self._progress, "contestant": self._folder.name},
            self._model, self._tokenizer,
        )
        checkpoint.prune(folder, keep=2)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        note = {"round": self._round, "reported": self._reported}
        (Path(checkpoint_dir) / "round.json").write_text(json.dumps(note), encoding="utf-8")

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        note = json.loads((Path(checkpoint_dir) / "round.json").read_text(encoding="utf-8"))
        self._round, self._reported = note["round"], note["reported"]

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Become another contestant (on the CPU, where processes are reused)."""
        self.cleanup()
        self.setup(new_config)
        return True

    def cleanup(self) -> None:
        if hasattr(self, "_curves"):
            self._curves.close()
        self._lock.release()


def _failure(error: Exception) -> tuple[str, str]:
    """The kind of failure and one line of reason."""
    line = (str(error).splitlines() or [""])[0][:200]
    if isinstance(error, Diverged):
        return "diverged", line
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return "oom", line
    return "error", f"{type(error).__name__}: {line}"
