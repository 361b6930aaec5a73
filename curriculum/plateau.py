"""Early stopping on a plateau of the held-out loss: when is a stage of the curriculum over?

Data in: losses of one stage, step by step. Data out: looks, each with a judgement, and the reason to stop. Pure rules
on floats, no torch; curriculum/plateau_stopper.py measures the losses.

A *look* is one examination of the curve. `strikes` looks that clearly speak for ending the stage end it (other
libraries call that number the patience). There are two rules with one interface, `Stopper`:

`confirmed` (the default) judges the held-out loss of the stage's mix, of a running average of the weights, measured
every `evaluation_steps`. There is one look per window of `window_steps`: a straight line through the evaluations of the
last `windows` windows gives the gain, the relative fall of the loss per window, with a standard error and degrees of
freedom that allow for neighbouring evaluations being alike (curriculum/evidence.py). The judgement of a look is

    worse      the gain lies below -`done_gain`, and saying so is wrong with probability `error` at most
    going      in the same way above `done_gain`: there is progress worth staying for
    done       neither, and in the same way below `go_on_gain`: so much progress can be excluded
    undecided  none of these: the look is too noisy to tell

The looks since the last one that said going are taken together: the probability of being wrong, all of them combined,
must fall to `error` ** `strikes`. Evidence is counted in strikes, `strikes` of them end the stage: a look as clear as
each of `strikes` equal looks must be brings one, a clearer one a little more, a noisy one a part. So a plateau takes
`strikes` looks at least, and the more of them the noisier the curve is. It counts from `min_steps` on. `worse` counts
from a window after the warmup on, and of a single look as much as it says: far below zero needs no third.

A curve that turns round needs no line through three windows: after every evaluation the mean of the last window is set
against the windows before it. Where it lies higher by more than 2.5 times `go_on_gain`, beyond the same doubt, the
stage ends as worse. Where looks are so noisy that a plateau takes six of them in place of three, that is said.

`recorded` is the rule of the recorded runs, to compare with: every `evaluation_steps` the mean training loss of the
last window is set against the mean of the windows before it; a relative gain below `done_gain`, a rising loss
included, is a strike. Its noise is many times its threshold, and its strikes share nearly all of their data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from curriculum.evidence import Estimate, combined, deviate, deviate_of_power, gain_per_window, rise_of_last_window
from hamner.config.schema import Plateau

Judgement = Literal["done", "worse", "going", "undecided"]
StopReason = Literal["plateau", "worse"]

RISE = 2.5  # times go_on_gain: that much higher than before, the loss has turned round
ONE_LOOK = 1.15  # times the evidence of one of `strikes` equal looks: what a single look counts for a plateau at most
NOISY = 2.0  # times `strikes`: a stage that needs so many looks to see a plateau is too noisy


@dataclass(frozen=True)
class Look:
    """One examination of the curve of losses, and what it says about ending the stage."""

    step: int  # of the stage, 1-based
    gain: float  # relative fall of the loss per window
    standard_error: float | None  # of the gain; None: the rule `recorded` knows none
    judgement: Judgement
    strikes: float  # evidence for ending the stage, of all looks since the last that said going
    is_too_noisy: bool = False  # said once a stage: so noisy are the looks that a plateau may stay unseen


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
    def strikes(self) -> float: ...

    def state(self) -> dict[str, Any]: ...

    def load_state(self, state: dict[str, Any]) -> None: ...


def make_stopper(rule: Plateau, warmup_steps: int = 0) -> Stopper:
    """A fresh stopper of the config's rule."""
    return RecordedStopper(rule) if rule.rule == "recorded" else ConfirmedStopper(rule, warmup_steps)


def judge(gain: Estimate, rule: Plateau) -> Judgement:
    """The judgement of one look of the rule `confirmed`."""
    if gain.doubt_below(-rule.done_gain) < rule.error:
        return "worse"
    if gain.doubt_above(rule.done_gain) < rule.error:
        return "going"
    return "done" if gain.doubt_below(rule.go_on_gain) < rule.error else "undecided"


def strikes_of(z: float, rule: Plateau) -> float:
    """The evidence of looks, combined to one deviate, in strikes: equal looks bring equally many, `strikes` suffice."""
    return rule.strikes * (z / limit(rule)) ** 2 if z < 0 else 0.0


def limit(rule: Plateau) -> float:
    """The deviate that all looks together must come to: that of `error` ** `strikes`."""
    return deviate_of_power(rule.error, rule.strikes)


def looks_needed(flat: Sequence[float], rule: Plateau) -> float:
    """How many looks it takes to call a flat curve a plateau. flat: deviates, what each look would say of one."""
    mean = min(sum(flat) / len(flat), -1e-9)
    return max((limit(rule) / mean) ** 2, float(rule.strikes))


def detection_delay_steps(rule: Plateau) -> int:
    """Steps after the beginning of a plateau within which the stage ends, when every look tells clearly.

    A line sees the plateau alone once all its windows lie behind the beginning; the beginning may fall just
    after a look, hence one window more.
    """
    return (rule.windows + rule.strikes) * rule.window_steps


STATE = ("losses", "plateau", "worse", "flat", "strikes", "has_said_noisy")  # of ConfirmedStopper


@dataclass
class ConfirmedStopper:
    """The rule `confirmed` over the evaluations of one stage. Everything it knows is in `state()`."""

    rule: Plateau
    warmup_steps: int = 0
    losses: list[float] = field(default_factory=list)  # held-out, of the last `windows` windows
    plateau: list[float] = field(default_factory=list)  # deviates of the looks since the last that said going
    worse: list[float] = field(default_factory=list)  # ... and what they say about a rise
    flat: list[float] = field(default_factory=list)  # ... and what each look so far would say of a flat curve
    strikes: float = 0.0
    has_said_noisy: bool = False

    def add_training_loss(self, step: int, loss: float) -> Look | None:
        return None

    def add_heldout_loss(self, step: int, loss: float) -> Look | None:
        self.losses.append(loss)
        rule, per_window = self.rule, self.rule.window_steps // self.rule.evaluation_steps
        needed = per_window * rule.windows
        del self.losses[:-needed]
        if step % rule.window_steps or len(self.losses) < needed:
            return self._turn(step, per_window)
        gain = gain_per_window(self.losses, per_window)
        judgement = judge(gain, rule)
        strikes = self._weigh(step, gain, judgement)
        return Look(step, gain.value, gain.error, judgement, strikes, self._says_noisy(gain))

    def _weigh(self, step: int, gain: Estimate, judgement: Judgement) -> float:
        """Add a look to those before it; returns the evidence for ending the stage, in strikes."""
        rule = self.rule
        if judgement == "going":
            self.plateau, self.worse = [], []
        if judgement != "going" and step >= rule.min_steps:
            most = ONE_LOOK * limit(rule) / math.sqrt(rule.strikes)
            self.plateau = _with_look(self.plateau, max(deviate(gain.doubt_below(rule.go_on_gain)), most))
        if judgement != "going" and step >= self.warmup_steps + rule.window_steps:
            self.worse = _with_look(self.worse, deviate(gain.doubt_below(-rule.done_gain)))
        evidence = {"done": self.plateau, "worse": self.worse, "undecided": self.plateau, "going": []}[judgement]
        self.strikes = strikes_of(combined(evidence), rule)
        return self.strikes

    def _says_noisy(self, gain: Estimate) -> bool:
        """Whether this look is the first that shows the stage to be too noisy."""
        rule = self.rule
        self.flat.append(deviate(Estimate(0.0, gain.error, gain.freedom).doubt_below(rule.go_on_gain)))
        few = len(self.flat) < 3 * rule.strikes
        if self.has_said_noisy or few or looks_needed(self.flat, rule) < NOISY * rule.strikes:
            return False
        self.has_said_noisy = True
        return True

    def _turn(self, step: int, per_window: int) -> Look | None:
        """A look between two windows' ends, where the loss has clearly turned round; else None."""
        rule = self.rule
        if step < self.warmup_steps + 2 * rule.window_steps or len(self.losses) < 2 * per_window:
            return None
        rise, windows = rise_of_last_window(self.losses, per_window)
        if not math.isfinite(rise.value + rise.error):
            return None
        strikes = strikes_of(deviate(rise.doubt_above(RISE * rule.go_on_gain)), rule)
        return (
            Look(step, -rise.value / windows, rise.error / windows, "worse", strikes)
            if strikes >= rule.strikes
            else None
        )

    def stop_reason(self, look: Look | None) -> StopReason | None:
        if look is None or look.strikes < self.rule.strikes:
            return None
        return "worse" if look.judgement == "worse" else "plateau"

    def earliest_stop(self, step: int) -> int:
        window = self.rule.window_steps
        next_look = max(step // window + 1, self.rule.windows, math.ceil(self.rule.min_steps / window))
        return (next_look + max(self.rule.strikes - len(self.plateau), 1) - 1) * window

    def state(self) -> dict[str, Any]:
        return {name: copy(getattr(self, name)) for name in STATE}

    def load_state(self, state: dict[str, Any]) -> None:
        for name in STATE:
            setattr(self, name, copy(state[name]))


def _with_look(deviates: list[float], deviate_of_look: float) -> list[float]:
    """The looks with one more; none once they speak against ending, all together."""
    deviates = [*deviates, deviate_of_look]
    return deviates if sum(deviates) < 0 else []


@dataclass
class RecordedStopper:
    """The rule `recorded`, to the letter, except that its losses and strikes survive a resume."""

    rule: Plateau
    losses: list[float] = field(default_factory=list)  # of training, of the last `windows` windows
    strikes: float = 0

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
        return (math.ceil(first / every) + self.rule.strikes - int(self.strikes) - 1) * every + 1

    def state(self) -> dict[str, Any]:
        return {"losses": list(self.losses), "strikes": self.strikes}

    def load_state(self, state: dict[str, Any]) -> None:
        self.losses, self.strikes = list(state["losses"]), state["strikes"]
