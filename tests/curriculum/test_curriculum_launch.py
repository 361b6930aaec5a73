"""What a curriculum prints when it could not be finished."""

import io
import signal
import time
from pathlib import Path

import pytest
from rich.console import Console

from curriculum import launch
from hamner.config.load import load_config
from hamner.runs.notify import Notifier


def _printed(failure, folder, monkeypatch):
    """What is printed where Ray says this of a failure."""
    monkeypatch.setattr("curriculum.train_on_ray.train_on_ray", lambda *_: failure)
    run = launch.Opened(folder, load_config("smoke"), {"who": "my model.json"}, [], 1)
    console = Console(file=io.StringIO(), width=200)
    assert launch._train(console, run, Notifier(None, "")) == 1
    return console.file.getvalue()


@pytest.mark.mended("a full disk in a curriculum")
def test_trouble_of_the_machine_is_a_line_with_the_command_that_continues(tmp_path, monkeypatch):
    folder: Path = tmp_path / "curriculum" / "a"
    folder.mkdir(parents=True)
    text = "Training failed due to worker errors:\nTraceback ...\nOSError: [Errno 28] No space left on device\n"
    out = _printed(text, folder, monkeypatch)
    assert "stopped by trouble of the machine: OSError: [Errno 28] No space left on device" in out
    assert f"`curriculum run 'my model.json' --resume --name a --results {tmp_path}`" in out
    orphan = "hamner.config.errors.BadInput: /x/.worker0.lock could not be acquired: a process of an earlier start ..."
    out = _printed(f"Training failed due to worker errors:\n{orphan}\n", folder, monkeypatch)
    assert "could not be acquired" in out and "wait for the process" in out and "--resume --name a" in out
    out = _printed("KeyError: '[/red]'", folder, monkeypatch)
    assert "KeyError: '[/red]'" in out and "not finished; see" in out


@pytest.mark.mended("a line that drops while the text is prepared")
def test_a_signal_in_the_preparation_is_a_line_with_the_command_that_continues(commands):
    process = commands.start("curriculum.run", "v3", "--config", "smoke", "--name", "early")
    while not (commands.results / "curriculum" / "early" / "config.json").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (129, "stopped; continue with `curriculum run v3 --resume --name early`\n")
