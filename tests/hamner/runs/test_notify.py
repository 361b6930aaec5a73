"""--notify: the command gets a line, and whatever it does, the run goes on and ends as fast."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hamner.config.errors import BadInput
from hamner.runs.notify import LAST_SECONDS, Notifier
from hamner.runs.stopping import Interrupted

REPO = Path(__file__).resolve().parents[3]


def _until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def test_each_line_comes_on_standard_input_of_a_process_of_its_own(tmp_path):
    file = tmp_path / "lines"
    with Notifier(f"cat >> {file}; ps -o pgid= $$ >> {file}", "tournament mine") as notifier:
        notifier.send("round 1 is over:\na leads, ünder 3 %")
        _until(lambda: file.is_file() and file.read_text().count("\n") == 2)
        notifier.send("finished")
        _until(lambda: file.read_text().count("\n") == 4)
    lines = file.read_text().splitlines()
    assert (
        lines[0] == "tournament mine: round 1 is over: a leads, ünder 3 %" and lines[2] == "tournament mine: finished"
    )
    assert str(os.getpgid(0)) not in lines[1].split()


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("sleep 1000", "took more than 0.3 s and was killed"),
        ("sleep 1000 & sleep 1000", "took more than 0.3 s and was killed"),
        ("exit 3", "exit code 3"),
        ("/nonexistent/program", "exit code 127"),
        ("kill -9 $$", "exit code -9"),
        ("yes", "took more than 0.3 s"),  # floods what nobody reads
        (": closes its input", ""),
    ],
)
def test_a_command_that_hangs_fails_or_does_not_exist_costs_nothing_and_is_said_once(command, problem, capfd):
    began = time.monotonic()
    notifier = Notifier(command, "run", most_seconds=0.3)
    for number in range(3):
        notifier.send(f"line {number} " + "x" * 100_000)
    assert time.monotonic() - began < 1.0  # nothing waits
    for thread in notifier._threads:
        thread.join(20)
    began = time.monotonic()
    notifier.close()
    assert time.monotonic() - began < LAST_SECONDS + 1
    out, err = capfd.readouterr()
    assert out == "" and (problem in err) and err.count("--notify: the command") == bool(problem)


def test_the_end_waits_a_moment_and_what_hangs_is_killed_when_the_run_has_gone(tmp_path):
    file = tmp_path / "process"
    code = (
        "import sys, time; from hamner.runs.notify import Notifier\n"
        "with Notifier(sys.argv[1], 'run', most_seconds=2.0) as notifier:\n"
        "    notifier.send('x'); began = time.monotonic()\n"
        "print(time.monotonic() - began)"
    )
    words = [sys.executable, "-c", code, f"echo $$ > {file}; sleep 1000 & sleep 1000"]
    done = subprocess.run(words, cwd=REPO, capture_output=True, text=True, check=True, timeout=60)
    assert LAST_SECONDS - 0.1 < float(done.stdout) < LAST_SECONDS + 2 and done.stderr == ""
    group = int(file.read_text())
    assert _lives(group)  # the run has ended, it goes on
    _until(lambda: not _lives(group))


def _lives(group):
    """Whether a process of this group lives."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("too\nbad"), "run: failed: ValueError: too"),
        (Interrupted(signal.SIGTERM), "run: stopped by SIGTERM"),
        (BadInput("nothing was started"), None),
    ],
)
def test_an_error_that_ends_the_run_is_told(error, line, tmp_path):
    file = tmp_path / "lines"
    with pytest.raises(type(error)), Notifier(f"cat > {file}", "run"):
        raise error
    assert (file.read_text().splitlines() if file.is_file() else [None]) == [line]


def test_without_a_command_nothing_is_started():
    with Notifier(None, "run") as notifier:
        notifier.send("finished")
    assert notifier._threads == []
