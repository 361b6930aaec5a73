"""Signals and stop requests: what runs is asked to save, and has a while for it."""

import importlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from hamner.runs.cli import run_command
from hamner.runs.stopping import STOP, Interrupted, StopRequest, run_until_stopped, signals_raised

SIGNALS = [signal.SIGTERM, signal.SIGHUP, signal.SIGINT]


def _send(number):
    threading.Timer(0.2, os.kill, [os.getpid(), number]).start()


def _until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)


@pytest.mark.mended("SIGHUP during a league or a curriculum")
@pytest.mark.parametrize("number", SIGNALS)
def test_after_a_signal_the_file_asks_to_stop_and_the_work_has_time(tmp_path, number):
    stop, seen = StopRequest(tmp_path), []

    def work():
        _until((tmp_path / STOP).exists)
        time.sleep(0.3)
        seen.append(stop.file.exists())

    (tmp_path / STOP).touch()  # of an earlier start
    _send(number)
    with pytest.raises(Interrupted) as caught:
        run_until_stopped(work, stop)
    assert seen == [True] and caught.value.is_saved and caught.value.exit_code == 128 + number
    assert not (tmp_path / STOP).exists()


def test_work_that_does_not_end_is_left_after_its_time(tmp_path):
    stop = StopRequest(tmp_path)
    _send(signal.SIGTERM)
    with pytest.raises(Interrupted) as caught:
        run_until_stopped(lambda: time.sleep(5), stop, seconds=0.2)
    assert not caught.value.is_saved
    stop = StopRequest(tmp_path / "gone")  # where no file can be made
    threading.Timer(0.2, stop.make, ["disk full"]).start()
    assert run_until_stopped(lambda: time.sleep(5), stop, seconds=0.2) is None
    assert stop.trouble == "disk full"


def test_what_work_returns_or_raises_comes_through(tmp_path):
    assert run_until_stopped(lambda: 3, StopRequest(tmp_path)) == 3
    with pytest.raises(ZeroDivisionError):
        run_until_stopped(lambda: 1 // 0, StopRequest(tmp_path))


def test_trouble_of_the_machine_stops_work_and_what_follows_from_it_is_no_error(tmp_path):
    stop, beginning = StopRequest(tmp_path), time.monotonic()

    def trouble():
        return "gone" if time.monotonic() > beginning + 0.3 else None

    def work():
        while not stop.file.exists():
            time.sleep(0.02)
        raise ConnectionError("to what is gone")

    assert run_until_stopped(work, stop, trouble=trouble) is None
    assert stop and stop.trouble == "gone"
    stop = StopRequest(tmp_path)
    assert run_until_stopped(lambda: 1 // 0, stop, trouble=lambda: "gone") is None and stop.trouble == "gone"


@pytest.mark.mended("SIGTERM at any moment")
@pytest.mark.parametrize("number", SIGNALS)
def test_a_command_ends_with_a_line_and_the_signals_exit_code(capsys, number):
    def command(words):
        _send(number)
        time.sleep(5)
        return 0

    assert run_command(command, [], "use --resume") == 128 + number
    assert capsys.readouterr().err == "\nstopped; use --resume\n"


@pytest.mark.mended("SIGTERM before a command has begun, or in one that nothing resumes")
def test_a_command_that_cannot_be_resumed_does_not_say_so():
    code = (
        "import os, signal, sys, time, types\nfrom hamner.runs.cli import run_verb\n"
        "def main(words):\n    os.kill(os.getpid(), signal.SIGTERM)\n    time.sleep(5)\n"
        "sys.modules['stop_me'] = types.SimpleNamespace(main=main)\n"
        "raise SystemExit(run_verb('hamner', '', {'stop_me': ('stop_me', '')}, ['x']))"
    )
    ended = subprocess.run([sys.executable, "-c", code, "stop_me"], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (143, "\nstopped; use the same command again\n")


@pytest.mark.mended("a full disk under any command")
def test_trouble_of_the_machine_is_one_line_of_any_command(capsys):
    def command(words):
        raise OSError(28, "No space left on device", "x")

    assert run_command(command, [], "use --resume") == 1
    assert "No space left on device" in (err := capsys.readouterr().err) and len(err.splitlines()) == 1


@pytest.mark.mended("nohup")
def test_a_command_started_to_ignore_sighup_goes_on_ignoring_it():
    code = (
        "import os, signal, time\nfrom hamner.runs.cli import run_command\n"
        "def command(words):\n    os.kill(os.getpid(), signal.SIGHUP)\n    time.sleep(0.1)\n    return 7\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\nraise SystemExit(run_command(command, []))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 7


def test_a_second_ctrl_c_does_not_wait(tmp_path, capsys):
    began = time.monotonic()
    _send(signal.SIGINT)
    threading.Timer(0.6, os.kill, [os.getpid(), signal.SIGINT]).start()
    with pytest.raises(Interrupted) as caught:
        run_until_stopped(lambda: time.sleep(20), StopRequest(tmp_path), seconds=15)
    assert not caught.value.is_saved and time.monotonic() - began < 5
    assert "Ctrl-C again ends it at once" in capsys.readouterr().out


@pytest.mark.mended("a signal amid an import")
def test_a_signal_that_comes_amid_an_import_is_heard_once_the_module_is_there(tmp_path, monkeypatch):
    words = "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(0.1)\nis_whole = True\n"
    (tmp_path / "imported_in_time.py").write_text(words)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Interrupted), signals_raised():
        importlib.import_module("imported_in_time")
        time.sleep(10)
    assert sys.modules.pop("imported_in_time").is_whole


@pytest.mark.mended("Ctrl-C twice")
@pytest.mark.parametrize("second", ["stop()", "here.late = Late()"])
@pytest.mark.parametrize("first", ["stop()", "return 130"])
def test_one_more_ctrl_c_while_a_stopped_command_ends_is_no_traceback(first, second):
    """The first is its own, or that of a command within it; the second comes before Python ends, or at its very end."""
    code = (
        "import os, signal, sys, time\nfrom hamner.runs.cli import run_command\nhere = sys.modules['__main__']\n"
        "def stop(kill=os.kill, pid=os.getpid(), sleep=time.sleep):\n    kill(pid, signal.SIGINT)\n    sleep(0.2)\n"
        "class Late:\n    def __del__(self, kill=os.kill, pid=os.getpid()):\n        kill(pid, 2)\n"
        f"def command(words):\n    {first}\n"
        f"code = run_command(command)\n{second}\nraise SystemExit(code)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 130 and "Traceback" not in ended.stderr, ended
