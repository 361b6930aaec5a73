"""The live view at real terminals: redrawn in place, silent where it cannot be, never in the way of the run."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.hamner.pseudo_terminal import Terminal, without_size

REPO = Path(__file__).resolve().parents[3]
SHOWN = "tests.hamner.reports.shown_run"
TITLE = "tournament mine: round 1 of 3"
BEFORE = [f"before {number}" for number in range(5)]
COLOURS = re.compile(r"\x1b\[(?:\d+;)*3[0-7]m")


def _at_terminal(*words, columns=80, **environment):
    """All that appears at a pseudo-terminal."""
    settings = {"PYTHONPATH": str(REPO), **environment}
    with Terminal(SHOWN, *words, environment=settings, columns=columns) as terminal:
        terminal.expect("the end", 60)
        assert terminal.exit_code() == 0
        return terminal.raw


def _in_pipe(*words, **environment):
    settings = os.environ | {"PYTHONPATH": str(REPO)} | environment
    return subprocess.run(
        [sys.executable, "-m", SHOWN, *words], env=settings, capture_output=True, text=True, check=True
    )


def test_at_a_terminal_the_table_is_redrawn_in_place_and_gone_at_the_end():
    raw = _at_terminal("2")
    assert raw.count(TITLE) >= 3 and COLOURS.search(raw)
    assert raw.count("\x1b[?25l") == raw.count("\x1b[?25h") == 1  # the cursor comes back
    above, end = raw.index("another line above"), raw.index("the end")
    assert raw.index("a line above") < above < end
    assert all(len(line) <= 80 for line in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", raw).split("\n"))


def test_no_color_leaves_no_colour():
    raw = _at_terminal("1", NO_COLOR="1")
    assert TITLE in raw and not COLOURS.search(raw)


def test_without_a_locale_everything_is_ascii():
    raw = _at_terminal("1", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert TITLE in raw and "10 -> 5" in raw and "+- 0.0123" in raw and raw.isascii()


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"TERM": "unknown"}])
def test_a_dumb_terminal_gets_a_line_now_and_then(environment):
    raw = _at_terminal("2", **environment)
    assert "\x1b" not in raw and TITLE not in raw and "  draw 0" in raw and "  draw 1" in raw


@pytest.mark.parametrize("environment", [{}, {"FORCE_COLOR": "1"}])
def test_a_pipe_gets_a_line_now_and_then(environment):
    done = _in_pipe("2", **environment)
    lines = done.stdout.splitlines()
    assert done.stderr == "" and lines[-1] == "the end" and "a line above" in lines
    told = [line for line in lines if line.startswith("  draw ")]
    assert 2 <= len(told) <= 5 and set(lines) == {*BEFORE, *told, "a line above", "another line above", "the end"}


def test_what_breaks_in_it_is_one_line_and_the_run_goes_on():
    done = _in_pipe("2", "breaks")
    assert done.stdout.endswith("the end\n")
    assert done.stderr == "the live table is broken, the run goes on: ValueError: what was read is broken\n"
    raw = _at_terminal("2", "breaks")
    assert raw.count("the live table is broken") == 1 and raw.count("\x1b[?25h") == 1


@pytest.mark.skipif(not shutil.which("tmux"), reason="needs tmux")
def test_a_resize_leaves_no_broken_line(tmp_path):
    """In a real terminal emulator, which wraps the lines anew that have become too long."""
    tmux = ["tmux", "-S", str(tmp_path / "socket"), "-f", "/dev/null"]
    command = f"{sys.executable} -m {SHOWN} 60"
    environment = without_size(os.environ) | {"PYTHONPATH": str(REPO), "LC_ALL": "C.UTF-8", "HOME": str(tmp_path)}

    def screen():
        command = [*tmux, "capture-pane", "-p", "-S", "-"]  # with what has been scrolled away
        captured = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        return [line for line in captured.split("\n") if line.strip()]

    def settle(width):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            time.sleep(0.5)
            lines = screen()
            # the picture takes all there is, less a column
            if any(len(line) == width - 1 and line.endswith("...") for line in lines):
                time.sleep(0.5)
                return screen()
        raise AssertionError(screen())

    subprocess.run([*tmux, "new-session", "-d", "-x", "200", "-y", "40", command], env=environment, check=True)
    try:
        for width in (150, 80, 60, 120, 80):
            subprocess.run([*tmux, "resize-window", "-x", str(width), "-y", "40"], env=environment, check=True)
            lines = settle(width)
            assert sum(TITLE in line for line in lines) == 1, lines
            assert [line for line in lines if line.startswith("before")] == BEFORE, lines
            assert [line[:12] for line in lines if line.startswith("contestant")] == [
                "contestant  ",
                *(f"contestant{number:02}" for number in range(10)),
            ]
    finally:
        subprocess.run([*tmux, "kill-server"], env=environment, check=False)
