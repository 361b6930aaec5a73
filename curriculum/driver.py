"""Driver of a curriculum: shows the worker's log and the live table while it trains, and tells of each stage's end.

The worker writes run.log and a note of progress into the run's folder, wherever it runs. How it is asked to save and
leave stands in hamner/runs/stopping.py.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from curriculum.run_status import PROGRESS, CurriculumReader
from hamner.reports.live_table import with_waiting
from hamner.reports.live_view import can_redraw, shown
from hamner.runs.read_back import json_object

Tell = Callable[[str], object]
DETAIL = "  "  # what lines of run.log begin with that a live table shows in its place


@contextlib.contextmanager
def log_shown(
    console: Console, folder: Path, tell: Tell = lambda line: None, waiting: Callable[[], str] = str
) -> Iterator[None]:
    """Print what is added to run.log while the block lasts, with the live table below it.

    tell: called with a line at the end of each stage. waiting: a line that says what the run waits for, or "".
    """
    (folder / PROGRESS).unlink(missing_ok=True)  # of an earlier start
    log, ends = _Log(console, folder / "run.log"), _StageEnds(folder / "stages.json", tell)

    def follow() -> None:
        log.print_new()
        ends.tell_new()

    reader = functools.cache(lambda: CurriculumReader(folder))  # opened where an error is no matter for the run
    with shown(console, lambda: with_waiting(reader().status(), waiting()), follow):
        yield


class _Log:
    """Prints lines that are new since the last time."""

    def __init__(self, console: Console, path: Path) -> None:
        self._console, self._path = console, path
        self._position = path.stat().st_size if path.is_file() else 0

    def print_new(self) -> None:
        lines = self._new_lines().splitlines(keepends=True)
        if can_redraw(self._console):
            lines = [line for line in lines if not line.startswith(DETAIL)]
        if lines:
            self._console.print("".join(lines), end="", soft_wrap=True, markup=False)

    def _new_lines(self) -> str:
        """Return the whole lines added since the last call."""
        if not self._path.is_file():
            return ""
        with self._path.open("rb") as file:
            file.seek(self._position)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._position += len(whole)
        return whole.decode(errors="replace")


class _StageEnds:
    """Tells of stages that are over, each once; not of those that were over at the start."""

    def __init__(self, path: Path, tell: Tell) -> None:
        self._path, self._tell = path, tell
        self._written = 0  # when the file was, in nanoseconds
        self._told: set[tuple[int, str]] = set()
        self._lines()

    def tell_new(self) -> None:
        for line in self._lines():
            self._tell(line)

    def _lines(self) -> list[str]:
        """A line for each record that was not there before."""
        if not self._path.is_file() or (written := self._path.stat().st_mtime_ns) == self._written:
            return []
        self._written, lines = written, []
        for record in json_object(self._path).get("stages", ()):  # one that is damaged is written again
            key = record["number"], record["checkpoint"]
            if key not in self._told:
                losses = ", ".join(f"{name} {loss:.3f}" for name, loss in record["heldout_loss"].items())
                lines.append(f"stage {record['number']} {record['stage']} ended {record['ended']}; held out: {losses}")
                self._told.add(key)
        return lines
