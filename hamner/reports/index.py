"""Index of all runs (results/index.html): newest first, with result, verdict, cost and a link to each report.

In: the results folder: config.json of every run, and report.json where its report was written. Out: index.html, which
every report writes anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hamner.config.errors import BadInput
from hamner.reports.html import render
from hamner.reports.parts import Summary
from hamner.runs.files import read_json_as, write_text
from hamner.runs.folders import RUN_FILES, STARTED, newest_first

INDEX, REPORT, SUMMARY = "index.html", "report.html", "report.json"
STARTS = (STARTED, "began")


@dataclass(frozen=True)
class Row:
    """One run in the index."""

    kind: str
    name: str
    started: str  # date and time as its file says, to the minute; empty where it says none
    link: str  # relative address of the report, or of the folder where there is none
    has_report: bool
    summary: Summary


def write_index(results: Path) -> Path:
    """Write results/index.html; returns its path."""
    write_text(results / INDEX, render("index.html", rows=list(index_rows(results))))
    return results / INDEX


def index_rows(results: Path) -> Iterator[Row]:
    """All runs of every kind, newest first. A file that is broken costs its row what it would have said."""
    files = [path for kind, file in RUN_FILES.items() for path in (results / kind).glob(f"*/{file}")]
    for path in newest_first(files, STARTED):
        folder, kind = path.parent, path.parent.parent.name
        has_report = (folder / REPORT).is_file()
        link = f"{kind}/{folder.name}/{REPORT if has_report else ''}"
        yield Row(kind, folder.name, _started(path), link, has_report, _summary(folder))


def _started(path: Path) -> str:
    """When a run was started, as `2026-11-29 18:06`."""
    try:
        text = read_json_as(path, lambda document: next(str(document[key]) for key in STARTS if key in document))
    except (BadInput, StopIteration):
        return ""
    return text[:16].replace("T", " ")


def _summary(folder: Path) -> Summary:
    try:
        return read_json_as(folder / SUMMARY, lambda document: Summary(**document))
    except BadInput:
        return Summary("")
