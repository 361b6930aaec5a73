"""Data preparation beside Ray's start: it ends with its driver, problems come line by line, a resume continues it."""

import os
import signal
import time
from pathlib import Path

import pytest

LONG = "data.builtin_characters=20_000_000"  # more than a minute of preparing


def _processes():
    return [int(place.name) for place in Path("/proc").glob("[0-9]*")]


def _command(pid):
    """The command line of a process, empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def _parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _wait(what, seconds=60):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.05)


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
    assert len(err.splitlines()) == 1 and "exit code -9" in err and "--resume" in err
    assert (folder / "config.json").is_file()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.slow
def test_a_preparation_ends_with_its_driver(commands, end):
    driver, _, preparing = _preparing(commands, f"text-{end.name}")
    driver.send_signal(end)
    _, err = driver.communicate(timeout=60)
    _wait(lambda: not _command(preparing), 10)
    if end == signal.SIGINT:
        assert driver.returncode == 130
        assert "--resume" in err and "Traceback" not in err


@pytest.mark.slow
def test_problems_of_the_text_come_line_by_line_and_leave_nothing(commands, tmp_path):
    for name in ("fineweb_edu", "tinystories", "sft", "personal"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text.txt").write_text("One page.\n")
    ended = commands.run("tournament", "--config", "smoke", "--name", "text-poor", "--data", str(tmp_path))
    assert ended.returncode == 2
    lines = ended.stderr.splitlines()
    assert len(lines) >= 2 and all(line.startswith("error: source '") for line in lines)
    assert not (commands.results / "tournament" / "text-poor").exists()
