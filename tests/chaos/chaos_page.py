"""Page of the chaos suite: results/reference/chaos.md, the terminal after twelve kinds of failure, then every scenario.

Data in: outcomes of a long run. Data out: Markdown.
"""

from __future__ import annotations

import platform
import statistics
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from importlib.metadata import version
from typing import Any

from outcomes import LOST, SAME, STOPPED, Outcome, is_hit, problems
from pipelines import PIPELINES

from hamner.runs.cores import available_cores
from hamner.runs.machine import cpu_text, processor_name

# What happened, in words: the faults whose first outcome shows it, the first of them that there is
SCREENS: dict[str, tuple[str, ...]] = {
    "The command is killed (`kill -9`, a power cut)": ("kill -9 of the driver while it trains",),
    "One of its workers is killed": ("kill -9 of the worker while it trains",),
    "A worker hangs": ("a worker hangs",),
    "Ray's node dies": ("kill -9 of the raylet while it trains",),
    "Ray's head dies": ("kill -9 of the GCS while it trains",),
    "It is told to stop (SIGTERM)": ("SIGTERM",),
    "Ctrl-C": ("SIGINT", "SIGINT twice"),
    "The disk is full": ("a full disk",),
    "The results may not be written any more": ("results become read-only", "results mounted read-only"),
    "Two commands at once": ("two drivers",),
    "The newest checkpoint is damaged": ("a file of the newest checkpoint a bit flipped",),
    "The ledger is damaged": ("bracket.json a digit changed", "bracket.json a bit flipped"),
}
WIDTH = 300  # letters of a line of a terminal
FIRST, LAST = 12, 4  # lines of the next command that are shown


def page(outcomes: Sequence[Outcome], command: str, quick: Sequence[Mapping[str, Any]] = ()) -> str:
    """The whole page. command: that wrote it. quick: what repeat.py has written of the quick form."""
    parts = [_head(outcomes, command), _screens(outcomes), _quick(quick), _table(outcomes)]
    return "\n".join(line for part in parts for line in [*part, ""]).rstrip("\n") + "\n"


def summary(outcomes: Sequence[Outcome]) -> str:
    """One line: faults, how many were lost or differ, what they cost."""
    hits = [outcome for outcome in outcomes if is_hit(outcome)]
    counts = {name: sum(outcome.outcome == name for outcome in hits) for name in (SAME, STOPPED, LOST)}
    different = len(hits) - sum(counts.values())
    redone = [outcome.steps_redone for outcome in hits if outcome.interval]
    cost = (
        f"steps redone: median {statistics.median(redone):g}, at most {max(redone)} (an interval has {_interval(hits)})"
        if redone
        else "no steps"
    )
    bad = sum(bool(problems(outcome)) for outcome in outcomes)
    return (
        f"{len(hits)} faults: {counts[SAME]} with the same numbers, {counts[STOPPED]} clear stops, "
        f"{counts[LOST]} lost, {different} different; {bad} with a problem; {cost}"
    )


def _interval(outcomes: Sequence[Outcome]) -> int:
    return min(outcome.interval for outcome in outcomes if outcome.interval)


def _head(outcomes: Sequence[Outcome], command: str) -> Iterator[str]:
    yield "# Killed, starved, damaged"
    yield ""
    yield "What is done to runs on purpose, what the terminal says, and what it costs; with the smallest models."
    yield (
        f"Written by `{command}` ([how](../../docs/chaos.md)) on {date.today().isoformat()}: "
        f"{processor_name(cpu_text())}, {available_cores()} cores, Python {platform.python_version()}, "
        f"torch {version('torch')}, Ray {version('ray')}."
    )
    yield ""
    yield f"**{summary(outcomes)}.**"


def _screens(outcomes: Sequence[Outcome]) -> Iterator[str]:
    yield "## What a person sees"
    yield ""
    yield "The last lines of each terminal, with its exit code (`$?`), then the next command."
    for title, faults in SCREENS.items():
        shown = [outcome for name in faults for outcome in outcomes if outcome.fault == name and is_hit(outcome)]
        if shown:
            yield ""
            yield f"### {title}"
            yield ""
            yield from _screen(min(shown, key=lambda outcome: (bool(problems(outcome)), outcome.number)))


def _screen(outcome: Outcome) -> Iterator[str]:
    pipeline = PIPELINES[outcome.pipeline]
    yield f"`{outcome.pipeline}`, {outcome.what}; {outcome.outcome}, {outcome.steps_redone} steps redone."
    yield ""
    yield "```text"
    yield f"$ {_words(pipeline.module, ())} ..."
    yield from _clipped(outcome.said)
    yield f"$? = {outcome.code}"
    if outcome.next_code is not None:
        yield f"$ {_words(pipeline.module, pipeline.again if pipeline.again != pipeline.words else ('...',))}"
        said = outcome.next_said
        yield from _clipped(said if len(said) <= FIRST + LAST else (*said[:FIRST], "...", *said[-LAST:]))
        yield f"$? = {outcome.next_code}"
    yield "```"


def _words(module: str, words: Sequence[str]) -> str:
    command = {"tournament": "tournament", "curriculum.run": "curriculum run"}.get(module, module.replace(".", " "))
    return " ".join([command, *words])


def _clipped(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"


def _quick(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """How often the quick form was green, and its seconds."""
    if rows:
        seconds = [row["seconds"] for row in rows]
        yield "## The quick form, again and again"
        yield ""
        yield (
            f"`python tests/chaos/repeat.py`: green {sum(not row['code'] for row in rows)} times of {len(rows)}, "
            f"each in {min(seconds):.0f} to {max(seconds):.0f} s, median {statistics.median(seconds):.0f}."
        )


def _table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """A row a fault and pipeline; medians where it was injected several times."""
    yield "## Every scenario"
    yield ""
    yield "Steps redone: the most of one contestant; seconds: medians. `after / anew`: after the fault, and of a run"
    yield "that starts anew. Until it trains: of the next command, or of this one where it goes on by itself."
    yield "Where parts are played side by side, seconds are of a busy machine."
    yield ""
    yield "| pipeline | fault | n | outcome | exit code | steps redone | s until it trains | s to the end |"
    yield "|---|---|---:|---|---:|---:|---:|---:|"
    rows: dict[tuple[str, str, str], list[Outcome]] = {}
    for outcome in outcomes:
        if is_hit(outcome):
            rows.setdefault((outcome.kind, outcome.pipeline, outcome.fault), []).append(outcome)
    for (_, pipeline, fault), of in sorted(rows.items()):
        ends = ", ".join(sorted({outcome.outcome for outcome in of}))
        codes = ", ".join(sorted({str(outcome.code) for outcome in of}))
        redone = f"{max(outcome.steps_redone for outcome in of)} / {max(outcome.steps_anew for outcome in of)}"
        times = (" / ".join(_median([getattr(outcome, key) for outcome in of]) for key in keys) for keys in SECONDS)
        yield f"| {pipeline} | {fault} | {len(of)} | {ends} | {codes} | {redone} | {' | '.join(times)} |"
    missed = sorted({f"{outcome.pipeline}: {outcome.fault}" for outcome in outcomes if not is_hit(outcome)})
    if missed:
        yield ""
        yield f"Not counted, since no process came to it, or it could not be done here: {'; '.join(missed)}."


SECONDS = (("seconds_to_go_on", "seconds_to_work_anew"), ("seconds_to_end", "seconds_anew"))


def _median(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.median(known):.1f}" if known else "–"
