"""How a league starts: the text is prepared in a process of its own, and Ray's first processes are the trials'."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from hamner.config.load import load_config

LONG = "data.builtin_characters=20_000_000"  # more than a minute of preparing


def _processes():
    return [int(place.name) for place in Path("/proc").glob("[0-9]*")]


def _command(pid):
    """Its command, empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def _parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _wait(what, seconds=60):
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


def _preparing(commands, name):
    """A league whose text is being prepared: its driver, its folder, the process that prepares."""
    driver = commands.start("tournament", "--config", "smoke", "--name", name, LONG)
    folder = commands.results / "tournament" / name
    _wait((folder / "data" / "unfinished" / "plan.json").is_file)
    return (
        driver,
        folder,
        next(pid for pid in _processes() if "hamner.runs.background" in _command(pid) and _parent(pid) == driver.pid),
    )


def test_a_preparation_that_dies_is_one_error_and_leaves_what_a_resume_needs(commands):
    driver, folder, preparing = _preparing(commands, "text-killed")
    os.kill(preparing, signal.SIGKILL)
    _, err = driver.communicate(timeout=60)
    assert driver.returncode == 1
    assert err == ("error: the text was not prepared: its process ended with exit code -9; use --resume to continue\n")
    assert (folder / "config.json").is_file()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_preparation_ends_with_its_driver(commands, end):
    driver, _, preparing = _preparing(commands, f"text-{end.name}")
    driver.send_signal(end)
    _, err = driver.communicate(timeout=60)
    _wait(lambda: not _command(preparing), 10)
    if end == signal.SIGINT:
        assert driver.returncode == 130
        assert "stopped; use --resume to continue" in err and "Traceback" not in err


def test_what_is_wrong_with_the_text_comes_line_by_line_and_leaves_nothing(commands, tmp_path):
    for name in ("fineweb_edu", "tinystories", "sft", "personal"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text.txt").write_text("One page.\n")
    done = commands.run("tournament", "--config", "smoke", "--name", "text-poor", "--data", str(tmp_path))
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) >= 2 and all(line.startswith("error: source '") for line in lines)
    assert not (commands.results / "tournament" / "text-poor").exists()


def test_the_processes_that_ray_starts_first_become_the_trials_and_have_loaded_what_they_need(tmp_path, monkeypatch):
    """Else each trial waits until a process of its own has started and loaded everything."""
    import ray
    from ray.tune.execution.class_cache import _ActorClassCache
    from rich.console import Console

    from tournament.league import League
    from tournament.tuner import connect, disconnect

    class Trial:
        def here(self):
            return os.getpid(), dict(os.environ), {"tournament.trial", "torch._dynamo"} - set(sys.modules)

    monkeypatch.setattr("tournament.tuner.MOST_LOADED", 10**6)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "one")  # Tune would hand it to each trial in a process of its own
    before = dict(os.environ)
    league = League(tmp_path, load_config("smoke", [], "tournament"), Console(quiet=True))
    slots = connect(league)
    try:
        assert slots == ray.cluster_resources()["CPU"]
        for name in ("PYTHONPATH", "MALLOC_TRIM_THRESHOLD_", "RAY_preload_python_modules"):
            assert os.environ.get(name) == before.get(name)  # those are for Ray's processes alone
        first = _wait(lambda: [pid for pid in _processes() if _command(pid).startswith("ray::IDLE")])
        pid, environment, missing = ray.get(_ActorClassCache().get(Trial).remote().here.remote())
        assert pid in first and not missing
        assert environment["MALLOC_TRIM_THRESHOLD_"] == str(2**34) and environment["AWS_ACCESS_KEY_ID"] == "one"
    finally:
        disconnect()


def test_a_large_machine_loads_nothing_ahead(monkeypatch):
    """Ray starts a process a core."""
    from tournament import tuner

    for most, loaded in ((0, False), (10**6, True)):
        monkeypatch.setattr(tuner, "MOST_LOADED", most)
        given = tuner._loading({"runtime_env": {"env_vars": {"A": "1"}}}, "cpu")
        assert given["A"] == "1" and ("RAY_preload_python_modules" in given) == loaded


def test_tune_saves_its_own_state_at_the_start_and_the_end_alone(league, tmp_path, monkeypatch):
    """Nobody reads it, and under load one save meets the copying of another."""
    from ray.tune.execution.tune_controller import TuneController

    from tournament.run import main

    saves, save = [], TuneController.save_to_dir
    monkeypatch.setattr(TuneController, "save_to_dir", lambda controller: saves.append(save(controller)))
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
                "twins=0",
            ]
        )
        == 0
    )
    assert len(saves) == 2
