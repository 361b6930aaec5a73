"""Elimination for Ray Tune: asks rounds.py, answers CONTINUE, PAUSE or STOP.

A run that has come to the end of a round is paused (its slot is free, its checkpoint on disk) until it is known
whether it goes on. Nothing is decided here, and everything decided is on disk before Tune hears of it.

Of Tune's internals three are leant on, as HyperBand and ResourceChangingScheduler do (Ray is pinned): a PAUSED
trial is started by being returned from choose_trial_to_run, `is_saving` marks a trial on its way to PAUSED, and
a trial that does not run may be given other resources. A trial that Tune is about to start again after a crash
is told to on_trial_error with status ERROR already set.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import cloudpickle, exceptions
from ray.tune import PlacementGroupFactory
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from tournament.bracket import Bracket, Outcome, Run
from tournament.learning_rate_probe import ROUND as PROBE


@dataclass
class Plan:
    """What the scheduler is told beside the bracket."""

    cost: Mapping[Run, float]  # expected time: the longest starts first
    resources: Callable[[Run, float | None], dict[str, float]]  # of a run, with a share of the card or its own
    record: Callable[[Run, Outcome, bool], None]  # called before any action an outcome causes
    probed: Callable[[Run, dict[str, Any]], None]  # the same for a learning rate that was found
    fresh_processes: bool = False  # a run's next round starts in a new process


class EliminationScheduler(TrialScheduler):
    """Plays one bracket: all trials of a Tuner, one a run."""

    def __init__(self, bracket: Bracket, plan: Plan) -> None:
        super().__init__()
        self._bracket, self._plan = bracket, plan
        self._trials: dict[Run, Trial] = {}
        self._shares: dict[Run, float] = {}
        self._dead: dict[Run, str] = {}  # runs that Tune has given up, and why

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles schedulers to restore them; ours starts from the ledger instead

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        return True

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        self._trials[_run(trial)] = trial

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        run = _run(trial)
        if "probed" in result:
            self._plan.probed(run, json.loads(result["probed"]))
            if result.get("failure"):
                self._take(tune_controller, run, 0, _outcome(result))
            return TrialScheduler.STOP
        if result.get("wants_share"):
            self._shares[run] = result["wants_share"]
            return TrialScheduler.PAUSE
        if result["round"] == PROBE:
            return TrialScheduler.CONTINUE
        if result.get("round_done") or result.get("failure"):
            self._take(tune_controller, run, result["round"], _outcome(result))
        elif self._bracket.next_round(run) is not None:
            return TrialScheduler.CONTINUE  # in the middle of a round
        return self._next(run)

    def _next(self, run: Run) -> str:
        """What a run does that has just come to the end of a round, or that is out."""
        if self._out(run):
            return TrialScheduler.STOP
        here = self._bracket.next_round(run)
        if here is None or self._plan.fresh_processes:
            return TrialScheduler.PAUSE
        idle = [other for other in self._bracket.waiting_for() if other != run and self._idle(other)]
        first = any(self._place(other) < (here, -self._plan.cost[run]) for other in idle)
        return TrialScheduler.PAUSE if first else TrialScheduler.CONTINUE

    def _place(self, run: Run) -> tuple[int, float]:
        """Order in which runs get a slot: the earliest round, there the longest."""
        return self._bracket.next_round(run) or 0, -self._plan.cost[run]

    def _out(self, run: Run) -> bool:
        """Nothing that may still happen lets a run go on; or it can only go on in the next Tuner."""
        bracket = self._bracket
        if bracket.over() or self._another_tuner():
            return True
        if any(o.failure for played in bracket.rounds if (o := played.outcomes.get(run))):
            return True
        return run not in bracket.twins and run.contestant not in bracket.contestants(bracket.round)

    def _another_tuner(self) -> bool:
        """Runs are wanted that this Tuner does not have: more seeds."""
        return any(run not in self._trials for run in self._bracket.waiting_for())

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        if trial.status == Trial.ERROR:
            return  # Tune starts it again from its newest checkpoint
        self._dead[_run(trial)] = _reason(trial)
        self._fail_lost_runs(tune_controller)

    def _fail_lost_runs(self, tune_controller: Any) -> None:
        """Nobody waits for the dead: a round that wants one has its failure at once."""
        while dead := [run for run in self._bracket.waiting_for() if run in self._dead]:
            index = self._bracket.next_round(dead[0])
            assert index is not None
            self._take(tune_controller, dead[0], index, Outcome(None, failure="error", reason=self._dead[dead[0]]))

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        pass

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        pass

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Of those of the earliest round that are wanted and idle, the longest."""
        self._fail_lost_runs(tune_controller)
        idle = [run for run in self._bracket.waiting_for() if self._idle(run)]
        if not idle:
            return None
        run = min(idle, key=self._place)
        trial = self._trials[run]
        if run in self._shares and trial.status == Trial.PAUSED:
            trial.update_resources(PlacementGroupFactory([self._plan.resources(run, self._shares.pop(run))]))
        return trial

    def debug_string(self) -> str:
        return f"round {self._bracket.round + 1}, waiting for {', '.join(map(str, self._bracket.waiting_for()))}"

    def _idle(self, run: Run) -> bool:
        trial = self._trials.get(run)
        return trial is not None and trial.status in (Trial.PENDING, Trial.PAUSED)

    def _take(self, tune_controller: Any, run: Run, index: int, outcome: Outcome) -> None:
        """Note an outcome, then stop those that are out and do not run."""
        decided = self._bracket.report(run, index, outcome)
        self._plan.record(run, outcome, decided)
        for other, trial in self._trials.items():
            parked = trial.status in (Trial.PAUSED, Trial.PENDING) or trial.is_saving
            if other != run and parked and self._out(other):
                tune_controller.stop_trial(trial)


def _run(trial: Trial) -> Run:
    row = trial.config["row"]
    return Run(row["contestant"], int(row["seed"]))


def _outcome(result: dict[str, Any]) -> Outcome:
    """The outcome in a report of a run that came to the end of a round or failed."""
    if result.get("failure"):
        return Outcome(None, failure=result["failure"], reason=result.get("reason", ""))
    return Outcome(**json.loads(result["outcome"]))


def _reason(trial: Trial) -> str:
    """Why a run's process ended again and again: a crash in it, the process killed, or its node lost."""
    error = trial.get_pickled_error()
    if error is None and (here := trial.pickled_error_file) and Path(here).is_file():
        error = cloudpickle.loads(Path(here).read_bytes())  # in the storage only once Tune has saved its own state
    cause = getattr(error, "cause", None) or error
    lines = [line for line in str(cause).splitlines() if line.strip()] or ["no reason given"]
    if isinstance(cause, exceptions.NodeDiedError) or "node has died" in str(cause):
        return f"lost node: {lines[0][:200]}"
    if isinstance(cause, exceptions.RayTaskError):
        return f"crash: {lines[-1][:200]}"
    if isinstance(cause, exceptions.RayError):
        return f"its process died: {lines[0][:200]}"
    return f"crash: {type(cause).__name__}: {lines[0][:200]}"
