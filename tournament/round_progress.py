"""Progress of one run in its round: what survives a kill beside the weights, and what the round's result is made of.

Plain numbers, no torch. Losses are in nats per token, held-out ones from tournament/evaluation.py.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tournament.budget import Budget

EARLY_LOOKS = 3  # before the first of a run's evenly spaced ones


@dataclass(frozen=True)
class Evaluation:
    """The held-out loss of a league's mix at one moment."""

    loss: float  # what is ranked
    documents: dict[str, dict[str, Any]]  # source -> share, nats and tokens of each document; see uncertainty.py
    rows: int
    factor: int  # times the config's rows it was requested on
    bits_per_byte: float


@dataclass
class RoundProgress:
    """Where a run stands. The first evaluation is of step 0; the fields below `seconds` concern the present round."""

    latest: Evaluation
    round: int | None = None  # 0-based; None before the first
    seconds: float = 0.0  # of training, over all rounds
    busy_seconds: float = 0.0  # of this round, evaluation and waiting for checkpoints included
    first_step: int = 0
    first_seconds: float = 0.0
    start_loss: float = math.nan
    losses: list[float] = field(default_factory=list)  # training losses
    grid: list[tuple[int, float, float]] = field(default_factory=list)  # step, seconds, held-out loss on few rows
    annealed: Evaluation | None = None  # of the copy that was cooled down
    other_sources: dict[str, float | None] = field(default_factory=dict)  # reported, never ranked
    is_done: bool = False

    def begin(self, round_index: int, step: int, grid_loss: float) -> None:
        """Enter a round at a global step."""
        self.round, self.first_step, self.first_seconds = round_index, step, self.seconds
        self.losses, self.busy_seconds, self.annealed, self.is_done = [], 0.0, None, False
        self.start_loss, self.grid = self.latest.loss, [(step, self.seconds, grid_loss)]

    def share_of_round(self, step: int, budget: Budget) -> float:
        """Return how much of the round is behind at a global step, from 0 to 1."""
        assert self.round is not None
        if budget.seconds:
            begin, end, now = self.first_seconds, budget.seconds[self.round], self.seconds
        else:
            begin, end, now = self.first_step, budget.steps[self.round], step
        return float((now - begin) / (end - begin)) if end > begin else 1.0

    def is_grid_due(self, step: int, budget: Budget, evaluations_per_round: int) -> bool:
        """Return whether the held-out loss of the curve is measured at this step."""
        share = self.share_of_round(step, budget) + 1e-9
        return bisect_right(self._looks(budget, evaluations_per_round), share) >= len(self.grid)

    def _looks(self, budget: Budget, evaluations_per_round: int) -> list[float]:
        """Return the shares of the round at which the loss is measured, rising.

        Evenly spaced; a run's first round has further ones at halves of the first, since a curve falls fastest there.
        """
        looks = [place / evaluations_per_round for place in range(1, evaluations_per_round + 1)]
        if self.first_step == 0:
            looks = [looks[0] / 2**halvings for halvings in range(EARLY_LOOKS, 0, -1)] + looks
        if budget.seconds:
            return looks
        assert self.round is not None
        length = budget.steps[self.round] - self.first_step
        return sorted({math.ceil(share * length - 1e-9) / length for share in looks}) if length > 0 else looks

    def result(self, step: int, tokens: int, tokens_per_step: int, flops_per_token: float) -> dict[str, Any]:
        """Return the fields of bracket.Outcome that the round's end brought; the caller adds facts of its own."""
        ranked, steps, seconds = self.annealed or self.latest, step - self.first_step, self.seconds - self.first_seconds
        tail = self.losses[-max(1, steps // 10) :]
        facts = {
            "heldout_loss_start": self.start_loss,
            "train_loss": sum(tail) / len(tail) if tail else None,
            "tokens_per_second": steps * tokens_per_step / seconds if seconds else None,
            "seconds": seconds,
            "busy_seconds": self.busy_seconds,
            "steps": step,
            "tokens": tokens,
            "flops": tokens * flops_per_token,
            "bits_per_byte": ranked.bits_per_byte,
            "other_sources": self.other_sources,
            "grid": [[at, at * tokens_per_step * flops_per_token, spent, loss] for at, spent, loss in self.grid],
        }
        if self.annealed:
            facts["heldout_loss_before_cooldown"] = self.latest.loss
        return {
            "heldout_loss": ranked.loss,
            "documents": ranked.documents,
            "rows": ranked.rows,
            "factor": self.latest.factor,
            "facts": facts,
        }

    def state(self) -> dict[str, Any]:
        """Return everything as JSON."""
        state = asdict(self)
        return state | {"start_loss": None if math.isnan(self.start_loss) else self.start_loss}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take over what state() gave."""
        for name, value in state.items():
            setattr(self, name, value)
        self.latest = Evaluation(**state["latest"])
        self.annealed = Evaluation(**state["annealed"]) if state["annealed"] else None
        self.start_loss = math.nan if state["start_loss"] is None else state["start_loss"]
        self.grid = [(step, seconds, loss) for step, seconds, loss in state["grid"]]
