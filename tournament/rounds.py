"""The rule of the tournament, on plain numbers: who goes on, who is out, who wins.

No torch, no Ray. The outcome is the same in any order of arrival. A contestant is judged by its held-out loss
at the round's end; equal losses by training FLOPs per token, then by name. A loss that is no finite number
loses to every finite one, and never goes on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Failure = Literal["oom", "diverged", "error"]


@dataclass(frozen=True)
class Outcome:
    """How a contestant came out of one round. Losses in nats per token; None where it failed."""

    heldout_loss: float | None
    heldout_loss_start: float | None = None
    train_loss: float | None = None
    tokens_per_second: float | None = None
    seconds: float | None = None
    failure: Failure | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if self.failure is None and (self.heldout_loss is None or not math.isfinite(self.heldout_loss)):
            object.__setattr__(self, "failure", "diverged")
            object.__setattr__(self, "reason", f"held-out loss {self.heldout_loss}")
        for name in ("heldout_loss", "heldout_loss_start", "train_loss", "tokens_per_second"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):    # the file is JSON: no NaN, no Infinity
                object.__setattr__(self, name, None)


def rank(outcomes: Mapping[str, Outcome], flops: Mapping[str, float]) -> list[str]:
    """Names from best to worst."""
    def key(name: str) -> tuple[bool, float, float, str]:
        outcome = outcomes[name]
        failed = outcome.failure is not None
        loss = math.inf if failed or outcome.heldout_loss is None else outcome.heldout_loss
        return failed, loss, flops[name], name

    return sorted(outcomes, key=key)


def survivors(outcomes: Mapping[str, Outcome], flops: Mapping[str, float], keep: int) -> list[str]:
    """The best `keep` of those that did not fail, best first."""
    return [name for name in rank(outcomes, flops) if outcomes[name].failure is None][:keep]


@dataclass
class Bracket:
    """The course of one tournament. All it knows is in `state()`: written down, it is the ledger."""

    entrants: Sequence[str]
    keep: Sequence[int]
    flops: Mapping[str, float]
    outcomes: list[dict[str, Outcome]] = field(default_factory=lambda: [{}])    # one dict a round

    @property
    def round(self) -> int:
        """0-based number of the round being played."""
        return len(self.outcomes) - 1

    def alive(self, round_index: int | None = None) -> list[str]:
        """Who plays a round (default: the current one), in the order of entering."""
        index = self.round if round_index is None else round_index
        if index == 0:
            return list(self.entrants)
        kept = survivors(self.outcomes[index - 1], self.flops, self.keep[index - 1])
        return [name for name in self.entrants if name in kept]

    def waiting_for(self) -> list[str]:
        """Who has yet to come to the end of the current round."""
        return [name for name in self.alive() if name not in self.outcomes[self.round]]

    def report(self, name: str, outcome: Outcome) -> bool:
        """Take an outcome of the current round; True when it was the last one and the round is decided.

        The first word counts: a contestant that reports again, after a resume, changes nothing.
        """
        if name not in self.waiting_for():
            return False
        self.outcomes[self.round][name] = outcome
        if self.waiting_for():
            return False
        if not self.over():
            self.outcomes.append({})
        return True

    def over(self) -> bool:
        """The last round is decided, or nobody is left."""
        if self.waiting_for():
            return False
        last = self.round == len(self.keep) - 1
        return last or not survivors(self.outcomes[self.round], self.flops, self.keep[self.round])

    def winner(self) -> str | None:
        """The winner of a tournament that is over; None while it is not, and when everybody failed."""
        if not self.over():
            return None
        best = survivors(self.outcomes[self.round], self.flops, 1)
        return best[0] if best else None

    def state(self) -> dict[str, Any]:
        return {"outcomes": [{n: asdict(o) for n, o in played.items()} for played in self.outcomes]}

    def load_state(self, state: Mapping[str, Any]) -> None:
        outcomes = [{n: Outcome(**o) for n, o in played.items()} for played in state["outcomes"]]
        if not 1 <= len(outcomes) <= len(self.keep):
            raise ValueError(f"{len(outcomes)} rounds, of {len(self.keep)}")
        self.outcomes = outcomes
