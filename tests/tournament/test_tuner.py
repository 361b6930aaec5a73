"""Ray Tune (Tuner): how Ray starts, which runs a Tuner plays, and runs that share a card."""

import json
import math
import os
import sys
import time
from pathlib import Path
from typing import ClassVar

import fake_card
import pytest
import ray
from fake_card import OnFakeCard, TrialOnFakeCard
from ray import tune
from rich.console import Console

from hamner.config.errors import BadInput
from hamner.config.load import load_config
from tournament.bracket import Bracket, Outcome, Rules, Run
from tournament.league import League
from tournament.memory_fallbacks import FILE_NAME, fallback_names
from tournament.trial import FOR_TRACKERS
from tournament.tuner import (
    CALLBACKS,
    TUNE_ENVIRONMENT,
    connect,
    disconnect,
    environment,
    first_rounds,
    play_rounds,
    preload_environment,
    tune_callbacks,
    use_first_processes,
)


def _idle_processes():
    """Ray's processes that wait for work, once there are some."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        commands = {int(p.parent.name): p for p in Path("/proc").glob("[0-9]*/cmdline")}
        if idle := [pid for pid, path in commands.items() if _text(path).startswith("ray::IDLE")]:
            return idle
        time.sleep(0.05)
    raise AssertionError("Ray started no process")


def _text(path):
    """The text of a file, empty when it is gone."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


@pytest.mark.end_to_end
@pytest.mark.slow
def test_the_first_processes_of_ray_become_the_trials_and_have_loaded_what_they_need(tmp_path):
    """Else each trial waits until a process of its own has started and loaded everything."""
    from ray.tune.execution.class_cache import _ActorClassCache

    class Trial:
        def here(self):
            return os.getpid(), dict(os.environ), {"tournament.trial", "torch._dynamo"} - set(sys.modules)

    league = League(tmp_path, load_config("smoke", [], "tournament"), Console(quiet=True))
    # Tune would hand AWS_ACCESS_KEY_ID to each trial in a process of its own
    with environment({"AWS_ACCESS_KEY_ID": "one"}):
        before = dict(os.environ)
        slots = connect(league, max_preloaded_cores=10**6)
        try:
            assert slots == ray.cluster_resources()["CPU"]
            for name in ("PYTHONPATH", "MALLOC_TRIM_THRESHOLD_", "RAY_preload_python_modules"):
                assert os.environ.get(name) == before.get(name)  # those are for Ray's processes alone
            first = _idle_processes()
            pid, variables, missing = ray.get(_ActorClassCache().get(Trial).remote().here.remote())
            assert pid in first and not missing
            assert variables["MALLOC_TRIM_THRESHOLD_"] == str(2**34) and variables["AWS_ACCESS_KEY_ID"] == "one"
        finally:
            disconnect()


@pytest.mark.parametrize(("max_cores", "is_loaded"), [(0, False), (10**6, True)])
def test_a_large_machine_preloads_nothing(max_cores, is_loaded):
    """Ray starts a process a core."""
    variables = preload_environment({"runtime_env": {"env_vars": {"A": "1"}}}, "cpu", max_cores)
    assert variables["A"] == "1" and ("RAY_preload_python_modules" in variables) == is_loaded


@pytest.mark.mended("a Ray that keeps the variables of its trials elsewhere")
@pytest.mark.parametrize("name", ["DEFAULT_ENV_VARS", "ENV_VARS_TO_PROPAGATE"])
def test_another_ray_costs_seconds_and_not_the_league(monkeypatch, name):
    from ray.tune.execution import class_cache

    for each in ("DEFAULT_ENV_VARS", "ENV_VARS_TO_PROPAGATE"):
        monkeypatch.setattr(class_cache, each, {"A"} if each.startswith("ENV") else {"A": "1"})
    monkeypatch.delattr(class_cache, name)
    use_first_processes()
    monkeypatch.undo()
    monkeypatch.setattr(class_cache, "DEFAULT_ENV_VARS", {"A": "1"})
    monkeypatch.setattr(class_cache, "ENV_VARS_TO_PROPAGATE", {"B"})
    use_first_processes()
    assert not class_cache.DEFAULT_ENV_VARS and not class_cache.ENV_VARS_TO_PROPAGATE


def test_callbacks_of_ones_own_are_made_anew_each_time_and_a_wrong_one_is_said_before_ray_starts(tmp_path, monkeypatch):
    (tmp_path / "trackers_of_a_test.py").write_text(
        "def mine():\n    return ['a tracker']\n\n\ndef broken():\n    raise RuntimeError('not installed')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv(CALLBACKS, raising=False)
    assert tune_callbacks() == []
    monkeypatch.setenv(CALLBACKS, "trackers_of_a_test.mine,trackers_of_a_test.mine")
    first, second = tune_callbacks()
    assert first == second == ["a tracker"] and first is not second
    monkeypatch.setenv(CALLBACKS, "trackers_of_a_test.broken,no_such_module.Callback,mine")
    with pytest.raises(BadInput) as error:
        connect(League(tmp_path, load_config("smoke", [], "tournament"), Console(quiet=True)))
    assert len(error.value.problems) == 3 and not ray.is_initialized()
    assert "broken cannot be used (not installed): install it, or leave it out" in error.value.problems[0]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_first_rounds_are_where_each_run_trains_next_or_waits(mode):
    seeds = {name: {0: 0} for name in "abc"} | {"d": {0: 0, 1: 0}}
    bracket = Bracket(Rules([2, 1], mode=mode), dict.fromkeys("abcd", 1.0), seeds)
    assert first_rounds(bracket) == {run: 0 for run in bracket.runs(0)}
    for name, loss in (("a", 1.0), ("b", 2.0), ("c", 3.0), ("d", math.nan)):
        bracket.report(Run(name, 0), 0, Outcome(loss))
    # a is certain, or promoted; b and c wait; one seed of d failed, the other is missing in round 1
    assert first_rounds(bracket) == {Run("a", 0): 1, Run("b", 0): 0, Run("c", 0): 0, Run("d", 1): 0}


@pytest.mark.slow
def test_tune_saves_its_own_state_only_at_the_start_and_the_end(league, tmp_path, monkeypatch):
    """It is never read, and under load one save meets the copying of another."""
    from ray.tune.execution.tune_controller import TuneController

    from tournament.run import main

    saves, save = [], TuneController.save_to_dir
    monkeypatch.setattr(TuneController, "save_to_dir", lambda controller: saves.append(save(controller)))
    monkeypatch.setenv(CALLBACKS, f"{__name__}.Tracker")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert (
        main(
            [
                "--config",
                "smoke",
                "--results",
                str(tmp_path),
                "--name",
                "saves",
                "--data",
                str(league / "data"),
                'contestants=["v01_dense_small", "v03_diffattn_small", "v09_deep_narrow"]',
                "steps=[10, 20]",
                "keep=[2, 1]",
                "seeds=1",
            ]
        )
        == 0
    )
    assert len(saves) == 2
    standings = json.loads((tmp_path / "tournament/saves/standings.json").read_text())
    rows = [row for played in standings["rounds"] for row in played["standings"]]
    assert sorted(Tracker.losses) == sorted((row["contestant"], row["heldout_loss"]) for row in rows)


class Tracker(tune.Callback):
    """A callback of one's own: what it is told of held-out losses."""

    losses: ClassVar = []

    def on_trial_result(self, iteration, trials, trial, result, **info):
        assert ("heldout_loss" in result) == all(key in result for key in FOR_TRACKERS)
        if "heldout_loss" in result:
            self.losses.append((trial.config["row"]["contestant"], result["heldout_loss"]))


@pytest.mark.slow
def test_runs_share_a_card_and_one_that_needs_more_is_started_again_with_more(league, tmp_path):
    """A logical GPU; memory is counted, and refused with the real exception."""
    config = load_config(
        "smoke",
        [
            'contestants=["v01_dense_small", "v05_moe_small", "v09_deep_narrow"]',
            "steps=[5, 5]",
            "keep=[2, 1]",
            "seeds=1",
            "report=[]",
            "device=cuda",
            "gpu_memory_gib=2.5",
        ],
    )
    folder = tmp_path / "card"
    folder.mkdir()
    (folder / "data").symlink_to(league / "data")
    (folder / "config.json").write_text(json.dumps({"config": config.model_dump(mode="json")}))
    ray.cloudpickle.register_pickle_by_value(fake_card)  # workers need not import it
    started = League(folder, config, Console(quiet=True))

    class Small(OnFakeCard):
        limits = {"v05_moe_small": 1.0}  # noqa: RUF012 (one byte: only the whole card would do, and it does not)

    class SmallTrial(TrialOnFakeCard):
        training = Small

    ray.init(
        address="local", num_cpus=4, num_gpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR"
    )
    try:
        with environment(TUNE_ENVIRONMENT):
            play_rounds(started, SmallTrial)
    finally:
        ray.shutdown()
    failed = started.bracket.failure(0, "v05_moe_small")
    assert failed.failure == "oom" and "CUDA out of memory" in failed.reason and "peak" in failed.reason
    tried = fallback_names(folder / "v05_moe_small" / FILE_NAME)
    assert len(tried) > 2 and tried[1] == "activation checkpointing" and tried[-1].endswith("-> 1")
    assert started.bracket.winner() in ("v01_dense_small", "v09_deep_narrow")
    assert len(started.bracket.rounds[1].outcomes) == 2  # its neighbours were not disturbed
