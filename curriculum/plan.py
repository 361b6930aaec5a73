"""Plan of a curriculum (`--plan`): what each stage can have of each source, and how long it takes on this machine.

Data in: a run whose text is prepared. Data out: the table of the data budget with the time of each stage, and a few
lines that say where the numbers come from. The speed is measured by forecast.py.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from curriculum.ancestor import ancestor_rows
from curriculum.budget import planned_steps, thin_problems
from curriculum.budget_table import budget_of, print_budget
from curriculum.deadline import Deadline, clock_text
from curriculum.forecast import forecast
from curriculum.resume import newest_step
from curriculum.stages import Stage, dropped_sources
from curriculum.timekeeper import PARTS, Timekeeper, new_timekeeper
from hamner.config.errors import BadInput
from hamner.config.schema import Config, Curriculum
from hamner.data.corpus import Corpus
from hamner.runs.durations import duration_text
from hamner.runs.files import read_json, write_json
from hamner.runs.folders import now


def plan_stages(
    console: Console, folder: Path, stages: Sequence[Stage], config: Config, corpus: Corpus, *, has_plan: bool
) -> list[str]:
    """Print the plan of a new run; returns what is wrong with its data budget.

    has_plan: measure the speed, as a run with a deadline does anyway; without, no times are known yet.
    """
    settings, document = config.curriculum, read_json(folder / "config.json")
    first, deadline = document["first_stage"], Deadline.from_facts(document.get("deadline"))
    for line in dropped_sources(stages[first:]):
        console.print(line, soft_wrap=True, style="yellow")
    source = document["from"]
    rows_read = ancestor_rows(source, corpus, stages[first:], settings.seq_len) if source else {}
    if not has_plan and deadline is None:
        budgets = budget_of(corpus, stages[first:], settings, rows_read)
        print_budget(console, budgets, corpus, settings, first_stage=first)
        return thin_problems(budgets, settings.max_epochs)
    console.print("measuring a few training steps")
    parts = forecast(folder)
    write_json(folder / "config.json", document | {"forecast": parts})
    keeper = new_timekeeper({**document, "forecast": parts}, stages, config, time.time)
    steps = keeper.plan(first, 0, 0) or planned_steps(stages[first:], settings)
    seconds = keeper.stage_seconds(steps)
    budgets = budget_of(corpus, stages[first:], settings, rows_read, steps)
    times = _times(seconds, deadline)
    print_budget(console, budgets, corpus, settings, first_stage=first, times=times)
    for line in _lines(keeper, deadline, settings, sum(seconds)):
        console.print(line, soft_wrap=True)
    return thin_problems(budgets, settings.max_epochs)


def check_deadline(folder: Path, deadline: Deadline | None) -> None:
    """Raise BadInput when the deadline of a resumed run is past, and it gets no new one."""
    document: Mapping[str, Any] = read_json(folder / "config.json")
    before = Deadline.from_facts(document.get("deadline"))
    if before and not deadline and before.ends_at <= time.time():
        raise BadInput(
            f"the deadline of {folder.name}, {document['deadline']['ends_at']}, is past: give it a new one with "
            "--hours or --until"
        )


def move_deadline(folder: Path, deadline: Deadline | None) -> None:
    """Give a resumed run a new deadline, if there is one; it is a change of the run."""
    if not deadline:
        return
    document: Mapping[str, Any] = read_json(folder / "config.json")
    change = {"key": "deadline", "before": document.get("deadline"), "now": deadline.facts()}
    changes = [*document.get("changes", []), {"step": newest_step(folder), "time": now(), **change}]
    write_json(folder / "config.json", {**document, "deadline": deadline.facts(), "changes": changes})


def _times(seconds: Sequence[float], deadline: Deadline | None) -> list[list[str]]:
    """How long each stage takes; with a deadline, also when it ends."""
    texts, moment = [], time.time()
    for part in seconds:
        moment += part
        texts.append([duration_text(part), *([clock_text(moment, deadline.seconds)] if deadline else [])])
    return texts


def _lines(keeper: Timekeeper, deadline: Deadline | None, settings: Curriculum, seconds: float) -> list[str]:
    """Where the times come from."""
    parts = dict.fromkeys(PARTS, 0.0) | keeper.seconds
    ends = duration_text(keeper.border_seconds)
    lines = [
        f"speed, of a few steps on this machine now: {parts['step']:.3g} s a step, {parts['evaluation']:.3g} s an "
        f"evaluation, {ends} between two stages"
    ]
    if deadline is None:
        return [
            *lines,
            f"{duration_text(seconds)} in all. Lengths are the stage's own, or the shortest that the plateau rule can "
            f"end it after: one that still learns runs on, up to max_steps = {settings.max_steps:,}",
        ]
    return [
        *lines,
        f"ends {clock_text(deadline.ends_at, deadline.seconds)}, {duration_text(deadline.seconds)} after the start. "
        "Lengths come from the hours: neither max_steps nor a stage's own steps bind. What a stage that ends at a "
        "plateau leaves over goes to those after it",
    ]
