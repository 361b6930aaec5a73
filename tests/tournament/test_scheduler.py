"""The scheduler through the real Tuner, with contestants whose losses are known."""

import pytest
import ray
from fakes import play
from ray.core.generated.common_pb2 import ActorDiedErrorContext

from tournament.rounds import Bracket, Rules, Run
from tournament.scheduler import _reason

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
    rows = [{"contestant": name, "seed": 0, "round": 0, "folder": str(folder), "losses": [float(i + 1)] * 3}
            for i, name in enumerate(NAMES)]
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
        ["v1", "v2", "v3", "v4", "v5"], ["v1", "v2", "v3"], ["v1"]]
    assert bracket.failure(0, "v0").failure == "diverged"
    assert bracket.winner() == "v1"
    assert len(told) == 10 + 5 + 3
    # nobody trained a step twice, survivors trained all and the cut stopped at their round's end
    assert _steps(tmp_path, "v1") == list("123456")
    assert _steps(tmp_path, "v9") == list("12")


def test_twins_run_to_the_end_though_their_contestant_is_cut(cluster, tmp_path):
    twins = [Run("v9", 1), Run("v9", 2)]
    bracket = Bracket(Rules([2, 1]), dict.fromkeys(NAMES, 1.0), twins=twins)
    rows = [*_rows(tmp_path), *({**_rows(tmp_path)[9], "seed": run.seed, "losses": [9.0 + run.seed] * 3}
                                for run in twins)]
    play(bracket, rows, tmp_path)
    assert bracket.winner() == "v1"
    assert [bracket.ruler(0).df, bracket.ruler(1).df] == [2, 1]
    assert bracket.ruler(1).sd == pytest.approx(0.5**0.5)
    assert (tmp_path / "steps-v9-2").read_text().split() == list("1234")


def test_when_more_seeds_are_asked_for_the_tuner_ends_and_another_one_goes_on(cluster, tmp_path):
    names = NAMES[:3]
    bracket = Bracket(Rules([1], contested="seeds", max_seeds=2), dict.fromkeys(names, 1.0))
    first = [{"contestant": n, "seed": 0, "round": 0, "folder": str(tmp_path), "losses": [x]}
             for n, x in zip(names, (1.0, 1.1, 9.0), strict=True)]
    play(bracket, first, tmp_path)
    assert not bracket.over()
    asked = bracket.waiting_for()
    assert Run("v0", 1) in asked and Run("v1", 1) in asked
    more = [{**row, "seed": 1, "losses": [row["losses"][0] + 0.5]} for row in first
            if Run(row["contestant"], 1) in asked]
    (tmp_path / "ray").rename(tmp_path / "ray1")
    play(bracket, more, tmp_path)
    assert bracket.over() and bracket.winner() == "v0"
    assert bracket.loss(0, "v0") == pytest.approx(1.25)


@pytest.mark.parametrize(("error", "told"), [
    (ray.exceptions.NodeDiedError("the node died"), "lost node: "),
    (ray.exceptions.ActorDiedError(ActorDiedErrorContext(
        actor_id=bytes(16), error_message="The actor died because its node has died. Node Id: 12")), "lost node: "),
    (ray.exceptions.ActorDiedError(), "its process died: "),
    (ray.exceptions.RayTaskError("step", "Traceback ...\nKeyError: 'x'", KeyError("x")), "crash: KeyError: 'x'"),
    (KeyError("x"), "crash: "),
])
def test_a_crash_a_dead_process_and_a_lost_node_are_told_apart(error, told):
    class Ended:
        def get_pickled_error(self):
            return error

    assert _reason(Ended()).startswith(told)
