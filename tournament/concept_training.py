"""One run of an arm of the concept experiments, without Ray: train the base by the arm's schedule, and test it.

Told on training/session.py. Data in: the experiments' folder with the base, one arm. Data out, in the run's folder:
metrics.csv and checkpoints; of its end a result, the fields of outcome.Outcome. Opened again after a kill, a run
continues from its newest checkpoint bit for bit: rows are a function of (seed, concept, number), and what was measured
at the ends of stages is kept in every checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

from hamner.config.schema import Config
from hamner.data.concept_rows import ConceptRows
from hamner.data.concepts import test_items, training_items
from hamner.evaluation.short_answers import mark_items
from hamner.evaluation.statistics import accuracy
from hamner.runs.metrics import Metrics
from hamner.runs.stopping import STOP
from hamner.training import checkpoint
from hamner.training.checkpoint_writer import checkpoint_due
from hamner.training.reply_loss import ReplyObjective
from hamner.training.session import Row, Session, Setup
from hamner.training.throughput import peak_gib, reset_peak_memory
from hamner.training.trainer import Trainer
from tournament.concept_arms import Arm
from tournament.concept_base import DATA, FOLDER
from tournament.training import Stopped, seed_of

FIELDS = ("step", "stage", "loss", "gradient_norm", "learning_rate", "tokens_per_second", "peak_gib", "tokens_total")
KEEP_CHECKPOINTS = 2  # one of them may be torn


class ConceptTraining:
    """A run of an arm with one seed."""

    def __init__(
        self, config: Config, experiments: Path, folder: Path, arm: Arm, seed: int, rate: float, attempt: int
    ) -> None:
        """Open the run, at step 0 or where its newest checkpoint stands.

        experiments: their folder. seed: index. rate: as trained with, lr_scale included. attempt: how many times the
        experiments have been started, this one included. Raises BadInput.
        """
        self.config, self.folder, self.arm = config, folder, arm
        self._experiments, self._rate, self._seed = experiments, rate, seed_of(config, seed)
        self._ends = tuple(accumulate(arm.steps(config)))  # global step at which each stage ends
        self.measured: list[dict[str, str]] = []  # at the end of each stage: cell -> a mark for each item
        self.seconds = 0.0
        self._lines: list[str] = []  # to be said where the experiments are shown
        reset_peak_memory(config.compute.device)
        base = checkpoint.load(experiments / FOLDER)
        self.session = self._open(base, attempt)
        self.session.register("concepts", self._state, self._load_state)
        if not self.session.resume(may_restart=True):
            self.trainer.load_weights(base)
            self._begin_stage(0)
        self.session.log_resume(experiments / "resume.jsonl", contestant=folder.name)
        self._metrics = Metrics(folder, FIELDS, resume_step=self.session.global_step, say=self._lines.append)

    def _open(self, base: checkpoint.Checkpoint, attempt: int) -> Session:
        settings, compute, tokenizer = self.config.concepts, self.config.compute, base.tokenizer()
        model = base.model.model_copy(update={"document_mask": True})  # items of a row do not see each other
        rows = {
            name: ConceptRows(
                tokenizer, training_items(name), settings.seq_len, name, self._seed, is_masked=self.arm.loss == "masked"
            )
            for name in self.arm.sources
        }
        setup = Setup(
            model=model,
            seed=self._seed,
            optimizer=self.config.optimizer,
            compute=compute,
            threads=compute.threads,
            sources=(),
            batch_size=settings.batch_size,
            seq_len=settings.seq_len,
            groups=self.arm.parameter_groups(model.num_layers),
            expected_tokens=sum(self.arm.steps(self.config)) * settings.batch_size * settings.seq_len,
            checkpoint_every=settings.checkpoint_every,
            objective=ReplyObjective,
        )
        say = self._lines.append
        return Session(setup, self._experiments / DATA, self.folder, attempt=attempt, say=say, more_rows=rows)

    def take_lines(self) -> list[str]:
        """What there is to say of the run's files since the last call."""
        lines, self._lines[:] = list(self._lines), []
        return lines

    @property
    def trainer(self) -> Trainer:
        return self.session.trainer

    @property
    def is_open(self) -> bool:
        return True

    def _state(self) -> dict[str, Any]:
        return {"measured": self.measured, "seconds": self.seconds}

    def _load_state(self, state: Mapping[str, Any]) -> None:
        self.measured, self.seconds = list(state["measured"]), state["seconds"]

    def _begin_stage(self, index: int) -> None:
        """Start a stage's mix and rate, with a fresh optimizer; after the last one nothing."""
        if index < len(self._ends):
            self.trainer.mixer.start_stage(self.arm.stages[index].mix)
            self.trainer.begin(self._rate, self.config.concepts.warmup_steps)

    def advance(self) -> bool:
        """Train to the next checkpoint or the end; True at the end.

        Raises Stopped when the experiments were asked to stop, Diverged, OutOfMemoryError.
        """
        began, every = time.perf_counter(), self.config.concepts.checkpoint_every
        if not self._ends and not self.measured:
            self.measured.append(self._measure())
        while len(self.measured) < len(self._ends):
            row = self.session.step() | {"stage": len(self.measured) + 1}
            is_end = self.trainer.step_count == self._ends[len(self.measured)]
            is_stopped = (self._experiments / STOP).exists()
            if is_end:
                self._end_stage()
            if is_end or is_stopped or checkpoint_due(self.trainer.step_count, every):
                self._save(row, began, wait=is_end or is_stopped)
                if is_stopped and len(self.measured) < len(self._ends):
                    raise Stopped
                break
        return len(self.measured) >= max(1, len(self._ends))

    def _end_stage(self) -> None:
        """Test the arm, then begin its next stage."""
        self.measured.append(self._measure())
        self._begin_stage(len(self.measured))

    def _measure(self) -> dict[str, str]:
        hamner, tokenizer = self.trainer.hamner, self.session.tokenizer
        return {cell: mark_items(hamner, tokenizer, test_items(cell), self.config.compute) for cell in self.arm.cells}

    def _save(self, row: Row, began: float, *, wait: bool) -> None:
        self._metrics.row(row | self.session.cost())
        self.seconds += time.perf_counter() - began
        self.session.save(wait=wait, after=lambda folder: checkpoint.prune(folder, KEEP_CHECKPOINTS))

    def result(self) -> dict[str, Any]:
        """What is reported at the end: the fields of outcome.Outcome. The arm is ranked by its share of errors."""
        marks = self.measured[-1][self.arm.main]
        return {
            "heldout_loss": 1 - accuracy(marks),
            "rows": len(marks),
            "documents": item_errors(self.arm.main, marks),
            "facts": {
                "measured": self.measured,
                "seconds": self.seconds,
                "steps": self.trainer.step_count,
                "tokens": self.trainer.tokens_total,
                "learning_rate": self._rate,
            },
        }

    def peak_gib(self) -> float:
        """Return the peak memory since the run was opened, in GiB."""
        return peak_gib(self.config.compute.device)

    def close(self) -> None:
        """Wait for the checkpoint being written. Raises what writing raised."""
        self.session.close()


def item_errors(cell: str, marks: str) -> dict[str, Any]:
    """The errors of a cell as document_errors.Documents has losses: an item in all its ways of asking is a document."""
    wrong: dict[tuple[str, ...], list[int]] = {}
    for item, mark in zip(test_items(cell), marks, strict=True):
        wrong.setdefault(item.identity, []).append(int(mark == "0"))
    of_items = list(wrong.values())
    return {cell: {"share": 1.0, "nats": [float(sum(of)) for of in of_items], "tokens": [len(of) for of in of_items]}}
