"""Metrics: CSV rows of a run, written and read.

Data in: values by name, and the optimizer step. Data out: FOLDER/metrics.csv. On resume the rows after the resumed step
are dropped first, so a killed run leaves no step twice. What is damaged in it costs its rows and no more: training
reads none of them.
"""

from __future__ import annotations

import csv
import io
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hamner.runs.files import open_to_append, write_bytes, write_text

MOST_DIGITS = 18  # of a step
OLD_NAMES = {"tokens_per_sec": "tokens_per_second"}  # of columns, in runs of version 0.1
SUMS = ".metrics.crc32"  # a line for each row
DAMAGED = "metrics.damaged.csv"  # the file as it was, where a resume found it damaged


class Metrics:
    """FOLDER/metrics.csv, one row a report; floats keep their full precision. Beside it a checksum of each row."""

    def __init__(
        self,
        folder: Path,
        fields: Sequence[str],
        *,
        resume_step: int = 0,
        every: int = 0,
        say: Callable[[str], None] = print,
    ) -> None:
        """Keep the rows up to the resumed step, and say what of them is damaged.

        every: a row was written at each multiple of so many steps; 0: nobody knows.
        """
        self._path, self._sums, self._fields = folder / "metrics.csv", folder / SUMS, list(fields)
        folder.mkdir(parents=True, exist_ok=True)
        columns, table = _table(self._path)
        if self._sums.is_file() and len(columns) == len(fields):  # whatever a damaged first line calls them
            table = [dict(zip(fields, row.values(), strict=True)) if len(row) == len(fields) else row for row in table]
        altered = _altered(fields, table, self._sums)
        rows = [
            row
            for place, row in enumerate(table)
            if place not in altered and _is_row(row) and int(row["step"]) <= resume_step
        ]
        if resume_step:
            broken = len(altered | {place for place, row in enumerate(table) if not _is_row(row)})
            reached = max((int(row["step"]) for row in rows), default=0)
            self._say_damage(columns, broken, (reached, resume_step - resume_step % every if every else 0), say)
        lines = [_line(self._fields, row) for row in rows]
        write_text(self._path, "".join([_line(self._fields, dict(zip(fields, fields, strict=True))), *lines]))
        write_text(self._sums, "".join(map(_sum, lines)))

    def _say_damage(
        self, columns: Sequence[str], broken: int, steps: tuple[int, int], say: Callable[[str], None]
    ) -> None:
        """Say what of the file cannot be read. steps: of the last row, and of one that must be there."""
        strange = [name for name in columns if name not in self._fields]
        problems = []
        if strange or not columns:
            problems.append(f"its first line names {', '.join(strange)}" if strange else "it is empty or missing")
        if broken:
            problems.append(f"{broken} of its rows cannot be read, or were altered")
        if steps[0] < steps[1]:
            problems.append(f"it has no row of steps {steps[0] + 1} to {steps[1]}")
        if not problems:
            return
        kept = ""
        if columns:
            # atomically: a rename replaces a link there, which a copy would follow
            write_bytes(self._path.with_name(DAMAGED), self._path.read_bytes())
            kept = f"; {DAMAGED} keeps it as it was"
        say(f"{self._path} is damaged: {', '.join(problems)}. Training reads nothing of it, charts have a gap{kept}")

    def row(self, values: Mapping[str, Any]) -> None:
        """Append one row; values of other names are left out, missing ones stay empty."""
        line = _line(self._fields, {key: _plain(values.get(key)) for key in self._fields})
        for path, text in ((self._sums, _sum(line)), (self._path, line)):
            with open_to_append(path) as file:
                file.write(text)


def read_metrics(folder: Path) -> list[dict[str, str]]:
    """The rows of FOLDER/metrics.csv, oldest first, without one that a kill cut short; none without the file.

    Columns have today's names, whichever version wrote them.
    """
    return [row for row in _table(folder / "metrics.csv")[1] if _is_row(row)]


def _table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The names of a file's columns, and its rows, broken ones among them; nothing of one that is not there."""
    if not path.is_file():
        return [], []
    text = path.read_bytes().decode("utf-8", "replace")
    reader = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
    rows: list[dict[str, str]] = []
    with suppress(csv.Error):  # a cell longer than any number, or a quotation that a flipped bit has opened
        reader.fieldnames = [OLD_NAMES.get(name, name) for name in reader.fieldnames or ()]
        rows.extend(reader)
    return list(reader.fieldnames or ()), rows


def _is_row(row: Mapping[Any, Any]) -> bool:
    """Whether a row has a step, and as many cells as there are columns."""
    step = row.get("step") or ""
    return step.isdecimal() and len(step) <= MOST_DIGITS and None not in row and None not in row.values()


def _altered(columns: Sequence[str], table: Sequence[Mapping[str, Any]], sums: Path) -> set[int]:
    """Places of the rows whose checksum does not agree; those without one, of older runs, count as whole."""
    try:
        known = sums.read_text(encoding="ascii").splitlines(keepends=True)
    except (OSError, ValueError):
        return set()
    pairs = enumerate(zip(table, known, strict=False))
    return {place for place, (row, checksum) in pairs if _is_row(row) and _sum(_line(columns, row)) != checksum}


def _line(columns: Sequence[str], row: Mapping[str, Any]) -> str:
    """A row as the file holds it."""
    text = io.StringIO()
    csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n").writerow(row)
    return text.getvalue()


def _sum(line: str) -> str:
    return f"{zlib.crc32(line.encode()):08x}\n"


def finite(text: str | None) -> float | None:
    """A cell as a number; None where it is empty, no number, or not finite."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _plain(value: Any) -> Any:
    """A value as the CSV holds it: of a float every digit."""
    return repr(value) if isinstance(value, float) else value
