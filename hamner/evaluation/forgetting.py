"""Catastrophic forgetting: skills and held-out losses that a stage made worse, by more than their error.

In: `records`, one per finished stage, oldest first: "number", "stage", "skills" (cell -> "0110...", one character per
item), "documents" (source -> "nats" and "tokens" of each held-out document); items and documents are the same in every
stage. Out: drops.

A drop is measured from the best earlier stage, on the same items or documents, and counts when it exceeds

    z · standard_error,   z = Φ⁻¹(1 - 0.05 / comparisons)

one-sided; Bonferroni over the skills and sources, which are looked at together, times the earlier stages, of which the
best was chosen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

from hamner.evaluation.statistics import accuracy, clustered_error

ERROR_RATE = 0.05  # share of stages that lost nothing and show a drop all the same
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Drop:
    """A skill whose exact match fell, or a source whose held-out loss rose, since `best_stage`."""

    skill: str
    kind: Literal["exact match", "held-out loss"]
    best_stage: str
    best: float
    now: float
    standard_error: float  # of the difference

    @property
    def line(self) -> str:
        """The drop in one line."""
        digits, change, unit = (2, "drop", "") if self.kind == "exact match" else (3, "rise", " nats per token")
        return (
            f"{self.skill}: {self.kind} {self.best:.{digits}f} after {self.best_stage}, {self.now:.{digits}f} now "
            f"(a {change} of {abs(self.now - self.best):.{digits}f} ± {self.standard_error:.{digits}f}{unit})"
        )


def drops(records: Sequence[Record]) -> list[Drop]:
    """What the newest stage does worse than the best earlier one, by more than the error."""
    if len(records) < 2:
        return []
    *earlier, now = records
    changes = [
        *(_exact_match_change(cell, earlier, now) for cell in now["skills"]),
        *(_loss_change(source, earlier, now) for source in now["documents"]),
    ]
    z = NormalDist().inv_cdf(1 - ERROR_RATE / (len(changes) * len(earlier)))
    return [change for change in changes if _worse_by(change) > z * change.standard_error]


def forgotten(records: Sequence[Record]) -> dict[str, dict[str, Any]]:
    """Of each source that the newest stage does worse than the best earlier one: that stage, the rise and its error."""
    return {
        drop.skill: {"best_stage": drop.best_stage, "rise": drop.now - drop.best, "error": drop.standard_error}
        for drop in drops(records)
        if drop.kind == "held-out loss"
    }


def _worse_by(drop: Drop) -> float:
    """How much worse the newest stage is; negative where it is better."""
    return drop.best - drop.now if drop.kind == "exact match" else drop.now - drop.best


def _exact_match_change(cell: str, earlier: Sequence[Record], now: Record) -> Drop:
    """Change of a cell; its error counts only the items that changed (McNemar 1947)."""
    best = max(earlier, key=lambda record: accuracy(record["skills"][cell]))
    before, after = best["skills"][cell], now["skills"][cell]
    changed = sum(a != b for a, b in zip(before, after, strict=True))
    error = math.sqrt(changed) / len(after)
    return Drop(cell, "exact match", best["stage"], accuracy(before), accuracy(after), error)


def _loss_change(source: str, earlier: Sequence[Record], now: Record) -> Drop:
    """Change of a source; its error is clustered by document."""
    best = min(earlier, key=lambda record: _loss(record["documents"][source]))
    before, after = best["documents"][source], now["documents"][source]
    gaps = [b - a for b, a in zip(after["nats"], before["nats"], strict=True)]
    error = clustered_error(gaps, after["tokens"])
    return Drop(source, "held-out loss", best["stage"], _loss(before), _loss(after), error)


def _loss(documents: Mapping[str, Sequence[float]]) -> float:
    return math.fsum(documents["nats"]) / sum(documents["tokens"])
