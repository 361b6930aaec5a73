"""A process that does nothing for too long is ended by its watchdog, and says where it hung."""

import subprocess
import sys
import time

import pytest

from hamner.runs.watchdog import HUNG, hang_line, take_hang

BEGIN = "import time, ctypes; from pathlib import Path; from hamner.runs.watchdog import Watchdog, feed\n"
HANGS = {
    "waits": "time.sleep(60)",
    "holds Python's lock": "ctypes.PyDLL(None).sleep(60)",  # of PyDLL a call does not release it
    "fed once": "time.sleep(0.3); feed(); time.sleep(60)",
}


def watched(file, minutes, body):
    """Run a body in a process with a watchdog; exit code and seconds."""
    began = time.monotonic()
    script = f"{BEGIN}with Watchdog(Path({str(file)!r}), {minutes}):\n    {body}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=50, check=False)
    return done.returncode, time.monotonic() - began


@pytest.mark.parametrize("hang", HANGS)
def test_a_process_that_hangs_is_ended_and_its_file_says_where(hang, tmp_path):
    code, seconds = watched(tmp_path / ".hang", 0.01, HANGS[hang])
    assert code == 1 and seconds < 20
    where = take_hang(tmp_path / ".hang")
    assert where == tmp_path / HUNG and 'File "<string>", line 3' in where.read_text()
    assert str(where) in hang_line(where, 60) and take_hang(tmp_path / ".hang") is None


@pytest.mark.parametrize(
    ("minutes", "body"),
    [(0.03, "for _ in range(25): time.sleep(0.1); feed()"), (0, "time.sleep(1)"), (0.02, "pass\ntime.sleep(1.5)")],
    ids=["it is fed", "it is off", "the block is over"],
)
def test_a_process_that_works_is_left_alone_and_nothing_remains(minutes, body, tmp_path):
    assert watched(tmp_path / ".hang", minutes, body)[0] == 0
    assert list(tmp_path.iterdir()) == []


def test_a_second_block_is_watched_as_the_first_was(tmp_path):
    body = "pass\nwith Watchdog(Path('hang'), 0.01): pass\nwith Watchdog(Path('hang'), 0.01): time.sleep(60)"
    assert watched(tmp_path / ".hang", 0.01, body.replace("'hang'", repr(str(tmp_path / "again"))))[0] == 1
    assert take_hang(tmp_path / "again")
