"""Progress of each run of a league as its files tell it: step, held-out losses, speed, memory, whether it is at work.

Data in: a run's folder, which a process somewhere may be writing; the ledger's outcomes. Data out: plain values for
league_status.py. No torch, no Ray; what is not there, or half written, is not known.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput
from hamner.evaluation.statistics import clustered_error
from hamner.runs.files import read_json
from hamner.runs.heartbeat import AT_WORK
from hamner.runs.new_rows import NewRows, number
from hamner.runs.resume_log import STEP_FILE, step_reached
from hamner.runs.safe_paths import path_below
from tournament.memory_fallbacks import FILE_NAME
from tournament.outcome import Outcome

LOSSES = ("heldout_loss", "heldout_loss_of_grid")  # columns of metrics.csv, the better one first
METRICS = "metrics.csv"
SPEED_ROWS = 5  # newest rows that a speed is the mean of


@dataclass(frozen=True)
class RunFacts:
    """What is known of one run."""

    step: int
    losses: Mapping[int, float]  # step -> held-out loss; of what is remembered
    tokens_per_second: float | None
    peak_gib: float | None
    is_at_work: bool
    is_searching: bool  # for a learning rate
    fallbacks: Sequence[Mapping[str, Any]]  # {"fallback", "peak_gib"} of each time memory ran out


class RunReader:
    """Reads one run's folder again and again, only what is new of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._rows = folder, NewRows(folder / METRICS)
        self._newest = deque[Mapping[str, str]](maxlen=SPEED_ROWS)
        self._losses: dict[int, float] = {}

    def files(self) -> Iterator[Path]:
        """Files whose writing says that the run works."""
        yield self.folder / STEP_FILE
        yield self.folder / METRICS

    def facts(self) -> RunFacts:
        """How the run stands now."""
        self._read_rows()
        at_work = (self.folder / AT_WORK).exists()
        last = self._newest[-1] if self._newest else {}
        speeds = [speed for row in self._newest if (speed := number(row, "tokens_per_second"))]
        return RunFacts(
            step=step_reached(self.folder) or int(number(last, "step") or 0),
            losses=self._losses,
            tokens_per_second=statistics.mean(speeds) if speeds else None,
            peak_gib=number(last, "peak_gib"),
            is_at_work=at_work,
            is_searching=at_work and any(self.folder.glob("probe*")),
            fallbacks=self._fallbacks(),
        )

    def _read_rows(self) -> None:
        rows, is_new = self._rows.look()
        if is_new:
            self._newest.clear()
            self._losses.clear()
        for row in rows:
            step, loss = number(row, "step"), _loss(row)
            if step is not None and loss is not None:
                self._losses[int(step)] = loss
        self._newest.extend(rows)

    def _fallbacks(self) -> Sequence[Mapping[str, Any]]:
        if not (self.folder / FILE_NAME).is_file():
            return ()
        try:
            return list(read_json(self.folder / FILE_NAME)["fallbacks"])
        except (BadInput, KeyError, TypeError):
            return ()


def _loss(row: Mapping[str, str]) -> float | None:
    return next((loss for column in LOSSES if (loss := number(row, column)) is not None), None)


def loss_and_error(curves: Sequence[Mapping[int, float]]) -> tuple[float, float | None] | None:
    """Mean held-out loss of a contestant's seeds and its standard error, where most of them last came past together.

    curves: step -> loss of each seed. The error is of seeds, None for one; where no step is common, the furthest
    seed's loss stands alone. None where none has a loss.
    """
    curves = [curve for curve in curves if curve]
    if not curves:
        return None
    common = set(curves[0]).intersection(*curves[1:])
    if not common:
        furthest = max(curves, key=max)
        return furthest[max(furthest)], None
    losses = [curve[max(common)] for curve in curves]
    error = statistics.stdev(losses) / len(losses) ** 0.5 if len(losses) > 1 else None
    return statistics.mean(losses), error


def evaluation_error(league: Path, outcome: Outcome) -> float | None:
    """Standard error of an outcome's held-out loss with other documents; None where they are not to be had."""
    name: Any = outcome.documents  # in the ledger, the file that has them
    try:
        documents = read_json(path_below(league, name, league)) if isinstance(name, str) else name
        parts = [
            (cells["share"] * clustered_error(cells["nats"], cells["tokens"])) ** 2 for cells in documents.values()
        ]
    except (BadInput, KeyError, TypeError, ZeroDivisionError):
        return None
    error = sum(parts) ** 0.5
    return error if parts and error < float("inf") else None
