"""The scheduler through the real Tuner, with contestants whose losses are known."""

import json

import pytest
import ray
from fakes import play
from ray.core.generated.common_pb2 import ActorDiedErrorContext

from tournament.bracket import Bracket, Outcome, Rules, Run
from tournament.scheduler import EliminationScheduler, Plan, _reason

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
    bracket, told = Bracket(Rules([5, 3, 1]), dict.fromkeys(NAMES, 1.0)), []
    play(bracket, _rows(tmp_path), tmp_path, reuse=reuse, told=told)
    assert (tmp_path / "killed-v7-0").exists()
    assert [sorted(played.kept) for played in bracket.rounds] == [
        ["v1", "v2", "v3", "v4", "v5"],
        ["v1", "v2", "v3"],
        ["v1"],
    ]
    assert bracket.failure(0, "v0").failure == "diverged"
    assert bracket.winner() == "v1"
    assert len(told) == 10 + 5 + 3
    # nobody trained a step twice, survivors trained all and the cut stopped at their round's end
    assert _steps(tmp_path, "v1") == list("123456")
    assert _steps(tmp_path, "v9") == list("12")


def test_twins_run_to_the_end_though_their_contestant_is_cut(cluster, tmp_path):
    twins = [Run("v9", 1), Run("v9", 2)]
    bracket = Bracket(Rules([2, 1]), dict.fromkeys(NAMES, 1.0), twins=twins)
    rows = [
        *_rows(tmp_path),
        *({**_rows(tmp_path)[9], "seed": run.seed, "losses": [9.0 + run.seed] * 3} for run in twins),
    ]
    play(bracket, rows, tmp_path)
    assert bracket.winner() == "v1"
    assert [bracket.ruler(0).df, bracket.ruler(1).df] == [2, 1]
    assert bracket.ruler(1).sd == pytest.approx(0.5**0.5)
    assert (tmp_path / "steps-v9-2").read_text().split() == list("1234")


def test_when_more_seeds_are_asked_for_the_tuner_ends_and_another_one_goes_on(cluster, tmp_path):
    names = NAMES[:3]
    bracket = Bracket(Rules([1], contested="seeds", max_seeds=2), dict.fromkeys(names, 1.0))
    first = [
        {"contestant": n, "seed": 0, "round": 0, "folder": str(tmp_path), "losses": [x]}
        for n, x in zip(names, (1.0, 1.1, 9.0), strict=True)
    ]
    play(bracket, first, tmp_path)
    assert not bracket.over()
    asked = bracket.waiting_for()
    assert Run("v0", 1) in asked and Run("v1", 1) in asked
    more = [
        {**row, "seed": 1, "losses": [row["losses"][0] + 0.5]} for row in first if Run(row["contestant"], 1) in asked
    ]
    (tmp_path / "ray").rename(tmp_path / "ray1")
    play(bracket, more, tmp_path)
    assert bracket.over() and bracket.winner() == "v0"
    assert bracket.loss(0, "v0") == pytest.approx(1.25)


@pytest.mark.parametrize(
    ("error", "told"),
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
def test_a_crash_a_dead_process_and_a_lost_node_are_told_apart(error, told):
    class Ended:
        def get_pickled_error(self):
            return error

    assert _reason(Ended()).startswith(told)


class _Parked:
    """As much of a trial as the scheduler looks at."""

    def __init__(self, name, status="PAUSED"):
        self.config, self.status, self.is_saving = {"row": {"contestant": name, "seed": 0}}, status, False

    def get_pickled_error(self):
        return KeyError("x")


class _Controller:
    def __init__(self):
        self.stopped = []

    def stop_trial(self, trial):
        trial.status = "TERMINATED"
        self.stopped.append(trial.config["row"]["contestant"])


def _scheduler(bracket, trials):
    rates = {}
    plan = Plan(
        {Run(t.config["row"]["contestant"], 0): 1.0 for t in trials},
        lambda run, share: {},
        lambda *facts: None,
        lambda run, found: rates.update({run.contestant: found}),
    )
    scheduler = EliminationScheduler(bracket, plan)
    for trial in trials:
        scheduler.on_trial_add(None, trial)
    return scheduler, rates


def _done(index, loss):
    return {"round": index, "round_done": True, "outcome": json.dumps({"heldout_loss": loss})}


def test_a_run_that_tune_gave_up_while_it_waited_fails_as_soon_as_it_is_wanted():
    bracket = Bracket(Rules([2, 1]), dict.fromkeys("abc", 1.0))
    trials = {name: _Parked(name, "RUNNING") for name in "abc"}
    scheduler, _ = _scheduler(bracket, trials.values())
    controller = _Controller()
    assert scheduler.on_trial_result(controller, trials["a"], _done(0, 1.0)) == "PAUSE"
    trials["a"].status = "RUNNING"  # it dies for the last time in the pause
    scheduler.on_trial_error(controller, trials["a"])
    trials["a"].status = "ERROR"
    scheduler.on_trial_result(controller, trials["b"], _done(0, 2.0))
    scheduler.on_trial_result(controller, trials["c"], _done(0, 3.0))
    assert bracket.rounds[0].kept == ["a", "b"]
    scheduler.choose_trial_to_run(controller)  # Tune asks all the time
    assert bracket.failure(1, "a").reason.startswith("crash: KeyError")
    assert [run.contestant for run in bracket.waiting_for()] == ["b"]


def test_those_who_are_out_are_stopped_even_before_they_start():
    bracket = Bracket(Rules([1]), dict.fromkeys("ab", 1.0))
    trials = {"a": _Parked("a", "RUNNING"), "b": _Parked("b", "PENDING")}
    scheduler, _ = _scheduler(bracket, trials.values())
    bracket.report(Run("b", 0), 0, Outcome(2.0))  # known before a resume
    controller = _Controller()
    assert scheduler.on_trial_result(controller, trials["a"], _done(0, 1.0)) == "STOP"
    assert controller.stopped == ["b"]


def test_a_probe_that_fails_takes_its_contestant_out():
    bracket = Bracket(Rules([1]), dict.fromkeys("ab", 1.0))
    trials = [_Parked("a", "RUNNING"), _Parked("b", "RUNNING")]
    scheduler, rates = _scheduler(bracket, trials)
    told = {"round": -1, "failure": "oom", "reason": "full", "probed": json.dumps({"tried": {}, "learning_rate": None})}
    assert scheduler.on_trial_result(_Controller(), trials[0], told) == "STOP"
    assert bracket.failure(0, "a").failure == "oom" and rates["a"]["learning_rate"] is None
    assert not bracket.over()
