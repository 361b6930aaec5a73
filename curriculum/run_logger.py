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
from hamner.runs.files import append_json_line, drop_json_lines_after, open_to_append, replacing, write_json
from hamner.runs.metrics import Metrics
from hamner.runs.tensorboard import NATS, Curves

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
    "tokens_per_second",
    "mfu",
    "data_wait",
    "peak_gib",
    "tokens_total",
    "tokens_billions",
    "elapsed_hours",
    "skipped_steps",
    "loss_scale",
)
SKILL_CURVES = {"skills/exact_match": "skills", "skills/choice": "choice"}  # means over the cells
OF_STAGES, OF_SOURCES, AT_BORDERS = "heldout/loss", "heldout/of_sources", "heldout/of_sources_at_borders"  # of tags
TRAIN_SOURCES = "train/of_sources"
LAYOUT = {  # charts that TensorBoard draws of several scalars: the tags are regular expressions
    "curriculum": {
        "held-out loss of each source, at the borders": ["Multiline", [rf"^{AT_BORDERS}/"]],
        "held-out loss of each source of the mix, averaged weights": ["Multiline", [rf"^{OF_SOURCES}/"]],
        "held-out loss of each stage's mix, averaged weights: what its plateau is judged by": [
            "Multiline",
            [rf"^{OF_STAGES}/"],
        ],
        "gain a window, its error, and the limit of a plateau": [
            "Multiline",
            ["^plateau/gain$", "^plateau/gain_error$", "^plateau/limit$"],
        ],
        "loss on text that was read, at the borders": ["Multiline", [rf"^{TRAIN_SOURCES}/"]],
        "stage": ["Multiline", ["^stage/number$"]],
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
            with open_to_append(self._folder / "run.log") as file:
                file.write(line + "\n")

    def open(self, step: int, records: Sequence[Mapping[str, Any]], every: int = 0) -> None:
        """Continue after a global step, with the records of the stages that are over. every: as Metrics takes it."""
        if self._writes:
            self._metrics = Metrics(self._folder, FIELDS, resume_step=step, every=every, say=self.say)
            self._curves = Curves(self._folder / "tensorboard", resume_step=step, layout=LAYOUT)
            drop_json_lines_after(self._folder / "samples.jsonl", step)
            self.write_stages(records)

    def begin_stage(self, place: Place, stage: Stage, step: int) -> None:
        """Mark the border in TensorBoard, where the stage begins at this global step."""
        self._stage_number = place.stage_index + 1
        if self._writes and place.stage_step == 0:
            text = f"{self._stage_number} {stage.name}: {listed(place.mix or stage.mix)}"
            self._curves.texts(
                {"stage/begins": text}, step + 1
            )  # its first step: a resume at the border writes it anew
            if not place.records:  # later stages begin with the losses of the border
                self._draw_border(place.start_losses or {}, step)

    def _draw_border(self, losses: Mapping[str, float], step: int) -> None:
        """Draw the held-out loss of every source at a border, and their mean: what no change of mix moves."""
        if losses:
            curves = {"heldout/all_sources": statistics.mean(losses.values())}
            curves |= {f"{AT_BORDERS}/{name}": loss for name, loss in losses.items()}
            self._curves.scalars(curves, step, f"held-out loss at the borders of stages, {NATS}")

    def _draw(self, phase: str, row: Mapping[str, Any]) -> None:
        """Draw a row. Its held-out loss is another quantity in each stage, since the mix is: each has its own tag."""
        step, stage = row["step"], f"{self._stage_number}_{phase}"
        self._curves.row({name: value for name, value in row.items() if name != "heldout_loss"}, step)
        losses = {f"{OF_SOURCES}/{name}": loss for name, loss in row.get("source_losses", {}).items()}
        if row.get("heldout_loss") is not None:
            losses[f"{OF_STAGES}/{stage}"] = row["heldout_loss"]
        self._curves.scalars(losses, step, f"held-out loss of the averaged weights, {NATS}")
        self._curves.scalars({"stage/number": self._stage_number}, step, "stage of the step: it rises at borders")
        if row.get("verdict"):
            self._curves.texts({"plateau/verdict": f"{phase}: {row['verdict']}"}, step)

    def row(self, phase: str, row: Mapping[str, Any], cost: dict[str, float], limit: float | None = None) -> float:
        """Write a row of metrics.csv and its curves; return its tokens per second.

        cost: as Session.cost returns it. limit: the gain a window that a plateau stays below.
        """
        if self._writes:
            mean = row["mean_loss"]
            row = {**row, **cost, "perplexity": None if mean is None else math.exp(min(mean, 20.0))}
            self._draw(phase, row | {"limit": limit if row.get("verdict") else None})
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
        return cost["tokens_per_second"]

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
            self._curves.texts({f"samples/{prompt}": text for prompt, text in samples.items()}, step)

    def stage_over(self, records: Sequence[Mapping[str, Any]], chance: Chance, step: int) -> None:
        """Draw the newest record's curves, and the skills matrix so far."""
        if not self._writes:
            return
        record = records[-1]
        self._curves.texts({"stage/ends": f"{record['number']} {record['stage']} ended {record['ended']}"}, step)
        self._draw_border(record["heldout_loss"], step)
        losses = {f"{TRAIN_SOURCES}/{name}": loss for name, loss in record["train_loss"].items()}
        self._curves.scalars(losses, step, f"loss on text that was read, {NATS}")
        if record["skills"]:
            means = {name: statistics.mean(map(accuracy, record[key].values())) for name, key in SKILL_CURVES.items()}
            self._curves.scalars(means, step, "share of right items, mean over the skills")
            count = {"skills/above_chance": record["skills_above_chance"]}
            self._curves.scalars(count, step, "number of skills above chance, by choice")
            write_matrix(self._folder, measured(records), chance, self._folder.name)
            self._curves.image("skills/matrix", render(picture(measured(records), chance)), step)

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
