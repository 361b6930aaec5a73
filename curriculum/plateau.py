"""When is a stage over? Pure rules on floats: losses in, a word out. Two rules, one interface.

`confirmed` (the default) looks at the stage's held-out loss, of a running average of the weights, measured every
`evaluation_steps`. Once per window of `window_steps` comes a *look*, judged alone: a straight line through the
evaluations of the last `windows` windows gives the gain, the relative fall of the loss per window, with a standard
error that allows for neighbouring evaluations being alike. One look says

    worse      the gain's upper bound lies below -`done_gain`: the loss rises
    going      its lower bound lies above `done_gain`: there is progress worth staying for
    done       neither, and the upper bound lies below `go_on_gain`: so much progress can be excluded
    undecided  none of these, the look is too noisy to tell; no strike

`strikes` consecutive looks that agree on done or worse end the stage, each with a window of evaluations of its
own; `done` counts from `min_steps` on, `worse` from a window after the warmup on. So a plateau that begins at step p
is called no later than `windows` + `strikes` windows after it, plus the undecided looks: see `delay_steps`.

`recorded` is the rule of the recorded runs, to compare with: every `evaluation_steps` the mean training loss of the
last window is set against the mean of the windows before it; a relative gain below `done_gain`, a rising loss
included, is a strike. Its noise is many times its threshold, and its strikes share nearly all of their data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import NormalDist
from typing import Any, Literal, Protocol

from hamner.config.schema import Plateau

Verdict = Literal["done", "worse", "going", "undecided"]
Ending = Literal["plateau", "worse"]


@dataclass(frozen=True)
class Look:
    """One judgement. `gain` and its standard error (None: not known) are relative falls of the loss per window."""

    step: int
    gain: float
    standard_error: float | None
    verdict: Verdict
    strikes: int


class Stopper(Protocol):
    """The rule of one stage. Steps are 1-based and counted from the stage's beginning."""

    def trained(self, step: int, loss: float) -> Look | None:
        """Take the training loss of a step; returns a look when this rule has one here."""

    def evaluated(self, step: int, loss: float) -> Look | None:
        """Take a held-out loss; returns a look when this rule has one here."""

    def ended(self, look: Look | None) -> Ending | None:
        """The reason to end the stage after this look, if there is one."""

    def earliest_stop(self, step: int) -> int:
        """The first step after `step` at which a plateau could end the stage, if every look from now on said so."""

    @property
    def strikes(self) -> int: ...

    def state(self) -> dict[str, Any]: ...

    def load_state(self, state: dict[str, Any]) -> None: ...


def stopper(rule: Plateau, warmup_steps: int = 0) -> Stopper:
    """A fresh stopper of the config's rule."""
    return Recorded(rule) if rule.rule == "recorded" else Confirmed(rule, warmup_steps)


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
class Confirmed:
    """Holds the evaluations of one stage. Everything it knows is in `state()`."""

    rule: Plateau
    warmup_steps: int = 0
    losses: list[float] = field(default_factory=list)
    strikes: int = 0
    leaning: str = ""

    def trained(self, step: int, loss: float) -> Look | None:
        return None

    def evaluated(self, step: int, loss: float) -> Look | None:
        self.losses.append(loss)
        per_window = self.rule.window_steps // self.rule.evaluation_steps
        needed = per_window * self.rule.windows
        if step % self.rule.window_steps or len(self.losses) < needed:
            return None
        gain, error = gain_per_window(self.losses[-needed:], per_window)
        verdict = judge(gain, error, self.rule)
        counts_from = {"done": self.rule.min_steps, "worse": self.warmup_steps + self.rule.window_steps}
        if verdict not in counts_from or step < counts_from[verdict]:
            self.strikes = 0
        else:
            self.strikes = self.strikes + 1 if verdict == self.leaning else 1
        self.leaning = verdict
        del self.losses[:-needed]
        return Look(step, gain, error, verdict, self.strikes)

    def ended(self, look: Look | None) -> Ending | None:
        if look is None or look.strikes < self.rule.strikes:
            return None
        return "worse" if look.verdict == "worse" else "plateau"

    def earliest_stop(self, step: int) -> int:
        window, held = self.rule.window_steps, self.strikes if self.leaning == "done" else 0
        next_look = max(step // window + 1, self.rule.windows, math.ceil(self.rule.min_steps / window))
        return (next_look + self.rule.strikes - held - 1) * window

    def state(self) -> dict[str, Any]:
        return {"losses": list(self.losses), "strikes": self.strikes, "leaning": self.leaning}

    def load_state(self, state: dict[str, Any]) -> None:
        self.losses, self.strikes, self.leaning = list(state["losses"]), state["strikes"], state["leaning"]


@dataclass
class Recorded:
    """The recorded runs' rule, to the letter, but that its losses and strikes survive a resume."""

    rule: Plateau
    losses: list[float] = field(default_factory=list)
    strikes: int = 0

    def trained(self, step: int, loss: float) -> Look | None:
        window, needed = self.rule.window_steps, self.rule.windows * self.rule.window_steps
        self.losses.append(loss)
        del self.losses[:-needed]
        index = step - 1  # the recorded rule counts from 0
        if index == 0 or index % self.rule.evaluation_steps:
            return None
        if index < self.rule.min_steps or len(self.losses) < needed:
            self.strikes = 0
            return None
        older = sum(self.losses[:-window]) / (needed - window)
        recent = sum(self.losses[-window:]) / window
        gain = (older - recent) / older if older else math.inf
        self.strikes = self.strikes + 1 if gain < self.rule.done_gain else 0  # NaN is no strike
        return Look(step, gain, None, "done" if self.strikes else "going", self.strikes)

    def evaluated(self, step: int, loss: float) -> Look | None:
        return None

    def ended(self, look: Look | None) -> Ending | None:
        return "plateau" if look is not None and look.strikes >= self.rule.strikes else None

    def earliest_stop(self, step: int) -> int:
        every = self.rule.evaluation_steps
        first = max(step, self.rule.min_steps, self.rule.windows * self.rule.window_steps - 1)
        return (math.ceil(first / every) + self.rule.strikes - self.strikes - 1) * every + 1

    def state(self) -> dict[str, Any]:
        return {"losses": list(self.losses), "strikes": self.strikes}

    def load_state(self, state: dict[str, Any]) -> None:
        self.losses, self.strikes = list(state["losses"]), state["strikes"]
