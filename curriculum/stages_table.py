"""The result of a finished curriculum: its stages and how they ended, what each source came to, the next commands.

Data in: a run's stages.json and config.json. Data out: tables that fit the terminal, and lines. No torch, no Ray.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from curriculum.controls import CONTROLS
from curriculum.endings import short_ending
from curriculum.place import measured
from hamner.config.load import config_names, load_config
from hamner.config.schema import Config, Plateau
from hamner.runs.folders import results_folder
from hamner.runs.tables import Column, fitted_table

Record = Mapping[str, Any]  # of a stage that is over, as in stages.json


def stages_table(console: Console, name: str, records: Sequence[Record], rule: Plateau) -> Table:
    """One row a stage: its length, how it ended, what left its mix, what it forgot, its skills."""
    rows = [
        [
            _stage(record),
            f"{record['steps']:,}",
            f"{record['tokens']:,}",
            short_ending(record["reason"], rule) + ", abandoned" * record.get("abandoned", False),
            ", ".join(f"{left['source']} at {left['stage_step']:,}" for left in record["left_out"]) or "-",
            ", ".join(record.get("forgotten", ())) or "-",
            str(record.get("skills_above_chance", "-")),
        ]
        for record in records
    ]
    columns = (
        Column("stage", justify="left", may_wrap=True),
        Column("steps"),
        Column("tokens", 3),
        Column("ended", justify="left"),
        Column("left the mix", justify="left", may_wrap=True),
        Column("forgot", justify="left", may_wrap=True),
        Column("skills", 2),
    )
    captions = [
        ("ended", line) for line in dict.fromkeys(f"{short}: {words}" for short, words in _endings(records, rule))
    ]
    captions.append(("forgot", "forgot: sources whose loss is up beyond its error since their best stage"))
    captions.append(("skills", "skills: tasks at a level, of 45, above chance by choice among candidates"))
    title = f"curriculum {name}: the stages"
    return fitted_table(console, columns, rows, title=title, captions=captions, frame=box.SIMPLE_HEAD)


def _endings(records: Sequence[Record], rule: Plateau) -> list[tuple[str, str]]:
    """How stages ended: the word of the column, and the whole of it."""
    return [
        (short_ending(record["reason"], rule), f"ended {record['ended']}") for record in records if record.get("ended")
    ]


def losses_table(console: Console, records: Sequence[Record]) -> Table:
    """Held-out loss of each source at each stage's end; below, of the last stage: the gap, the epochs, the rise."""
    sources = list(dict.fromkeys(name for record in records for name in record["heldout_loss"]))
    last = measured(records)[-1]
    lines = [
        ("text it read", last["train_loss"], "{:.3f}"),
        ("gap", {n: last["heldout_loss"][n] - loss for n, loss in last["train_loss"].items()}, "{:+.3f}"),
        ("forgotten", {n: drop["rise"] for n, drop in last.get("forgotten", {}).items()}, "{:+.3f}"),
        ("epochs", last["epochs"], "{:.2f}"),
    ]
    rows = [[_stage(record), *_cells(sources, record["heldout_loss"], "{:.3f}")] for record in records]
    rows += [[name, *_cells(sources, values, form)] for name, values, form in lines]
    columns = (Column("after stage", justify="left"), *(Column(name, place) for place, name in enumerate(sources)))
    captions = [
        ("", "gap: held out less text it read; a wide one says learnt by heart"),
        ("", "forgotten: the rise since the stage of the lowest loss, beyond its error"),
    ]
    return fitted_table(
        console,
        columns,
        rows,
        title="held-out loss, nats per token",
        captions=captions,
        styles=["" for _ in records] + ["dim" for _ in lines],
        frame=box.SIMPLE_HEAD,
    )


def _stage(record: Record) -> str:
    return f"{record['number']} {record['stage']}"


def _cells(sources: Sequence[str], values: Mapping[str, float], form: str) -> list[str]:
    return [form.format(values[name]) if name in values else "-" for name in sources]


def next_commands(folder: Path, config: Config, curriculum: Mapping[str, Any]) -> list[str]:
    """What to do with a finished run: a line each, with the whole command. curriculum: of its config.json."""
    name, results = shlex.quote(folder.name), folder.parents[1]
    place = "" if results == results_folder() else f" --results {shlex.quote(str(results))}"
    lines = [f"talk to it: hamner chat {name}{place}"]
    like = curriculum.get("like")
    if like:
        lines.append(f"set it beside its run: curriculum compare {shlex.quote(like)} {name}{place}")
    elif len(curriculum["stages"]) > 1 and curriculum["name"] not in CONTROLS:  # as --choose may have found best
        lines.append(
            f"was the order worth it? curriculum run --curriculum joint --like {name} --name {name}-joint"
            f"{_config_option(folder, config)}{place}, then curriculum compare {name} {name}-joint{place}"
        )
    lines.append(f"its curves: tensorboard --logdir {shlex.quote(str(folder / 'tensorboard'))}")
    if (folder / "report.html").is_file():
        lines.append(f"all of it on one page: {folder / 'report.html'}")
    return lines


def _config_option(folder: Path, config: Config) -> str:
    """The option that gives a control the same config: the shipped one's name, else the run's own file."""
    for name in config_names():
        if load_config(name, section="curriculum") == config:
            return f" --config {name}"
    return f" --config {shlex.quote(str(folder / 'config.json'))}"
