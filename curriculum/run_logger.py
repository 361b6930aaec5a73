"""Log of a curriculum: metrics.csv, TensorBoard curves, samples, stages.json, the skills matrix, a line of progress.

Every worker has one; only rank 0's writes. After a kill, what was written beyond the checkpoint is dropped first.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curriculum.endings import LOOK_COLUMNS, look_columns, look_line
from curriculum.place import Place, measured
from curriculum.plateau import Look
from curriculum.stages import Stage
from hamner.config.schema import Plateau
from hamner.evaluation.statistics import Chance, accuracy
from hamner.reports.skills_matrix import picture, render, write_matrix
from hamner.runs.files import append_json_line, drop_json_lines_after, replacing, write_json
from hamner.runs.metrics import Curves, Metrics

if TYPE_CHECKING:  # it loads PyTorch, which the driver's log needs not
    from curriculum.plateau_stopper import StageJudge

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
    *LOOK_COLUMNS,
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
    "verdict",
    "tokens_total",
    "tokens_billions",
    "elapsed_hours",
)
CURVES = tuple(name for name in FIELDS if name not in NOT_DRAWN)
SKILL_CURVES = {"skills/exact_match": "skills", "skills/choice": "choice"}  # means over the cells
LAYOUT = {  # charts that TensorBoard draws of several scalars: the tags are regular expressions
    "curriculum": {
        "held-out loss of each source, at the borders": ["Multiline", [r"heldout_loss/.*"]],
        "held-out loss of each source of the mix, averaged weights": ["Multiline", [r"heldout_average/.*"]],
        "loss on text that was read": ["Multiline", [r"train_loss/.*"]],
        "gain and its error": ["Multiline", [r"^gain$", r"^gain_error$"]],
    }
}
PROGRESS = ".progress"  # JSON: where the run stands now, see CurriculumRun._progress
TOO_NOISY = "too noisy: raise eval_sequences, or window_steps; else a plateau may stay unseen, up to the cap"
DETAILS = ("skills", "choice", "documents")  # of a stage's record: they go into skills.json


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
            self._curves = Curves(self._folder / "tensorboard", resume_step=step, layout=LAYOUT)
            drop_json_lines_after(self._folder / "samples.jsonl", step)
            self.write_stages(records)

    def begin_stage(self, place: Place, stage: Stage, step: int) -> None:
        """Mark the border in TensorBoard, where the stage begins at this global step."""
        self._stage_number = place.stage_index + 1
        if self._writes and place.stage_step == 0:
            text = f"{self._stage_number} {stage.name}: {listed(place.mix or stage.mix)}"
            self._curves.texts({"stage_begins": text}, step)
            self._curves.scalars({"stage": self._stage_number}, step)
            losses = {} if place.records else place.start_losses or {}  # later stages begin with those of the border
            self._curves.scalars({f"heldout_loss/{name}": loss for name, loss in losses.items()}, step)

    def row(self, phase: str, row: Mapping[str, Any], cost: dict[str, float]) -> float:
        """Write a row of metrics.csv and its curves; return its tokens per second. cost: as Session.cost returns it."""
        rate = cost.pop("tokens_per_second")
        if self._writes:
            mean = row["mean_loss"]
            perplexity = None if mean is None else math.exp(min(mean, 20.0))
            row = {**row, **cost, "tokens_per_sec": rate, "perplexity": perplexity}
            of_sources = {f"heldout_average/{name}": loss for name, loss in row.get("source_losses", {}).items()}
            curves = {name: row.get(name) for name in CURVES} | of_sources
            self._curves.scalars(curves | {"stage": self._stage_number}, row["step"])
            if row.get("verdict"):
                self._curves.texts({"verdict": row["verdict"]}, row["step"])
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

    def look(self, stage: Stage, look: Look, rule: Plateau) -> None:
        """Say what one look of the plateau stopper found."""
        self.say(f"  {look_line(look, stage.name, rule, counts=not stage.steps)}")
        if look.is_too_noisy and not stage.steps:
            self.say(f"  {stage.name}: {TOO_NOISY}")

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

    def stage_over(self, records: Sequence[Mapping[str, Any]], chance: Chance, step: int) -> None:
        """Draw the newest record's curves, and the skills matrix so far."""
        if not self._writes:
            return
        record = records[-1]
        self._curves.texts({"stage_ends": f"{record['number']} {record['stage']} ended {record['ended']}"}, step)
        for kind in ("heldout_loss", "train_loss"):
            self._curves.scalars({f"{kind}/{name}": loss for name, loss in record[kind].items()}, step)
        if record["skills"]:
            means = {name: statistics.mean(map(accuracy, record[key].values())) for name, key in SKILL_CURVES.items()}
            self._curves.scalars(means | {"skills/above_chance": record["skills_above_chance"]}, step)
            write_matrix(self._folder, measured(records), chance, self._folder.name)
            self._curves.image("skills", render(picture(measured(records), chance)), step)

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._writes:
            self._curves.close()

    def write_stages(self, records: Sequence[Mapping[str, Any]], final: Mapping[str, Any] | None = None) -> None:
        """Write stages.json, without what only skills.json needs. final: of a finished run, which weights it holds."""
        if self._writes:
            stages = [{key: value for key, value in record.items() if key not in DETAILS} for record in records]
            document = {"run": self._folder.name, "stages": stages} | ({"final": final} if final else {})
            write_json(self._folder / "stages.json", document)

    def progress(self, facts: Callable[[], Mapping[str, Any]]) -> None:
        """Replace what the driver shows of the progress, at most twice a second; only then is it asked for."""
        if self._writes and time.perf_counter() > self._progress_shown + 0.5:
            self._progress_shown = time.perf_counter()
            with replacing(self._folder / PROGRESS) as temporary:
                temporary.write_text(json.dumps(facts()), encoding="utf-8")


def heldout_columns(judge: StageJudge, stage_step: int) -> dict[str, Any]:
    """What a row holds of the held-out text: the losses where they were measured, and the look where there was one."""
    if not judge.due(stage_step):
        return look_columns(judge.last_look)
    return {"heldout_loss": judge.last_loss, "source_losses": judge.last_losses, **look_columns(judge.last_look)}


def needs_row(row: Mapping[str, Any]) -> bool:
    """Whether a step has a row whatever log_every says: a stage's first, one with a held-out loss or a look."""
    return row["stage_step"] == 1 or row.get("heldout_loss") is not None or row.get("verdict") is not None


def listed(values: Mapping[str, float]) -> str:
    """Return "name value, name value" with three decimals."""
    return ", ".join(f"{name} {value:.3f}" for name, value in values.items())
