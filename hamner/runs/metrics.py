"""Metrics: CSV rows and TensorBoard curves of a run.

Data in: values by name, and the optimizer step. Data out: FOLDER/metrics.csv and TensorBoard event files. On resume the
rows after the resumed step are dropped first, so a killed run leaves no step twice.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hamner.runs.files import write_text


class Metrics:
    """FOLDER/metrics.csv, one row a report; floats keep their full precision."""

    def __init__(self, folder: Path, fields: Sequence[str], *, resume_step: int = 0) -> None:
        self._path, self._fields = folder / "metrics.csv", list(fields)
        folder.mkdir(parents=True, exist_ok=True)
        rows = _rows_until(self._path, resume_step)
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


class Curves:
    """TensorBoard scalars, texts and images in one folder; the x axis is the optimizer step."""

    def __init__(
        self, folder: Path, *, resume_step: int = 0, layout: Mapping[str, Mapping[str, Sequence[Any]]] | None = None
    ) -> None:
        """layout: charts of several scalars, as SummaryWriter.add_custom_scalars takes them."""
        from torch.utils.tensorboard import SummaryWriter  # a second to import: only where curves are drawn

        self._writer = SummaryWriter(str(folder), purge_step=resume_step + 1)
        if layout:
            self._writer.add_custom_scalars(layout)

    def scalars(self, values: Mapping[str, float | None], step: int) -> None:
        for name, value in values.items():
            if value is not None:
                self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def texts(self, values: Mapping[str, str], step: int) -> None:
        for name, value in values.items():
            self._writer.add_text(name, value, step)
        self._writer.flush()

    def image(self, name: str, pixels: np.ndarray[Any, Any], step: int) -> None:
        """pixels (H, W, 3), 0 to 255."""
        self._writer.add_image(name, pixels, step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def _rows_until(path: Path, step: int) -> list[dict[str, str]]:
    """Rows of a metrics.csv up to `step`, without one that a kill cut short."""
    if not step or not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        return [r for r in rows if (r.get("step") or "").isdigit() and int(r["step"]) <= step and None not in r]


def _plain(value: Any) -> Any:
    """A value as the CSV holds it: of a float every digit."""
    return repr(value) if isinstance(value, float) else value
