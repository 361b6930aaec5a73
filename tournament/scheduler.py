"""Ray Tune scheduler for elimination rounds: asks the bracket, answers CONTINUE, PAUSE or STOP.

In: the results of Tune's trials, one trial a run. Out: which trial trains, pauses or stops. A run that has come to
the end of a round is paused (its slot is free, its checkpoint on disk) until it is known whether it is promoted.
Nothing is decided here, and every decision is on disk before Tune hears of it. Trouble of the machine (a full disk, a
lost node) is no result of a run: it stops the league, which can be resumed.

A run is told its round, and the held-out rows that the round asks for, in the row that Tune hands it when it starts;
by itself it goes on into the next round only, from one it has just reported.

A report costs what it moves, not how many trials there are: runs that wait stand in a queue that is kept sorted, and
all trials are looked at only where a round is decided. Tune adds 200 trials, and more as these start: which runs it has
yet to add is known from `cost`.

Four of Tune's internals are relied on, as HyperBand, ResourceChangingScheduler and PBT do (Ray is pinned): a PAUSED
trial is started by being returned from choose_trial_to_run, which makes it PENDING until its resources are free;
`is_saving` marks a trial on its way to PAUSED; a trial that does not run may be given other resources, or another
config.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray import cloudpickle, exceptions
from ray.tune import PlacementGroupFactory
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from hamner.runs.stopping import StopRequest
from hamner.runs.trouble import machine_trouble
from tournament.bracket import Bracket, Outcome, Run
from tournament.learning_rate_probe import PROBE_ROUND
from tournament.outcome import LOST_NODE
from tournament.start_queue import StartQueue

IDLE = (Trial.PENDING, Trial.PAUSED)
FAILURE = re.compile(r"^Failure # \d+ \(occurred at .*\)$", re.MULTILINE)  # in what Tune writes of a trial's failures


@dataclass
class Hooks:
    """What the scheduler needs beside the bracket."""

    cost: Mapping[Run, float]  # expected time of each run that the Tuner plays: the longest starts first
    resources: Callable[[Run, float | None], dict[str, float]]  # of a run, with a share of the card or its own
    record: Callable[[Run, Outcome, bool], None]  # called before any action an outcome causes
    record_rate: Callable[[Run, dict[str, Any]], None]  # the same for the result of a learning-rate search
    use_fresh_processes: bool = False  # a run's next round starts in a new process
    stop: StopRequest = field(default_factory=StopRequest)  # of the league
    trouble: Callable[[bool], str | None] = lambda has_died: None  # of the folder; of Ray, once a process has died
    saved: dict[Run, int] = field(default_factory=dict)  # runs that have left at a checkpoint, with its step
    restarted: Callable[[Run, str], None] = lambda run, reason: None  # a run's process ended, and is started again
    say: Callable[[Run, str], None] = lambda run, line: None  # what a run's process has to say of its files


class EliminationScheduler(TrialScheduler):
    """Plays one bracket: all trials of a Tuner, one a run."""

    def __init__(self, bracket: Bracket, hooks: Hooks) -> None:
        super().__init__()
        self._bracket, self._hooks = bracket, hooks
        self._queue = StartQueue(bracket, hooks.cost)
        self._trials: dict[Run, Trial] = {}
        self._least_share = math.inf  # of a card, that any trial needs
        self._failed: list[Run] = []  # by the last report; it may be parked
        self._shares: dict[Run, float] = {}  # of a card, requested by runs that ran out of memory
        self._lost: dict[Run, str] = {}  # runs that Tune has given up, and why
        self._ended: set[Run] = set()  # were told to stop

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles it to restore it; ours starts from the ledger

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        return True

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Tune has a trial to play: at its beginning, and again where it starts one whose process has ended."""
        run = _run(trial)
        if run in self._ended:  # its process died before it was told to stop
            tune_controller.stop_trial(trial)
            return
        self._trials[run] = trial
        self._least_share = min(self._least_share, _share(trial))
        self._queue.add(run)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        answer = self._after_report(tune_controller, trial, result)
        if answer == TrialScheduler.STOP:
            self._ended.add(_run(trial))
        return answer

    def _after_report(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """What a run does after a report."""
        run = _run(trial)
        for line in result.get("said", "").splitlines():
            self._hooks.say(run, line)
        if result.get("stopped"):
            self._hooks.saved[run] = result["step"]
            return TrialScheduler.STOP
        if "probed" in result:
            self._write(lambda: self._hooks.record_rate(run, json.loads(result["probed"])))
            if result.get("failure"):
                self._report(tune_controller, run, 0, _outcome(result))
            return TrialScheduler.STOP
        if result.get("wants_share"):
            self._shares[run] = result["wants_share"]
            return TrialScheduler.PAUSE
        if result["round"] == PROBE_ROUND:
            return TrialScheduler.STOP if self._hooks.stop else TrialScheduler.CONTINUE
        if result.get("round_done") or result.get("failure"):
            self._report(tune_controller, run, result["round"], _outcome(result))
        elif self._bracket.next_round(run) is not None and not self._hooks.stop:
            return TrialScheduler.CONTINUE  # in the middle of a round
        return self._answer(run, result["round"] + 1 if result.get("round_done") else None)

    def _answer(self, run: Run, following: int | None) -> str:
        """What a run does that has just come to the end of a round, or that is out.

        following: the round it would go on with by itself; any other it is told by being paused and started.
        """
        if self._hooks.stop or self._bracket.is_out(run) or self._needs_another_tuner():
            return TrialScheduler.STOP
        here = self._bracket.next_round(run)
        if here is None or here != following or self._hooks.use_fresh_processes:
            return TrialScheduler.PAUSE
        first = next((other for other in self._idle() if other != run), None)
        is_behind = first is not None and self._queue.priority(first) < (here, -self._hooks.cost[run])
        return TrialScheduler.PAUSE if is_behind else TrialScheduler.CONTINUE

    def _idle(self) -> Iterator[Run]:
        """Idle runs that may train now: those of the earliest round first, there the longest."""
        return (run for run in self._queue if self._trials[run].status in IDLE)

    def _needs_another_tuner(self) -> bool:
        """Whether runs have to train that this Tuner does not have: further seeds."""
        return self._queue.waits_for_others()

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        if trial.status != Trial.PENDING and trial.should_recover():
            # Tune starts it again from its newest checkpoint; not where it did not even start, or was told to stop
            if _run(trial) not in self._ended:
                self._hooks.restarted(_run(trial), failure_reason(trial))
            return
        reason = failure_reason(trial)
        trouble = machine_trouble(trial_error(trial) or "") or self._hooks.trouble(not reason.startswith("crash"))
        if trouble or self._hooks.stop:
            self._hooks.stop.make(trouble or "")
            self._stop_parked(tune_controller)
            return
        self._lost[_run(trial)] = reason
        self._fail_lost_runs(tune_controller)

    def _fail_lost_runs(self, tune_controller: Any) -> None:
        """Report a failure for each lost run that a round waits for.

        One that was lost while it searched for a learning rate fails with all seeds of its contestant, for which it
        searched: they would compete at a rate that nobody has chosen.
        """
        while self._lost and (lost := [run for run in self._bracket.waiting_for() if run in self._lost]):
            outcome = Outcome(None, failure="error", reason=self._lost[lost[0]])
            is_search = self._trials[lost[0]].config["row"].get("round") == PROBE_ROUND
            waiting = self._bracket.waiting_for() if is_search else lost[:1]
            for run in waiting:
                index = self._bracket.next_round(run)
                if run.contestant == lost[0].contestant and index is not None:
                    self._report(tune_controller, run, index, outcome)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        pass

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        pass

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Of the idle runs that may train now those of the earliest round, of these the longest."""
        if self._hooks.stop:
            self._stop_parked(tune_controller)
            return None
        self._fail_lost_runs(tune_controller)
        run = self._first_that_may_fit(self._idle())
        if run is None:
            return None
        trial = self._trials[run]
        if trial.status == Trial.PAUSED:
            if run in self._shares:
                trial.update_resources(PlacementGroupFactory([self._hooks.resources(run, self._shares.pop(run))]))
                self._least_share = min(self._least_share, _share(trial))
            if trial.config["row"].get("round") != PROBE_ROUND:  # a search goes on as it was
                self._hand_over(trial, self._bracket.next_rounds()[run])
        return trial

    def _hand_over(self, trial: Trial, index: int) -> None:
        """Write into a trial's row which round it plays when it starts, and the held-out rows at its end."""
        told = {"round": index, "factor": self._bracket.rounds[index].factor, "waiting": False}
        trial.set_config({"row": trial.config["row"] | told})

    def _first_that_may_fit(self, runs: Iterable[Run]) -> Run | None:
        """The first of these idle runs; while it waits for its resources, the first paused one that needs less.

        A run that was named waits as PENDING, and Tune starts it as soon as it fits.
        """
        first, least = None, math.inf  # share of a card that a waiting run needs
        for run in runs:
            first = run if first is None else first
            share = _share(self._trials[run])
            if self._trials[run].status == Trial.PAUSED and share < least:
                return run
            least = min(least, share)
            if least <= self._least_share:
                break  # none needs less
        return first

    def debug_string(self) -> str:
        return f"round {self._bracket.round + 1}, waiting for {', '.join(map(str, self._bracket.waiting_for()))}"

    def _report(self, tune_controller: Any, run: Run, index: int, outcome: Outcome) -> None:
        """Report an outcome to the bracket, record it, then stop the trials that are out and do not run."""
        is_decided = self._bracket.report(run, index, outcome)
        self._write(lambda: self._hooks.record(run, outcome, is_decided))
        is_last = self._needs_another_tuner() or bool(self._hooks.stop)
        for other in self._trials if is_last or is_decided else self._failed:
            trial = self._trials[other]
            if other != run and _is_parked(trial) and (is_last or self._bracket.is_out(other)):
                tune_controller.stop_trial(trial)
        self._failed = [run] if outcome.failure and run in self._trials else []

    def _write(self, write: Callable[[], None]) -> None:
        """Record what was reported; where the machine does not let it be written, nothing may follow from it."""
        try:
            write()
        except Exception as error:
            trouble = machine_trouble(error)
            if trouble is None:
                raise
            self._hooks.stop.make(trouble)

    def _stop_parked(self, tune_controller: Any) -> None:
        """Stop the trials that do not run; those that run save and report that they have."""
        for trial in self._trials.values():
            if _is_parked(trial):
                tune_controller.stop_trial(trial)


def _share(trial: Trial) -> float:
    """Share of a card that a trial needs."""
    return float(trial.placement_group_factory.required_resources.get("GPU", 0.0))


def _is_parked(trial: Trial) -> bool:
    return trial.status in (Trial.PAUSED, Trial.PENDING) or trial.is_saving


def _run(trial: Trial) -> Run:
    row = trial.config["row"]
    return Run(row["contestant"], int(row["seed"]))


def _outcome(result: dict[str, Any]) -> Outcome:
    """The outcome in a report of a run that came to the end of a round or failed."""
    if result.get("failure"):
        return Outcome(None, failure=result["failure"], reason=result.get("reason", ""))
    return Outcome(**json.loads(result["outcome"]))


def trial_error(trial: Trial) -> BaseException | None:
    """What a trial's process ended with the last time, as Tune has kept it; else why that cannot be read.

    Of what is neither an error of its task nor of its actor, such as the end that Ray's memory monitor makes of it,
    Tune keeps the text alone, and the error of the time before.
    """
    error, text = _pickled_error(trial), _text_of_error(trial)
    if text and (error is None or (machine_trouble(text) and not machine_trouble(error))):
        return exceptions.RayError(text)
    return error


def _text_of_error(trial: Trial) -> str:
    """What Tune has written of the last time that a trial's process ended; "" where nothing can be read."""
    path = getattr(trial, "error_file", None)
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace") if path else ""
    except OSError:
        return ""
    return FAILURE.split(text)[-1].strip()


def _pickled_error(trial: Trial) -> BaseException | None:
    try:
        error = trial.get_pickled_error()  # in the storage, where a full disk cuts it short
        if error is not None:
            return error
    except Exception as unreadable:
        error = unreadable
    try:
        path = trial.pickled_error_file  # where the driver runs; it is copied only with Tune's own state
        return cloudpickle.loads(Path(path).read_bytes()) if path and Path(path).is_file() else error
    except Exception as unreadable:
        return error or unreadable


def failure_reason(trial: Trial) -> str:
    """Why a run's process ended again and again: a crash in it, the process killed, or its node lost."""
    error = trial_error(trial)
    cause = getattr(error, "cause", None) or error
    lines = [line for line in str(cause).splitlines() if line.strip()] or ["no reason given"]
    if isinstance(cause, exceptions.NodeDiedError) or "node has died" in str(cause):
        return f"{LOST_NODE}: {lines[0][:200]}"
    if isinstance(cause, exceptions.RayTaskError):
        return f"crash: {lines[-1][:200]}"
    if isinstance(cause, exceptions.RayError):
        return f"its process died: {lines[0][:200]}"
    return f"crash: {type(cause).__name__}: {lines[0][:200]}"
