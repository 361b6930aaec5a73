"""Synchronous elimination for Ray Tune: asks rounds.py, answers CONTINUE, PAUSE or STOP.

A contestant that has come to the end of a round is paused (its slot is free, its checkpoint on disk) until the
last one has come; then the ledger is written, losers are stopped and survivors run on. Nothing is decided
here, and everything decided is on disk before Tune hears of it.

Of Tune's internals two are leant on, as HyperBand does (Ray is pinned): a PAUSED trial is started by being
returned from choose_trial_to_run, and `is_saving` marks a trial on its way to PAUSED. A trial that Tune is
about to start again after a crash is told to on_trial_error with status ERROR already set.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from tournament.rounds import Bracket, Outcome


class EliminationScheduler(TrialScheduler):
    """`bracket` decides; `record` is called after each outcome, before any action it causes."""

    def __init__(self, bracket: Bracket, record: Callable[[str, Outcome, bool], None]) -> None:
        super().__init__()
        self._bracket, self._record = bracket, record
        self._trials: dict[str, Trial] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {}    # Tune pickles schedulers to restore them; ours starts from the ledger instead

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        return True

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        self._trials[trial.config["contestant"]] = trial

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        if self._bracket.over() or trial.config["contestant"] not in self._bracket.alive():
            return TrialScheduler.STOP    # cut while it was on its way (after a resume)
        outcome = _outcome(result)
        if outcome is None or result["round"] < self._bracket.round:
            return TrialScheduler.CONTINUE    # in the middle of a round, or (resumed) at the end of an old one
        self._take(tune_controller, trial, outcome)
        name = trial.config["contestant"]
        if self._bracket.over() or name not in self._bracket.alive():
            return TrialScheduler.STOP
        return TrialScheduler.CONTINUE if name in self._bracket.waiting_for() else TrialScheduler.PAUSE

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        if trial.status == Trial.ERROR:
            return    # Tune starts it again from its own last checkpoint
        self._take(tune_controller, trial, Outcome(None, failure="error", reason="its process died repeatedly"))

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        pass

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        pass

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """A survivor that is paused, or an entrant that has not started yet."""
        for name in self._bracket.waiting_for():
            trial = self._trials.get(name)
            if trial is not None and trial.status in (Trial.PENDING, Trial.PAUSED):
                return trial
        return None

    def debug_string(self) -> str:
        return f"round {self._bracket.round + 1}, waiting for {', '.join(self._bracket.waiting_for())}"

    def _take(self, tune_controller: Any, trial: Trial, outcome: Outcome) -> None:
        """Note an outcome; when it decides the round, stop the losers that are parked."""
        decided = self._bracket.report(trial.config["contestant"], outcome)
        self._record(trial.config["contestant"], outcome, decided)
        if not decided:
            return
        going_on = [] if self._bracket.over() else self._bracket.alive()
        for name, other in self._trials.items():
            if other is not trial and name not in going_on and (other.status == Trial.PAUSED or other.is_saving):
                tune_controller.stop_trial(other)


def _outcome(result: dict[str, Any]) -> Outcome | None:
    """The outcome in a trial's report, if it came to the end of a round or failed."""
    if not result.get("round_done") and not result.get("failure"):
        return None
    fields = ("heldout_loss", "heldout_loss_start", "train_loss", "tokens_per_second", "seconds", "failure", "reason")
    return Outcome(**{name: result[name] for name in fields if result.get(name) is not None} | {
        "heldout_loss": result.get("heldout_loss")})
