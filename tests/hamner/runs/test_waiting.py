"""No silence: something moves within the given seconds, whatever is waited for, and nothing after it."""

import subprocess
import sys
import time

import pytest

from hamner.runs.waiting import CLEAR, never_silent
from tests.hamner.pseudo_terminal import Terminal

SLOW = "import time\nfrom hamner.runs.waiting import never_silent\n"


def test_a_line_comes_whenever_nothing_was_said_for_a_while():
    lines, began = [], time.monotonic()
    with never_silent("loading", lambda line: lines.append((time.monotonic(), line)), seconds=0.02) as say:
        time.sleep(0.4)
        say("a line of its own")
        time.sleep(0.3)
    count = len(lines)
    time.sleep(0.3)
    assert len(lines) == count >= 4 and "a line of its own" in [line for _, line in lines]
    times = [began, *(when for when, _ in lines)]
    assert 0.12 <= times[1] - began < 0.4  # six times as long where stderr is no terminal
    assert lines[0][1].startswith("loading: 0.")


def test_what_is_quick_says_nothing(capsys):
    with never_silent("loading"):
        pass
    assert capsys.readouterr() == ("", "")


def test_an_error_ends_the_lines_and_goes_on(capsys):
    with pytest.raises(ValueError, match="broken"), never_silent("loading", seconds=0.01):
        time.sleep(0.15)
        raise ValueError("broken")
    assert "loading: 0." in capsys.readouterr().err
    time.sleep(0.15)
    assert capsys.readouterr().err == ""


def test_a_wait_does_not_hold_a_process_that_ends():
    code = f"{SLOW}import sys\nwith never_silent('x'):\n    sys.exit(3)"
    began = time.monotonic()
    assert subprocess.run([sys.executable, "-c", code]).returncode == 3 and time.monotonic() - began < 30


@pytest.mark.parametrize(("kind", "is_written_over"), [("xterm", True), ("dumb", False)])
def test_at_a_terminal_one_line_is_written_over_and_leaves_nothing(tmp_path, kind, is_written_over):
    (tmp_path / "slow.py").write_text(
        f"{SLOW}with never_silent('loading', seconds=0.05) as say:\n    time.sleep(0.3)\n    say('own')\nprint('end')\n"
    )
    with Terminal("slow", environment={"PYTHONPATH": f"{tmp_path}:.", "TERM": kind}) as terminal:
        terminal.expect("end")
        raw = terminal.raw
    assert raw.count("loading: 0.") >= 2 and ("\x1b[K" in raw) == is_written_over
    if is_written_over:
        assert raw.count("\n") <= 3 and f"{CLEAR}own" in raw  # its own line and the end: the others took its place
    else:
        assert raw.count("\n") >= 4
