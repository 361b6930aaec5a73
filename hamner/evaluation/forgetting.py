"""Forgetting: which skills and held-out losses got worse from one stage to the next, beyond their error."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

from hamner.evaluation.statistics import accuracy, clustered_error

ERROR_RATE = 0.05  # of stages that lost nothing, how many may show a drop
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Drop:
    """A skill or a source that is worse than it was after `best_stage`. Exact match falls, held-out loss rises."""

    skill: str
    kind: Literal["exact match", "held-out loss"]
    best_stage: str
    best: float
    now: float
    standard_error: float  # of the difference

    @property
    def told(self) -> str:
        digits, change, unit = (2, "drop", "") if self.kind == "exact match" else (3, "rise", " nats per token")
        return (
            f"{self.skill}: {self.kind} {self.best:.{digits}f} after {self.best_stage}, {self.now:.{digits}f} now "
            f"(a {change} of {abs(self.now - self.best):.{digits}f} ± {self.standard_error:.{digits}f}{unit})"
        )


def drops(records: Sequence[Record]) -> list[Drop]:
    """What the newest stage does worse than its best earlier one, by more than its error."""
    if len(records) < 2:
        return []
    *earlier, now = records
    changes = [
        *(_exact_match_change(cell, earlier, now) for cell in now["skills"]),
        *(_loss_change(source, earlier, now) for source in now["documents"]),
    ]
    z = NormalDist().inv_cdf(1 - ERROR_RATE / (len(changes) * len(earlier)))
    return [change for change in changes if _worse_by(change) > z * change.standard_error]


def _worse_by(drop: Drop) -> float:
    return drop.best - drop.now if drop.kind == "exact match" else drop.now - drop.best


def _exact_match_change(cell: str, earlier: Sequence[Record], now: Record) -> Drop:
    """Items lost against items gained (McNemar 1947): items that stay right, or wrong, tell nothing."""
    best = max(earlier, key=lambda record: accuracy(record["skills"][cell]))
    before, after = best["skills"][cell], now["skills"][cell]
    changed = sum(a != b for a, b in zip(before, after, strict=True))
    error = math.sqrt(changed) / len(after)
    return Drop(cell, "exact match", best["stage"], accuracy(before), accuracy(after), error)


def _loss_change(source: str, earlier: Sequence[Record], now: Record) -> Drop:
    """Clustered by document: tokens of one document err together."""
    best = min(earlier, key=lambda record: _loss(record["documents"][source]))
    before, after = best["documents"][source], now["documents"][source]
    gaps = [b - a for b, a in zip(after["nats"], before["nats"], strict=True)]
    error = clustered_error(gaps, after["tokens"])
    return Drop(source, "held-out loss", best["stage"], _loss(before), _loss(after), error)


def _loss(documents: Mapping[str, Sequence[float]]) -> float:
    return math.fsum(documents["nats"]) / sum(documents["tokens"])
