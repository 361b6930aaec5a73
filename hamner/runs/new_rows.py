"""Rows of a metrics.csv while a run writes it (tail -f): each look reads what was added since the last one.

Data in: the path of a CSV file that grows. Data out: its rows as text by column, without one that is still being
written; none where the file is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hamner.runs.metrics import OLD_NAMES, finite

MOST_BYTES = 2**19  # of a file's end that a first look reads: thousands of rows

Row = dict[str, str]


class NewRows:
    """The rows that are added to one file. A file that was written anew, as a resume does, is read anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._forget((0, 0))

    def _forget(self, file: tuple[int, int]) -> None:
        self._file, self._position = file, 0
        self._columns: list[str] = []

    def look(self) -> tuple[list[Row], bool]:
        """Rows since the last look, the oldest first; and whether those of earlier looks are void."""
        is_new = False
        try:
            facts = self._path.stat()
            if (facts.st_dev, facts.st_ino) != self._file or facts.st_size < self._position:
                self._forget((facts.st_dev, facts.st_ino))
                is_new = True
            return (self._read(facts.st_size) if facts.st_size > self._position else []), is_new
        except OSError:
            self._forget((0, 0))
            return [], True

    def _read(self, size: int) -> list[Row]:
        """The whole rows from the last position on; of a long file those of its end."""
        with self._path.open("rb") as file:
            if not self._columns:
                heading = file.readline()
                if not heading.endswith(b"\n"):
                    return []
                names = heading.decode(errors="replace").strip().split(",")
                self._columns = [OLD_NAMES.get(name, name) for name in names]
                self._position = file.tell()
            is_cut = size - self._position > MOST_BYTES
            begin = file.seek(size - MOST_BYTES if is_cut else self._position)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._position = begin + len(whole)
        lines = (line.split(",") for line in whole.decode(errors="replace").splitlines()[is_cut:])
        return [dict(zip(self._columns, cells, strict=True)) for cells in lines if len(cells) == len(self._columns)]


def number(row: Mapping[str, str], column: str) -> float | None:
    """A cell as a finite number; None where it is empty, not there, or none."""
    return finite(row.get(column))
