"""What a run tells while it runs: rows, curves, samples, stages, the matrix of skills, one line of progress.

Every worker has one; only rank 0's writes. After a kill, what was written beyond the checkpoint is dropped first.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from hamner.reports.skills_matrix import picture, render, write_matrix
from hamner.runs.files import append_json_line, drop_json_lines_after, write_json
from hamner.runs.metrics import Curves, Metrics
from hamner.training.throughput import Meter

FIELDS = (
    "run",
    "timestamp",
    "step",
    "phase",
    "stage_step",
    "loss",
    "mean_loss",
    "perplexity",
    "balance_loss",
    "gradient_norm",
    "heldout_loss",
    "learning_rate",
    "tokens_per_sec",
    "mfu",
    "data_wait",
    "peak_gib",
    "tokens_total",
    "tokens_billions",
    "elapsed_hours",
    "skipped_steps",
    "loss_scale",
)
CURVES = (
    "loss",
    "mean_loss",
    "balance_loss",
    "gradient_norm",
    "heldout_loss",
    "learning_rate",
    "tokens_per_sec",
    "mfu",
    "data_wait",
    "peak_gib",
    "skipped_steps",
    "loss_scale",
)
PROGRESS = ".progress"
BULKY = ("skills", "documents")  # of a stage's record: what skills.json is made of


class Records:
    """The files of one run. `spent`: seconds of earlier processes. meter: of this process, which does the work."""

    def __init__(self, folder: Path, meter: Callable[[int], Meter], *, writes: bool) -> None:
        """meter: makes one that begins after so many tokens."""
        self._folder, self._writes = folder, writes
        self._began, self._shown, self.spent = time.perf_counter(), 0.0, 0.0
        self._meter_from, self.meter = meter, meter(0)

    @property
    def seconds(self) -> float:
        """Of this run so far, over all processes."""
        return self.spent + time.perf_counter() - self._began

    def say(self, line: str) -> None:
        """A line of run.log, which the driver shows."""
        if self._writes:
            with (self._folder / "run.log").open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def open(self, step: int, tokens: int, records: Sequence[Mapping[str, Any]]) -> None:
        """Go on after `step`."""
        self.meter = self._meter_from(tokens)
        if self._writes:
            self._metrics = Metrics(self._folder, FIELDS, resume_step=step)
            drop_json_lines_after(self._folder / "samples.jsonl", step)
            self.stages(records)

    def begin_stage(self, name: str, step: int) -> None:
        """name: also of its TensorBoard run."""
        if self._writes:
            self._curves = Curves(self._folder / "tensorboard" / name, resume_step=step)

    def row(self, phase: str, row: Mapping[str, Any], waited: float) -> float:
        """A row of metrics.csv and its curves; returns the tokens per second since the last one.

        waited: seconds for data so far.
        """
        cost = self.meter.now(row["tokens_total"], waited)
        rate = cost.pop("tokens_per_second")
        if self._writes:
            mean = row["mean_loss"]
            row = {
                **row,
                **cost,
                "tokens_per_sec": rate,
                "perplexity": None if mean is None else math.exp(min(mean, 20.0)),
            }
            self._curves.scalars({name: row.get(name) for name in CURVES}, row["step"])
            self._metrics.row(
                {
                    **row,
                    "run": self._folder.name,
                    "phase": phase,
                    "tokens_billions": row["tokens_total"] / 1e9,
                    "timestamp": datetime.now().isoformat(timespec="seconds"),
                    "elapsed_hours": self.seconds / 3600,
                }
            )
        return rate

    def samples(self, phase: str, step: int, tokens: int, samples: Mapping[str, str]) -> None:
        if self._writes:
            append_json_line(
                self._folder / "samples.jsonl",
                {
                    "timestamp": datetime.now().isoformat(timespec="seconds"),
                    "step": step,
                    "stage": phase,
                    "tokens_total": tokens,
                    "samples": samples,
                },
            )
            self._curves.texts(samples, step)

    def stage_over(self, records: Sequence[Mapping[str, Any]], chance: Mapping[str, float], step: int) -> None:
        """The newest record's curves, and the matrix of skills so far."""
        if not self._writes:
            return
        record = records[-1]
        for kind in ("heldout_loss", "train_loss"):
            self._curves.scalars({f"{kind}/{name}": loss for name, loss in record[kind].items()}, step)
        if record["skills"]:
            write_matrix(self._folder, list(records), dict(chance), self._folder.name)
            self._curves.image("skills", render(picture(list(records), dict(chance))), step)
        self._curves.close()

    def stages(self, records: Sequence[Mapping[str, Any]]) -> None:
        if self._writes:
            told = [{key: value for key, value in record.items() if key not in BULKY} for record in records]
            write_json(self._folder / "stages.json", {"run": self._folder.name, "stages": told})

    def progress(self, line: str, *, now: bool = False) -> None:
        """The line of progress the driver shows, at most twice a second."""
        if self._writes and (now or time.perf_counter() > self._shown + 0.5):
            self._shown = time.perf_counter()
            temporary = self._folder / f"{PROGRESS}.tmp"
            temporary.write_text(line, encoding="utf-8")
            temporary.replace(self._folder / PROGRESS)
