"""Early stopping on a plateau of the held-out loss: when is a stage of the curriculum over?

Data in: losses of one stage, step by step. Data out: looks, each with a judgement, and the reason to stop. Pure rules
on floats, no torch; curriculum/plateau_stopper.py measures the losses.

A *look* is one examination of the curve. A *strike* is a look that speaks for ending the stage; `strikes` of them in a
row end it (other libraries call that number the patience). There are two rules with one interface, `Stopper`:

`confirmed` (the default) judges the held-out loss of the stage's mix, of a running average of the weights, measured
every `evaluation_steps`. There is one look per window of `window_steps`, judged alone: a straight line through the
evaluations of the last `windows` windows gives the gain, the relative fall of the loss per window, with a standard
error that allows for neighbouring evaluations being alike. The judgement of a look is

    worse      the gain's upper bound lies below -`done_gain`: the loss rises
    going      its lower bound lies above `done_gain`: there is progress worth staying for
    done       neither, and the upper bound lies below `go_on_gain`: so much progress can be excluded
    undecided  none of these: the look is too noisy to tell, and is not a strike

A look that says done or worse is a strike, and one that disagrees with the look before begins the count anew; each
strike has a window of evaluations of its own. `done` counts from `min_steps` on, `worse` from a window after the
warmup on. So a plateau that begins at step p is called no later than `windows` + `strikes` windows after it, plus the
undecided looks: see `detection_delay_steps`.

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

Judgement = Literal["done", "worse", "going", "undecided"]
StopReason = Literal["plateau", "worse"]

MAX_AUTOCORRELATION = 0.99  # the error grows by (1 + r) / (1 - r), which is 199 there


@dataclass(frozen=True)
class Look:
    """One examination of the curve of losses, and what it says about ending the stage."""

    step: int  # of the stage, 1-based
    gain: float  # relative fall of the loss per window
    standard_error: float | None  # of the gain; None: the rule `recorded` knows none
    judgement: Judgement
    strikes: int  # agreeing looks in a row that speak for ending the stage, this one included


class Stopper(Protocol):
    """The rule of one stage. Steps are 1-based and counted from the stage's beginning."""

    def add_training_loss(self, step: int, loss: float) -> Look | None:
        """Take the training loss of a step; returns a look when this rule has one here."""

    def add_heldout_loss(self, step: int, loss: float) -> Look | None:
        """Take a held-out loss; returns a look when this rule has one here."""

    def stop_reason(self, look: Look | None) -> StopReason | None:
        """The reason to end the stage after this look, if there is one."""

    def earliest_stop(self, step: int) -> int:
        """The first step after `step` at which a plateau could end the stage, if every look from now on is a strike."""

    @property
    def strikes(self) -> int: ...

    def state(self) -> dict[str, Any]: ...

    def load_state(self, state: dict[str, Any]) -> None: ...


def make_stopper(rule: Plateau, warmup_steps: int = 0) -> Stopper:
    """A fresh stopper of the config's rule."""
    return RecordedStopper(rule) if rule.rule == "recorded" else ConfirmedStopper(rule, warmup_steps)


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
    squares = sum(e * e for e in residuals)
    if squares == 0:
        return -slope * per_window / mean, 0.0
    r = sum(a * b for a, b in pairwise(residuals)) / squares
    r = min(max(r, 0.0), MAX_AUTOCORRELATION)
    error = math.sqrt(squares / (n - 2) / spread * (1 + r) / (1 - r))
    return -slope * per_window / mean, error * per_window / mean


def judge(gain: float, standard_error: float, rule: Plateau) -> Judgement:
    """The judgement of one look of the rule `confirmed`."""
    bound = NormalDist().inv_cdf(1 - rule.error) * standard_error
    if not math.isfinite(gain + bound):
        return "worse"
    if gain + bound < -rule.done_gain:
        return "worse"
    if gain - bound > rule.done_gain:
        return "going"
    return "done" if gain + bound < rule.go_on_gain else "undecided"


def detection_delay_steps(rule: Plateau) -> int:
    """Steps after the beginning of a plateau within which the stage ends, when no look is undecided.

    A line sees the plateau alone once all its windows lie behind the beginning; the beginning may fall just
    after a look, hence one window more.
    """
    return (rule.windows + rule.strikes) * rule.window_steps


@dataclass
class ConfirmedStopper:
    """The rule `confirmed` over the evaluations of one stage. Everything it knows is in `state()`."""

    rule: Plateau
    warmup_steps: int = 0
    losses: list[float] = field(default_factory=list)  # held-out, of the last `windows` windows
    strikes: int = 0
    last_judgement: str = ""

    def add_training_loss(self, step: int, loss: float) -> Look | None:
        return None

    def add_heldout_loss(self, step: int, loss: float) -> Look | None:
        self.losses.append(loss)
        per_window = self.rule.window_steps // self.rule.evaluation_steps
        needed = per_window * self.rule.windows
        if step % self.rule.window_steps or len(self.losses) < needed:
            return None
        gain, error = gain_per_window(self.losses[-needed:], per_window)
        judgement = judge(gain, error, self.rule)
        counts_from = {"done": self.rule.min_steps, "worse": self.warmup_steps + self.rule.window_steps}
        if judgement not in counts_from or step < counts_from[judgement]:
            self.strikes = 0
        else:
            self.strikes = self.strikes + 1 if judgement == self.last_judgement else 1
        self.last_judgement = judgement
        del self.losses[:-needed]
        return Look(step, gain, error, judgement, self.strikes)

    def stop_reason(self, look: Look | None) -> StopReason | None:
        if look is None or look.strikes < self.rule.strikes:
            return None
        return "worse" if look.judgement == "worse" else "plateau"

    def earliest_stop(self, step: int) -> int:
        window, strikes = self.rule.window_steps, self.strikes if self.last_judgement == "done" else 0
        next_look = max(step // window + 1, self.rule.windows, math.ceil(self.rule.min_steps / window))
        return (next_look + self.rule.strikes - strikes - 1) * window

    def state(self) -> dict[str, Any]:
        return {"losses": list(self.losses), "strikes": self.strikes, "last_judgement": self.last_judgement}

    def load_state(self, state: dict[str, Any]) -> None:
        self.losses, self.strikes = list(state["losses"]), state["strikes"]
        self.last_judgement = state["last_judgement"]


@dataclass
class RecordedStopper:
    """The rule `recorded`, to the letter, except that its losses and strikes survive a resume."""

    rule: Plateau
    losses: list[float] = field(default_factory=list)  # of training, of the last `windows` windows
    strikes: int = 0

    def add_training_loss(self, step: int, loss: float) -> Look | None:
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
        self.strikes = self.strikes + 1 if gain < self.rule.done_gain else 0  # NaN is not a strike
        return Look(step, gain, None, "done" if self.strikes else "going", self.strikes)

    def add_heldout_loss(self, step: int, loss: float) -> Look | None:
        return None

    def stop_reason(self, look: Look | None) -> StopReason | None:
        return "plateau" if look is not None and look.strikes >= self.rule.strikes else None

    def earliest_stop(self, step: int) -> int:
        every = self.rule.evaluation_steps
        first = max(step, self.rule.min_steps, self.rule.windows * self.rule.window_steps - 1)
        return (math.ceil(first / every) + self.rule.strikes - self.strikes - 1) * every + 1

    def state(self) -> dict[str, Any]:
        return {"losses": list(self.losses), "strikes": self.strikes}

    def load_state(self, state: dict[str, Any]) -> None:
        self.losses, self.strikes = list(state["losses"]), state["strikes"]
