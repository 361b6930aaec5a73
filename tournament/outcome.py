"""Records of a tournament: run (one training with one seed), outcome (held-out loss or failure), round.

No torch, no Ray. The fields of Outcome are those of the ledger.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

from hamner.config.errors import shortened

Failure = Literal["oom", "diverged", "error"]
CONTESTANT_FAILURES: tuple[Failure, ...] = ("oom", "diverged")  # an error is of one process


class Run(NamedTuple):
    """One training."""

    contestant: str
    seed: int  # index; its data order is the same for all contestants


LOST_NODE = "lost node"  # what the reason of a run begins with whose machine is gone, or cut off


@dataclass(frozen=True)
class Outcome:
    """Result of a run in one round. Losses in nats per token; None where it failed."""

    heldout_loss: float | None
    failure: Failure | None = None
    reason: str = ""
    factor: int = 1  # times the config's held-out rows it should be evaluated on
    rows: int = 0  # held-out rows it was evaluated on
    documents: dict[str, Any] = field(default_factory=dict)  # see document_errors.Documents
    facts: dict[str, Any] = field(default_factory=dict)  # reported, without influence on any decision

    def __post_init__(self) -> None:
        """Raises TypeError and ValueError for what no outcome holds, such as an altered ledger's."""
        if not isinstance(self.factor, int) or not isinstance(self.rows, int):
            raise TypeError("factor and rows are whole numbers")
        if self.failure not in (None, *get_args(Failure)):
            raise ValueError(f"no failure {shortened(repr(self.failure))}")
        if self.failure is None and (self.heldout_loss is None or not math.isfinite(self.heldout_loss)):
            object.__setattr__(self, "failure", "diverged")
            object.__setattr__(self, "reason", f"held-out loss {self.heldout_loss}")
        if self.failure is not None:  # the ledger is JSON: no NaN, no Infinity
            object.__setattr__(self, "heldout_loss", None)


@dataclass
class Round:
    """What has happened in one round. Only the bracket alters it."""

    outcomes: dict[Run, Outcome] = field(default_factory=dict)
    survivors: list[str] = field(default_factory=list)  # contestants of the next round; none is ever taken out
    factor: int = 1  # held-out rows to evaluate on, in those of the config
    is_decided: bool = False
    is_reopened: bool = (
        False  # after it was decided: it asks for no more held-out rows, for which all would train again
    )


def is_pending(outcome: Outcome | None, factor: int) -> bool:
    """Whether a run has yet to report, or to report on `factor` times the held-out rows."""
    return outcome is None or (outcome.failure is None and outcome.factor < factor)
