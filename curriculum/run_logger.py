"""Log of a curriculum: metrics.csv, TensorBoard curves, samples, stages.json, the skills matrix, a line of progress.

Every worker has one; only rank 0's writes. After a kill, what was written beyond the checkpoint is dropped first.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from curriculum.plateau import Look
from curriculum.stages import Stage
from hamner.reports.skills_matrix import picture, render, write_matrix
from hamner.runs.files import append_json_line, drop_json_lines_after, replacing, write_json
from hamner.runs.metrics import Curves, Metrics

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
NOT_DRAWN = (
    "run",
    "timestamp",
    "step",
    "phase",
    "stage_step",
    "perplexity",
    "tokens_total",
    "tokens_billions",
    "elapsed_hours",
)
CURVES = tuple(name for name in FIELDS if name not in NOT_DRAWN)
PROGRESS = ".progress"
DETAILS = ("skills", "documents")  # of a stage's record: they go into skills.json


class RunLogger:
    """Writes the files of one run."""

    def __init__(self, folder: Path, *, writes: bool) -> None:
        """writes: whether this worker is the one that does."""
        self._folder, self._writes = folder, writes
        self._began, self._progress_shown, self._earlier_seconds = time.perf_counter(), 0.0, 0.0

    @property
    def seconds(self) -> float:
        """Of this run so far, over all processes."""
        return self._earlier_seconds + time.perf_counter() - self._began

    def add_seconds(self, seconds: float) -> None:
        """Count the time of earlier processes."""
        self._earlier_seconds = seconds

    def say(self, line: str) -> None:
        """Add a line to run.log, which the driver shows."""
        if self._writes:
            with (self._folder / "run.log").open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def open(self, step: int, records: Sequence[Mapping[str, Any]]) -> None:
        """Continue after a global step, with the records of the stages that are over."""
        if self._writes:
            self._metrics = Metrics(self._folder, FIELDS, resume_step=step)
            drop_json_lines_after(self._folder / "samples.jsonl", step)
            self.write_stages(records)

    def begin_stage(self, name: str, step: int) -> None:
        """Open the stage's TensorBoard run."""
        if self._writes:
            self._curves = Curves(self._folder / "tensorboard" / name, resume_step=step)

    def row(self, phase: str, row: Mapping[str, Any], cost: dict[str, float]) -> float:
        """Write a row of metrics.csv and its curves; return its tokens per second. cost: as Session.cost returns it."""
        rate = cost.pop("tokens_per_second")
        if self._writes:
            mean = row["mean_loss"]
            perplexity = None if mean is None else math.exp(min(mean, 20.0))
            row = {**row, **cost, "tokens_per_sec": rate, "perplexity": perplexity}
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

    def look(self, stage: Stage, look: Look, strikes: int) -> None:
        """Say what one look of the plateau stopper found; `strikes` of them in a row end the stage."""
        error = f" ± {100 * look.standard_error:.2f}" if look.standard_error is not None else ""
        count = f", strikes {look.strikes:.1f} of {strikes}" if look.strikes and not stage.steps else ""
        self.say(
            f"  {stage.name} step {look.step}: gain {100 * look.gain:.2f}{error} % a window: {look.judgement}{count}"
        )
        if look.is_too_noisy and not stage.steps:
            self.say(
                f"  {stage.name} is too noisy to see a plateau in a few looks: raise eval_sequences, or window_steps; "
                "else it may run to its cap"
            )

    def samples(self, phase: str, step: int, tokens: int, samples: Mapping[str, str]) -> None:
        """Write what the model makes of each prompt."""
        if self._writes:
            line = {
                "timestamp": datetime.now().isoformat(timespec="seconds"),
                "step": step,
                "stage": phase,
                "tokens_total": tokens,
                "samples": samples,
            }
            append_json_line(self._folder / "samples.jsonl", line)
            self._curves.texts(samples, step)

    def stage_over(self, records: Sequence[Mapping[str, Any]], chance: Mapping[str, float], step: int) -> None:
        """Draw the newest record's curves, and the skills matrix so far."""
        if not self._writes:
            return
        record = records[-1]
        for kind in ("heldout_loss", "train_loss"):
            self._curves.scalars({f"{kind}/{name}": loss for name, loss in record[kind].items()}, step)
        if record["skills"]:
            write_matrix(self._folder, measured(records), dict(chance), self._folder.name)
            self._curves.image("skills", render(picture(measured(records), dict(chance))), step)
        self._curves.close()

    def write_stages(self, records: Sequence[Mapping[str, Any]], final: Mapping[str, Any] | None = None) -> None:
        """Write stages.json, without what only skills.json needs. final: of a finished run, which weights it holds."""
        if self._writes:
            stages = [{key: value for key, value in record.items() if key not in DETAILS} for record in records]
            document = {"run": self._folder.name, "stages": stages} | ({"final": final} if final else {})
            write_json(self._folder / "stages.json", document)

    def progress(self, line: str) -> None:
        """Replace the line of progress that the driver shows, at most twice a second."""
        if self._writes and time.perf_counter() > self._progress_shown + 0.5:
            self._progress_shown = time.perf_counter()
            with replacing(self._folder / PROGRESS) as temporary:
                temporary.write_text(line, encoding="utf-8")


def measured(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Records of stages to compare: neither what a resume abandoned, nor what it left without a measurement."""
    return [record for record in records if not record.get("abandoned") and record["documents"]]


def listed(values: Mapping[str, float]) -> str:
    """Return "name value, name value" with three decimals."""
    return ", ".join(f"{name} {value:.3f}" for name, value in values.items())
