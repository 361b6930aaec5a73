"""Ray Tune scheduler: through the real Tuner, and alone with a stand-in for Tune; the losses are known beforehand."""

import json
import os
import pickle
import signal
import time
from pathlib import Path

import pytest
import ray
from fakes import FakeTrial, FakeTune, play
from ray.core.generated.common_pb2 import ActorDiedErrorContext

from tournament.bracket import Bracket, Outcome, Rules, Run
from tournament.scheduler import EliminationScheduler, Hooks, failure_reason, trial_error

NAMES = [f"v{i}" for i in range(10)]


@pytest.fixture(scope="module")
def cluster():
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "0")


def _rows(folder, **changes):
    """Contestant i loses i nats a token; number 0 diverges, number 7 is killed once."""
    rows = [
        {"contestant": name, "seed": 0, "round": 0, "folder": str(folder), "losses": [float(i + 1)] * 3}
        for i, name in enumerate(NAMES)
    ]
    rows[0]["losses"] = ["nan"] * 3
    rows[7]["die"] = 2
    return rows


def _steps(folder, name):
    return (folder / f"steps-{name}-0").read_text().split()


@pytest.mark.parametrize("reuse", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_ten_five_three_one_with_a_killed_process_and_a_nan(cluster, tmp_path, reuse):
    bracket, records = Bracket(Rules([5, 3, 1]), dict.fromkeys(NAMES, 1.0)), []
    play(bracket, _rows(tmp_path), tmp_path, reuse=reuse, record=lambda *facts: records.append(facts))
    assert (tmp_path / "killed-v7-0").exists()
    assert [sorted(round_.survivors) for round_ in bracket.rounds] == [
        ["v1", "v2", "v3", "v4", "v5"],
        ["v1", "v2", "v3"],
        ["v1"],
    ]
    assert bracket.failure(0, "v0").failure == "diverged"
    assert bracket.winner() == "v1"
    assert len(records) == 10 + 5 + 3
    # no step was trained twice, survivors trained all and the others stopped at their round's end
    assert _steps(tmp_path, "v1") == list("123456")
    assert _steps(tmp_path, "v9") == list("12")


@pytest.mark.mended("a run that was just cut trained again from its start when its process died while that was written")
def test_one_that_is_cut_is_not_started_again_where_its_process_dies_meanwhile(cluster, tmp_path):
    bracket, killed = Bracket(Rules([3, 1]), dict.fromkeys(NAMES[1:7], 1.0)), []

    def record(run, outcome, is_decided):
        if is_decided and bracket.is_out(run):
            os.kill(int((tmp_path / f"process-{run.contestant}-0").read_text()), signal.SIGKILL)
            killed.append(run)
            time.sleep(1)  # Ray hears of it

    play(bracket, _rows(tmp_path)[1:7], tmp_path, record=record)
    assert bracket.winner() == "v1" and killed
    steps = {name: "".join(_steps(tmp_path, name)) for name in NAMES[1:7]}
    assert steps == {"v1": "1234", "v2": "1234", "v3": "1234", "v4": "12", "v5": "12", "v6": "12"}


def test_when_seeds_join_the_tuner_ends_and_another_one_plays_them(cluster, tmp_path):
    names, seeds = NAMES[:3], {0: 0, 1: 0, 2: 1}
    bracket = Bracket(Rules([2, 1]), dict.fromkeys(names, 1.0), dict.fromkeys(names, seeds))
    rows = [
        {"contestant": n, "seed": s, "round": 0, "folder": str(tmp_path), "losses": [x + 0.1 * s, x + 0.1 * s]}
        for n, x in zip(names, (1.0, 1.1, 9.0), strict=True)
        for s in (0, 1)
    ]
    play(bracket, rows, tmp_path)
    assert not bracket.is_over() and bracket.rounds[0].survivors == names[:2]
    added = bracket.waiting_for()
    assert {run for run in added if run.seed == 2} == {Run(n, 2) for n in names[:2]} and len(added) == 6
    (tmp_path / "ray").rename(tmp_path / "ray1")
    more = [
        {"contestant": run.contestant, "seed": run.seed, "round": 1, "folder": str(tmp_path), "losses": [0, 1.0 + k]}
        for k, run in enumerate(added)
    ]
    play(bracket, more, tmp_path)
    assert bracket.is_over() and bracket.winner() == "v0" and len(bracket.losses(1, "v0")) == 3
    assert (tmp_path / "steps-v0-2").read_text().split() == list("1234")  # from the start to the end of round 2


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ray.exceptions.NodeDiedError("the node died"), "lost node: "),
        (
            ray.exceptions.ActorDiedError(
                ActorDiedErrorContext(
                    actor_id=bytes(16), error_message="The actor died because its node has died. Node Id: 12"
                )
            ),
            "lost node: ",
        ),
        (ray.exceptions.ActorDiedError(), "its process died: "),
        (ray.exceptions.RayTaskError("step", "Traceback ...\nKeyError: 'x'", KeyError("x")), "crash: KeyError: 'x'"),
        (KeyError("x"), "crash: "),
    ],
)
def test_a_crash_a_dead_process_and_a_lost_node_have_reasons_of_their_own(error, reason):
    class Ended:
        def get_pickled_error(self):
            return error

    assert failure_reason(Ended()).startswith(reason)


def _trials(**statuses):
    """A trial of each contestant."""
    return {name: FakeTrial(Run(name, 0), status) for name, status in statuses.items()}


def _scheduler(bracket, trials):
    """A scheduler with these trials, and where it records learning rates."""
    rates = {}
    hooks = Hooks(
        {trial.run: 1.0 for trial in trials.values()},
        lambda run, share: {},
        lambda *facts: None,
        lambda run, search: rates.update({run.contestant: search}),
    )
    scheduler = EliminationScheduler(bracket, hooks)
    for trial in trials.values():
        scheduler.on_trial_add(None, trial)
    return scheduler, rates


def _round_end(index, loss):
    return {"round": index, "round_done": True, "outcome": json.dumps({"heldout_loss": loss})}


def test_a_run_that_tune_gave_up_in_its_pause_fails_as_soon_as_its_round_begins():
    bracket = Bracket(Rules([2, 1]), dict.fromkeys("abc", 1.0))
    trials = _trials(a="RUNNING", b="RUNNING", c="RUNNING")
    scheduler, _ = _scheduler(bracket, trials)
    tune = FakeTune()
    assert scheduler.on_trial_result(tune, trials["a"], _round_end(0, 1.0)) == "PAUSE"
    trials["a"].status = "RUNNING"  # it dies for the last time in the pause
    scheduler.on_trial_error(tune, trials["a"])
    trials["a"].status = "ERROR"
    scheduler.on_trial_result(tune, trials["b"], _round_end(0, 2.0))
    scheduler.on_trial_result(tune, trials["c"], _round_end(0, 3.0))
    assert bracket.rounds[0].survivors == ["a", "b"]
    scheduler.choose_trial_to_run(tune)  # Tune asks all the time
    assert bracket.failure(1, "a").reason.startswith("crash: KeyError")
    assert [run.contestant for run in bracket.waiting_for()] == ["b"]


def test_trials_that_are_out_are_stopped_even_before_they_start():
    bracket = Bracket(Rules([1]), dict.fromkeys("ab", 1.0))
    trials = _trials(a="RUNNING", b="PENDING")
    scheduler, _ = _scheduler(bracket, trials)
    bracket.report(Run("b", 0), 0, Outcome(2.0))  # known before a resume
    tune = FakeTune()
    assert scheduler.on_trial_result(tune, trials["a"], _round_end(0, 1.0)) == "STOP"
    assert tune.stopped == ["b"]


def test_a_probe_that_fails_takes_its_contestant_out():
    bracket = Bracket(Rules([1]), dict.fromkeys("ab", 1.0))
    trials = _trials(a="RUNNING", b="RUNNING")
    scheduler, rates = _scheduler(bracket, trials)
    search = json.dumps({"tried": {}, "learning_rate": None})
    result = {"round": -1, "failure": "oom", "reason": "full", "probed": search}
    assert scheduler.on_trial_result(FakeTune(), trials["a"], result) == "STOP"
    assert bracket.failure(0, "a").failure == "oom" and rates["a"]["learning_rate"] is None
    assert not bracket.is_over()


@pytest.mark.mended("after a crashed search the other seeds competed at a rate that nobody had chosen")
def test_a_search_that_is_lost_takes_all_seeds_of_its_contestant_and_is_retried_with_them():
    bracket = Bracket(Rules([1]), dict.fromkeys("ab", 1.0), {name: {0: 0, 1: 0} for name in "ab"})
    trials = _trials(a="RUNNING", b="RUNNING")
    trials["a"].config["row"]["round"] = -1
    scheduler, _ = _scheduler(bracket, trials)
    scheduler.on_trial_error(FakeTune(), trials["a"])
    assert {run.contestant for run in bracket.waiting_for()} == {"b"}
    assert bracket.failure(0, "a").failure == "error"
    assert set(bracket.reopen(retry_errors=True)) == {Run("a", 0), Run("a", 1)}


class _Full(FakeTrial):
    """A trial whose process has ended for the last time, with an error of the machine."""

    def get_pickled_error(self):
        return OSError(28, "No space left on device")


@pytest.mark.mended("cases/commands/enospc_rule.py")
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_trouble_of_the_machine_is_no_verdict(mode):
    bracket = Bracket(Rules([2, 1], mode=mode), dict.fromkeys("abcd", 1.0))
    trials = _trials(a="RUNNING", b="RUNNING", c="PAUSED", d="PENDING")
    trials["a"] = _Full(Run("a", 0), "RUNNING")
    scheduler, _ = _scheduler(bracket, trials)
    tune = FakeTune()
    scheduler.on_trial_error(tune, trials["a"])
    trials["a"].status = "ERROR"
    assert scheduler._hooks.stop and "No space left" in scheduler._hooks.stop.trouble
    assert sorted(tune.stopped) == ["c", "d"]
    # what trains comes to its end and is recorded, but nothing follows from it
    assert scheduler.on_trial_result(tune, trials["b"], _round_end(0, 9.0)) == "STOP"
    assert scheduler.choose_trial_to_run(tune) is None
    assert bracket.failure(0, "a") is None and not bracket.is_over() and bracket.winner() is None
    again = Bracket(bracket.rules, bracket.flops)
    again.load_state(bracket.state())
    assert Run("a", 0) in again.waiting_for() and Run("b", 0) not in again.rounds[1].outcomes


@pytest.mark.mended("a lost mount")
def test_a_process_that_dies_without_a_word_where_nothing_can_be_written_is_no_verdict():
    bracket = Bracket(Rules([1]), dict.fromkeys("ab", 1.0))
    trials = _trials(a="RUNNING", b="RUNNING")
    scheduler, _ = _scheduler(bracket, trials)
    scheduler._hooks.trouble = lambda has_died: "results/x cannot be written"
    scheduler.on_trial_error(FakeTune(), trials["a"])  # KeyError: its own, as far as one can see
    assert scheduler._hooks.stop.trouble == "results/x cannot be written" and bracket.failure(0, "a") is None


@pytest.mark.mended("a full disk cuts Tune's own files short")
def test_what_a_process_ended_with_is_read_where_the_driver_runs_if_the_storage_has_but_half_of_it(tmp_path):
    class Cut(FakeTrial):
        pickled_error_file = str(tmp_path / "error.pkl")

        def get_pickled_error(self):
            raise EOFError("Ran out of input")

    trial = Cut(Run("a", 0))
    assert isinstance(trial_error(trial), EOFError)
    Path(Cut.pickled_error_file).write_bytes(pickle.dumps(OSError(28, "No space left on device")))
    assert trial_error(trial).errno == 28


@pytest.mark.mended("memory that ran out was a crash without a name")
def test_a_process_that_rays_memory_monitor_has_ended_is_no_verdict_and_its_reason_is_said(tmp_path):
    """Tune keeps an error that is neither of a task nor of an actor as text alone, and the one before it."""
    low = "1 worker(s) were killed due to the node running low on memory.\nMemory on the node was 9.9GB"

    class Ended(FakeTrial):
        error_file = str(tmp_path / "error.txt")
        pickled = None

        def get_pickled_error(self):
            return self.pickled

    trial = Ended(Run("a", 0))
    first = "Failure # 1 (occurred at 2026-11-30_10-00-00)\nKeyError: 'x'\n"
    Path(Ended.error_file).write_text(f"{first}Failure # 2 (occurred at 2026-11-30_10-00-09)\n{low}\n")
    for Ended.pickled in (None, KeyError("x")):
        assert failure_reason(trial) == f"its process died: {low.splitlines()[0]}"
    bracket = Bracket(Rules([1]), dict.fromkeys("ab", 1.0))
    scheduler, _ = _scheduler(bracket, {"a": trial, "b": _trials(b="RUNNING")["b"]})
    scheduler.on_trial_error(FakeTune(), trial)
    assert "low on memory" in scheduler._hooks.stop.trouble and bracket.failure(0, "a") is None
    Path(Ended.error_file).write_text(first)  # of the error that is kept whole
    assert failure_reason(trial) == "crash: KeyError: 'x'"


@pytest.mark.mended("a full disk where the ledger lies")
def test_nothing_follows_from_an_outcome_that_could_not_be_written():
    bracket = Bracket(Rules([1, 1]), dict.fromkeys("ab", 1.0))
    trials = _trials(a="RUNNING", b="PAUSED")
    bracket.report(Run("b", 0), 0, Outcome(2.0))
    scheduler, _ = _scheduler(bracket, trials)

    def full(*_):
        raise OSError(28, "No space left on device")

    scheduler._hooks.record = full
    tune = FakeTune()
    assert scheduler.on_trial_result(tune, trials["a"], _round_end(0, 1.0)) == "STOP"
    assert scheduler._hooks.stop.trouble and tune.stopped == ["b"]
    assert scheduler.choose_trial_to_run(tune) is None


def test_contestants_that_have_saved_for_a_stop_are_counted_and_the_others_not_started():
    bracket = Bracket(Rules([1]), dict.fromkeys("ab", 1.0))
    trials = _trials(a="RUNNING", b="PENDING")
    scheduler, _ = _scheduler(bracket, trials)
    scheduler._hooks.stop.make()
    tune = FakeTune()
    assert scheduler.choose_trial_to_run(tune) is None and tune.stopped == ["b"]
    assert scheduler.on_trial_result(tune, trials["a"], {"round": 0, "step": 7, "stopped": True}) == "STOP"
    assert scheduler._hooks.saved == {Run("a", 0): 7}


@pytest.mark.mended("whether Tune starts a run again was read off the order of two of its lines")
@pytest.mark.parametrize("status", ["RUNNING", "ERROR"])
def test_a_run_that_tune_starts_again_has_not_failed(status):
    bracket = Bracket(Rules([1]), dict.fromkeys("ab", 1.0))
    trials = _trials(a=status, b="RUNNING")
    trials["a"].retries = 1
    scheduler, _ = _scheduler(bracket, trials)
    restarted = []
    scheduler._hooks.restarted = lambda *facts: restarted.append(facts)
    scheduler.on_trial_error(FakeTune(), trials["a"])
    assert bracket.failure(0, "a") is None and restarted == [(Run("a", 0), "crash: KeyError: 'x'")]


@pytest.mark.parametrize("report", [{"round": 0, "round_done": True}, {"round": -1, "probed": "{}"}, {"stopped": True}])
def test_one_that_was_told_to_stop_is_not_said_to_start_again_and_stops(report):
    bracket = Bracket(Rules([1]), dict.fromkeys("ab", 1.0))
    trials = _trials(a="RUNNING", b="RUNNING")
    scheduler, _ = _scheduler(bracket, trials)
    restarted, tune = [], FakeTune()
    scheduler._hooks.restarted = lambda *facts: restarted.append(facts)
    bracket.report(Run("b", 0), 0, Outcome(1.0))
    outcome = json.dumps(vars(Outcome(2.0)))
    assert scheduler.on_trial_result(tune, trials["a"], report | {"step": 1, "outcome": outcome}) == "STOP"
    trials["a"].retries = 1
    scheduler.on_trial_error(tune, trials["a"])
    trials["a"].status = "PENDING"
    scheduler.on_trial_add(tune, trials["a"])
    assert restarted == [] and tune.stopped == ["a"]


@pytest.mark.parametrize(("status", "retries"), [("RUNNING", 0), ("PENDING", 1)])
def test_a_run_that_crashed_too_often_or_could_not_start_has_failed(status, retries):
    bracket = Bracket(Rules([1]), dict.fromkeys("ab", 1.0))
    trials = _trials(a=status, b="RUNNING")
    trials["a"].retries = retries
    scheduler, _ = _scheduler(bracket, trials)
    scheduler.on_trial_error(FakeTune(), trials["a"])
    assert bracket.failure(0, "a").failure == "error"


@pytest.mark.mended("a paused run that does not fit on the card holds up smaller ones")
def test_while_a_paused_run_waits_for_its_part_of_the_card_a_smaller_one_starts():
    names = ["large", "same", "small", "smaller"]
    bracket = Bracket(Rules([4, 1]), dict.fromkeys([*names, "out"], 1.0))
    for number, name in enumerate(bracket.flops):
        bracket.report(Run(name, 0), 0, Outcome(1.0 + number))
    shares = dict(zip(names, (0.6, 0.6, 0.3, 0.2), strict=True))
    trials = {name: FakeTrial(Run(name, 0), "PAUSED", gpu=share) for name, share in shares.items()}
    hooks = Hooks({Run(n, 0): cost for n, cost in shares.items()}, lambda *_: {}, lambda *_: None, lambda *_: None)
    scheduler = EliminationScheduler(bracket, hooks)
    named = []
    for trial in trials.values():
        scheduler.on_trial_add(None, trial)
    for _ in range(4):
        trial = scheduler.choose_trial_to_run(FakeTune())
        named.append(trial.run.contestant)
        trial.status = "PENDING"  # as Tune marks it until its resources are free; here they never are
    assert named == ["large", "small", "smaller", "large"]


def test_a_search_that_was_paused_for_more_of_the_card_goes_on_with_its_search():
    bracket = Bracket(Rules([1]), dict.fromkeys("ab", 1.0))
    trials = _trials(a="PAUSED", b="RUNNING")
    trials["a"].config["row"]["round"] = -1
    scheduler, _ = _scheduler(bracket, trials)
    assert scheduler.choose_trial_to_run(FakeTune()).config["row"]["round"] == -1


@pytest.mark.mended("a run inferred from a file whether it may go on")
def test_a_run_is_told_its_round_and_the_rows_to_look_at_when_it_is_started():
    """Two contestants whose documents say little: more held-out rows are asked for."""
    bracket = Bracket(
        Rules([1, 1], rows=8, max_factor=4), dict.fromkeys("ab", 1.0), {name: {0: 0, 1: 0} for name in "ab"}
    )
    trials = {run: FakeTrial(run, "RUNNING") for run in (Run("a", 0), Run("b", 0), Run("a", 1), Run("b", 1))}
    hooks = Hooks(dict.fromkeys(trials, 1.0), lambda *_: {}, lambda *_: None, lambda *_: None)
    scheduler, tune = EliminationScheduler(bracket, hooks), FakeTune()
    for trial in trials.values():
        scheduler.on_trial_add(None, trial)
    answers = []
    for number, (run, trial) in enumerate(trials.items()):
        nats = [9.0, 1.0] if run.contestant == "a" else [1.0, 9.0]
        outcome = {
            "heldout_loss": 5.0 + 0.01 * number,
            "rows": 8,
            "documents": {"s": {"share": 1.0, "tokens": [4] * 8, "nats": nats * 4}},
        }
        answers.append(
            scheduler.on_trial_result(tune, trial, {"round": 0, "round_done": True, "outcome": json.dumps(outcome)})
        )
        trial.status = "PAUSED"
    assert bracket.rounds[0].factor == 2 and bracket.round == 0
    assert answers == ["PAUSE"] * 4  # also the last, which would go on into round 2
    for _ in trials:
        trial = scheduler.choose_trial_to_run(tune)
        row = trial.config["row"]
        assert (row["round"], row["factor"], row["waiting"]) == (0, 2, False)
        trial.status = "RUNNING"
