"""Files of a run read back (lenient parsing): what is missing, torn or of an older version costs its own part alone.

Data in: paths of JSON, JSON lines, CSV and text that a run writes, whole or cut short by a kill. Data out: values; an
empty one where there is nothing to read. What must be there is read by files.py, which raises.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput
from hamner.config.formats import OtherFormat
from hamner.config.json_text import parse_json
from hamner.runs.files import read_json
from hamner.runs.metrics import finite, read_metrics

WORDS = ("run", "timestamp", "phase", "verdict")  # columns of metrics.csv that hold no number


@dataclass(frozen=True)
class Row:
    """A row of metrics.csv; None where it has nothing, or nothing finite."""

    step: int
    stage: str  # "" in a run that has none
    numbers: Mapping[str, float | None]
    verdict: str

    def __getitem__(self, name: str) -> float | None:
        return self.numbers.get(name)


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def numbers_of(value: Any) -> dict[str, float]:
    """The finite numbers of a JSON object."""
    items = mapping(value).items()
    return {key: float(n) for key, n in items if isinstance(n, int | float) and abs(n) <= sys.float_info.max}


def json_lines(path: Path) -> list[Mapping[str, Any]]:
    """The objects of a file of JSON lines; a line that a kill cut short is passed over."""
    values: list[Mapping[str, Any]] = []
    for line in text_lines(path):
        try:
            value = parse_json(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            values.append(value)
    return values


def json_object(path: Path) -> Mapping[str, Any]:
    """The object of a JSON file; an empty one where it is missing or broken. Raises OtherFormat for a newer one."""
    try:
        return mapping(read_json(path))
    except OtherFormat:
        raise
    except BadInput:
        return {}


def text_lines(path: Path) -> list[str]:
    """The whole lines of a file; the last one counts only where its end was written."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    except OSError:
        return []


def metric_rows(folder: Path) -> list[Row]:
    """Rows of FOLDER/metrics.csv, in order."""
    return [
        Row(int(row["step"]), row.get("phase") or "", _columns(row), row.get("verdict") or "")
        for row in read_metrics(folder)
    ]


def _columns(row: Mapping[str, str]) -> dict[str, float | None]:
    """The columns of a row that hold numbers."""
    return {name: finite(text) for name, text in row.items() if name not in WORDS}
