"""Training curves of a run: loss, perplexity, learning rate, throughput, borders and samples, as its files have them.

Data in: metrics.csv and samples.jsonl of a run of any kind, or metrics.csv of every contestant of a league. Data out:
lines for pictures and terminals. Each line is of one run: nothing is averaged over runs, and nothing is written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hamner.config.errors import BadInput
from hamner.runs.metrics import finite, read_metrics
from hamner.runs.read_back import json_lines

HIGHEST_EXPONENT = 20.0  # of a perplexity: beyond, it says nothing
Rows = Sequence[Mapping[str, str]]
Points = tuple[tuple[float, float], ...]  # step, value


@dataclass(frozen=True)
class Line:
    """One curve of one run. Lines of one name are one thing in parts, or a contestant's seeds."""

    name: str
    points: Points
    is_sparse: bool = False  # so few points that each needs a mark


@dataclass(frozen=True)
class Panel:
    """The lines of one quantity."""

    title: str
    unit: str
    lines: tuple[Line, ...]
    is_log: bool = False  # whether its axis is logarithmic


@dataclass(frozen=True)
class Sample:
    """What the model made of one prompt."""

    step: int
    stage: str
    prompt: str
    text: str


@dataclass(frozen=True)
class TrainingCurves:
    """What is drawn of one run, or of one league."""

    name: str
    is_league: bool
    step: int  # the newest
    panels: tuple[Panel, ...]  # held-out and training loss, perplexity, learning rate, throughput
    borders: tuple[tuple[int, str], ...]  # step after which each stage or round begins, and its name
    samples: tuple[Sample, ...]  # of one prompt, the last of each stage

    @property
    def x_range(self) -> tuple[float, float]:
        """The steps at the left and the right edge, the same for all panels."""
        return 0.0, float(max(self.step, 1))


def read_training_curves(folder: Path) -> TrainingCurves:
    """The curves of a run, or of all contestants of a league. Raises BadInput for a folder without a row of metrics."""
    is_league = not (folder / "metrics.csv").is_file()
    folders = sorted(path.parent for path in folder.glob("*/metrics.csv")) if is_league else [folder]
    runs = {path.name: rows for path in folders if (rows := read_metrics(path))}
    if not runs:
        raise BadInput(f"{folder} has no curves yet: no row of a metrics.csv; wait for its first step")
    longest = max(runs.values(), key=lambda rows: int(rows[-1]["step"]))
    panels = _league_panels(runs) if is_league else _run_panels(longest)
    return TrainingCurves(
        folder.resolve().name,
        is_league,
        int(longest[-1]["step"]),
        tuple(panel for panel in panels if panel.lines),
        borders(longest),
        () if is_league else read_samples(folder / "samples.jsonl"),
    )


def _run_panels(rows: Rows) -> list[Panel]:
    training = Line("training", column(rows, "mean_loss") or column(rows, "loss"))
    heldout = [Line("held out", column(part, "heldout_loss")) for part in _stages(rows)]
    grid = column(rows, "heldout_loss_of_grid")
    if grid:  # a contestant, whose other held-out losses are few
        heldout = [Line("held out", grid), *(Line("held out, ranked", line.points, is_sparse=True) for line in heldout)]
    for name, title in (("heldout_word_loss", "words of replies"), ("heldout_end_loss", "turn ends")):
        heldout += [Line(title, points)] if (points := column(rows, name)) else []
    heldout = [line for line in heldout if line.points]
    return [
        Panel("Loss", "nats per token", _present([training, *heldout])),
        _perplexity([line for line in heldout if line.name == "held out"] or [training]),
        Panel("Learning rate", "", _present([Line("learning rate", column(rows, "learning_rate"))])),
        Panel("Throughput", "tokens per second", _present([Line("throughput", column(rows, "tokens_per_second"))])),
    ]


def _league_panels(runs: Mapping[str, Rows]) -> list[Panel]:
    def lines(name: str) -> tuple[Line, ...]:
        return _present([Line(re.sub(r"-seed\d+$", "", run), column(rows, name)) for run, rows in runs.items()])

    heldout = lines("heldout_loss_of_grid")
    return [
        Panel("Held-out loss", "nats per token", heldout),
        Panel("Training loss", "nats per token", lines("loss")),
        _perplexity(heldout),
        Panel("Learning rate", "", lines("learning_rate")),
        Panel("Throughput", "tokens per second", lines("tokens_per_second")),
    ]


def _perplexity(lines: Sequence[Line]) -> Panel:
    """The exponentials of losses."""
    parts = [Line(x.name, tuple((s, math.exp(min(y, HIGHEST_EXPONENT))) for s, y in x.points)) for x in lines]
    return Panel("Perplexity", "exponential of the loss", _present(parts), is_log=True)


def _present(lines: Sequence[Line]) -> tuple[Line, ...]:
    return tuple(line for line in lines if line.points)


def column(rows: Rows, name: str) -> Points:
    """(step, value) where a column has a finite number."""
    return tuple((float(row["step"]), value) for row in rows if (value := finite(row.get(name))) is not None)


def _stages(rows: Rows) -> list[Rows]:
    """The rows of each stage: its held-out loss is of its own mix, so no line leads from one stage to the next."""
    parts: list[list[Mapping[str, str]]] = []
    for row in rows:
        if not parts or parts[-1][-1].get("phase") != row.get("phase"):
            parts.append([])
        parts[-1].append(row)
    return list[Rows](parts)


def borders(rows: Rows) -> tuple[tuple[int, str], ...]:
    """The step after which each stage begins, or each round of a tournament, and its name; none of a fine-tuning."""
    names = [row.get("phase") or (f"round {row['round']}" if row.get("round") else "") for row in rows]
    ends = [0, *(int(row["step"]) for row in rows[:-1])]
    return tuple(
        (end, name) for end, name, before in zip(ends, names, ["", *names[:-1]], strict=True) if name and name != before
    )


def read_samples(path: Path) -> tuple[Sample, ...]:
    """What the model made of one prompt, the one with most to tell, at the end of each stage; none without the file."""
    newest: dict[str, Mapping[str, object]] = {}
    for record in json_lines(path):
        with suppress(KeyError, TypeError, ValueError):
            newest[str(record["stage"])] = {**record["samples"], "": int(record["step"])}
    prompts = [key for record in newest.values() for key in record if key]
    if not prompts:
        return ()
    prompt = max(dict.fromkeys(prompts), key=lambda key: sum(len(str(r.get(key, ""))) for r in newest.values()))
    return tuple(
        Sample(int(str(record[""])), stage, prompt, str(record[prompt]))
        for stage, record in newest.items()
        if prompt in record
    )
