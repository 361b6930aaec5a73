"""Secrets of the environment and of command lines are in no file of a run, no log and no setting of Ray's."""

import os
import sys
from pathlib import Path

import pytest

from hamner.config.load import load_config
from hamner.runs import ray_session
from hamner.runs.cluster import ray_settings, worker_environment
from hamner.runs.folders import write_config
from hamner.runs.lock import only_one
from hamner.runs.notify import Notifier
from hamner.runs.resume_log import StepFile

NAMES = (
    "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "RAY_AUTH_TOKEN", "HAMNER_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY",
)  # fmt: skip
SECRET = "s3cr3t-4f9a-"


@pytest.fixture
def secrets(monkeypatch):
    for name in NAMES:
        monkeypatch.setenv(name, SECRET + name)


def _holds_secret(folder):
    """Files below a folder in whose name or content a secret stands."""
    paths = [path for path in Path(folder).rglob("*") if path.is_file()]
    assert paths
    return [path for path in paths if SECRET in path.name or SECRET.encode() in path.read_bytes()]


def test_what_a_run_writes_holds_no_secret(tmp_path, secrets):
    run = tmp_path / "run"
    write_config(run, load_config("smoke"), {"kind": "curriculum"})
    with only_one(run / ".driver.lock", "taken"):
        mark = StepFile(run, 2)
        mark.mark(9)  # beyond the checkpoint: steps are lost
        mark.log_resume(run / "resume.jsonl", 3)
        mark.close()
        assert (run / ".driver.lease").is_file() and (run / "resume.jsonl").is_file()
        assert _holds_secret(run) == []


def test_no_secret_is_among_the_settings_of_ray(secrets, monkeypatch):
    """Ray shows the environment of a job in its dashboard and its logs."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert SECRET not in repr(ray_settings(2)) + repr(worker_environment(2))


def test_the_mark_of_a_session_does_not_hold_the_command(tmp_path, monkeypatch):
    """It lies in /tmp, where others read: --notify may be a web hook with a key."""
    monkeypatch.setattr(sys, "argv", ["tournament", "--notify", f"curl https://hook/{SECRET}"])
    monkeypatch.setattr(ray_session, "session_folder", lambda ray: tmp_path)
    ray_session.mark_session(None)
    assert f'"pid": {os.getpid()}' in (tmp_path / ray_session.MARK).read_text()
    assert _holds_secret(tmp_path) == []


def test_a_failing_notification_does_not_print_its_command(capsys):
    with Notifier(f"exit 3 # {SECRET}", "run") as notifier:
        notifier.send("line")
    error = capsys.readouterr().err
    assert "exit code 3" in error and SECRET not in error


def test_a_wrong_token_is_not_repeated():
    from hamner.inference.server_guard import check_token
    from hamner.inference.server_requests import ApiError

    for given in (f"Bearer {SECRET}other", f"Basic {SECRET}"):
        with pytest.raises(ApiError) as error:
            check_token(given, f"{SECRET}right")
        assert SECRET not in repr(error.value.body())


@pytest.mark.slow
def test_a_whole_league_writes_and_prints_no_secret(commands, secrets):
    """With what Ray logs, which --verbose shows."""
    for name in NAMES:
        if name != "RAY_AUTH_TOKEN":  # Ray takes it for its own
            commands.environment[name] = SECRET + name
    words = ("--config", "smoke", "--name", "secret", "--verbose", "steps=[5,5,5]", "lr=shared", "seeds=1",
             "--notify", f"true {SECRET}notify")  # fmt: skip
    done = commands.run("tournament", *words)
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert _holds_secret(commands.results) == []
