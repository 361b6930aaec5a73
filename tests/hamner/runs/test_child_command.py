"""Commands in processes of their own: exit codes, signals that are passed on, and no child that outlives its parent."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time

import pytest

from hamner.runs.child_command import run_child

SLEEPER = """
import os, signal, sys, time
from pathlib import Path

heard = []
signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
Path(sys.argv[1]).write_text(str(os.getpid()))
until = time.monotonic() + 60
while not heard and time.monotonic() < until:
    time.sleep(0.02)
time.sleep(0.5)  # as long as saving takes
Path(sys.argv[1] + ".heard").write_text(str(len(heard)))
"""
PARENT = """
import sys
from hamner.runs.child_command import run_child
from hamner.runs.stopping import Interrupted, signals_raised
with signals_raised():
    try:
        run_child("sleeper", [sys.argv[1]])
    except Interrupted as interrupt:
        sys.exit(interrupt.exit_code)
"""


@pytest.mark.parametrize(("word", "code"), [("0", 0), ("3", 3), ("kill", 128 + signal.SIGKILL)])
def test_the_exit_code_is_the_childs(tmp_path, monkeypatch, word, code):
    (tmp_path / "leaver.py").write_text(
        "import os, sys\nos.kill(os.getpid(), 9) if sys.argv[1] == 'kill' else sys.exit(int(sys.argv[1]))"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert run_child("leaver", [word]) == code


def start_parent(folder, **options):
    """A process that runs a child which sleeps until it hears a signal, and the child's process id."""
    (folder / "sleeper.py").write_text(SLEEPER)
    path = os.pathsep.join([str(folder), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder / "pid")],
        env=os.environ | {"PYTHONPATH": path},
        start_new_session=True,
        **options,
    )
    while not (folder / "pid").is_file() or not (folder / "pid").read_text():
        assert process.poll() is None
        time.sleep(0.02)
    return process, int((folder / "pid").read_text())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_passed_on_once_and_raised_when_the_child_has_saved(tmp_path, number):
    process, _ = start_parent(tmp_path)
    process.send_signal(number)
    assert process.wait(timeout=60) == 128 + number
    assert (tmp_path / "pid.heard").read_text() == "1"


def test_ctrl_c_in_a_terminal_is_heard_by_the_child_once(tmp_path):
    """The terminal sends it to both."""
    ours, theirs = pty.openpty()
    terminal = {"stdin": theirs, "preexec_fn": lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)}
    process, _ = start_parent(tmp_path, **terminal)
    os.write(ours, b"\x03")
    assert process.wait(timeout=60) == 128 + signal.SIGINT
    assert (tmp_path / "pid.heard").read_text() == "1"
    os.close(ours)
    os.close(theirs)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's signal at a parent's end is of Linux")
def test_a_killed_parent_takes_its_child_along(tmp_path):
    process, child = start_parent(tmp_path)
    process.kill()
    process.wait()
    until = time.monotonic() + 10
    while _is_alive(child):
        assert time.monotonic() < until
        time.sleep(0.02)


def _is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
