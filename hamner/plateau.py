"""When is a stage over? A pure rule on floats: held-out losses in, a word out.

The stage's held-out loss (of a running average of the weights) is measured every `evaluate_every` steps. Once
per window of `window_steps` comes a *look*: a straight line through the evaluations of the last `windows`
windows gives the gain, the relative fall of the loss per window, with a standard error that allows for
neighbouring evaluations being alike. One look says

    worse      the gain's upper bound lies below -`done_gain`: the loss rises
    going      its lower bound lies above `done_gain`: there is progress worth staying for
    done       neither, and the upper bound lies below `go_on_gain`: so much progress can be excluded
    undecided  none of these, the look is too noisy to tell; no strike

`strikes` consecutive looks that agree on done or worse end the stage, each with a window of evaluations of its
own, none before `min_steps`. So a plateau that begins at step p is called no later than `windows` + `strikes`
windows after it, plus the undecided looks, provided min_steps has passed: see `delay_steps`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import NormalDist
from typing import Any, Literal

from hamner.config import Plateau

Verdict = Literal["done", "worse", "going", "undecided"]


@dataclass(frozen=True)
class Look:
    """One judgement. `gain` and its standard error are relative falls of the loss per window."""

    step: int
    gain: float
    standard_error: float
    verdict: Verdict
    strikes: int


def gain_per_window(losses: Sequence[float], per_window: float) -> tuple[float, float]:
    """Relative fall per window of a straight line through `losses`, and its standard error.

    Ordinary least squares on evenly spaced points, `per_window` of them a window. The error is widened by
    (1 + r) / (1 - r), r the residuals' lag-1 autocorrelation (never below 0), as for an AR(1) process.
    """
    n = len(losses)
    middle, mean = (n - 1) / 2, sum(losses) / n
    spread = sum((i - middle) ** 2 for i in range(n))
    slope = sum((i - middle) * (y - mean) for i, y in enumerate(losses)) / spread
    residuals = [y - mean - slope * (i - middle) for i, y in enumerate(losses)]
    power = sum(e * e for e in residuals)
    if power == 0:
        return -slope * per_window / mean, 0.0
    alike = sum(a * b for a, b in pairwise(residuals)) / power
    alike = min(max(alike, 0.0), 0.99)
    error = math.sqrt(power / (n - 2) / spread * (1 + alike) / (1 - alike))
    return -slope * per_window / mean, error * per_window / mean


def judge(gain: float, standard_error: float, rule: Plateau) -> Verdict:
    """What one look says."""
    bound = NormalDist().inv_cdf(1 - rule.error) * standard_error
    if not math.isfinite(gain + bound):
        return "worse"
    if gain + bound < -rule.done_gain:
        return "worse"
    if gain - bound > rule.done_gain:
        return "going"
    return "done" if gain + bound < rule.go_on_gain else "undecided"


def delay_steps(rule: Plateau) -> int:
    """Steps after the beginning of a plateau within which the stage ends, when no look is undecided.

    A line sees the plateau alone once all its windows lie behind the beginning; the beginning may fall just
    after a look, hence one window more.
    """
    return (rule.windows + rule.strikes) * rule.window_steps


@dataclass
class PlateauStopper:
    """Holds the evaluations of one stage. Everything it knows is in `state()`."""

    rule: Plateau
    losses: list[float] = field(default_factory=list)
    strikes: int = 0
    leaning: str = ""

    def add(self, step: int, loss: float) -> Look | None:
        """Take the evaluation of 1-based stage step `step`; returns a look when a window has passed."""
        self.losses.append(loss)
        per_window = self.rule.window_steps // self.rule.evaluate_every
        needed = per_window * self.rule.windows
        if step % self.rule.window_steps or len(self.losses) < needed:
            return None
        gain, error = gain_per_window(self.losses[-needed:], per_window)
        verdict = judge(gain, error, self.rule)
        if verdict not in ("done", "worse") or step < self.rule.min_steps:
            self.strikes = 0
        else:
            self.strikes = self.strikes + 1 if verdict == self.leaning else 1
        self.leaning = verdict
        del self.losses[:-needed]
        return Look(step, gain, error, verdict, self.strikes)

    def ended(self, look: Look | None) -> Literal["plateau", "worse"] | None:
        """The reason to end the stage after this look, if there is one."""
        if look is None or look.strikes < self.rule.strikes:
            return None
        return "worse" if look.verdict == "worse" else "plateau"

    def state(self) -> dict[str, Any]:
        return {"losses": list(self.losses), "strikes": self.strikes, "leaning": self.leaning}

    def load_state(self, state: dict[str, Any]) -> None:
        self.losses, self.strikes, self.leaning = list(state["losses"]), state["strikes"], state["leaning"]
