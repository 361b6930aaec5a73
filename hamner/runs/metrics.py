"""Metrics: CSV rows of a run, written and read.

Data in: values by name, and the optimizer step. Data out: FOLDER/metrics.csv. On resume the rows after the resumed step
are dropped first, so a killed run leaves no step twice.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hamner.runs.files import write_text

MOST_DIGITS = 18  # of a step
OLD_NAMES = {"tokens_per_sec": "tokens_per_second"}  # of columns, in runs of version 0.1


class Metrics:
    """FOLDER/metrics.csv, one row a report; floats keep their full precision."""

    def __init__(self, folder: Path, fields: Sequence[str], *, resume_step: int = 0) -> None:
        self._path, self._fields = folder / "metrics.csv", list(fields)
        folder.mkdir(parents=True, exist_ok=True)
        rows = [row for row in read_metrics(folder) if int(row["step"]) <= resume_step]
        text = io.StringIO()
        writer = csv.DictWriter(text, self._fields, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self._path, text.getvalue())

    def row(self, values: Mapping[str, Any]) -> None:
        """Append one row; values of other names are left out, missing ones stay empty."""
        with self._path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self._fields, restval="", extrasaction="ignore", lineterminator="\n")
            writer.writerow({key: _plain(values.get(key)) for key in self._fields})


def read_metrics(folder: Path) -> list[dict[str, str]]:
    """The rows of FOLDER/metrics.csv, oldest first, without one that a kill cut short; none without the file.

    Columns have today's names, whichever version wrote them.
    """
    path = folder / "metrics.csv"
    if not path.is_file():
        return []
    text = path.read_bytes().decode("utf-8", "replace")
    lines = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
    rows = []
    with suppress(csv.Error):  # a cell longer than any number of ours: what follows is no row
        lines.fieldnames = [OLD_NAMES.get(name, name) for name in lines.fieldnames or ()]
        for row in lines:
            step = row.get("step") or ""
            is_step = step.isdecimal() and len(step) <= MOST_DIGITS
            if is_step and None not in row and None not in row.values():
                rows.append(row)
    return rows


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
