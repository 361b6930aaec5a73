"""The GPU league itself: bad input, what it counts while a league runs, and, slow, all of it that needs no card."""

from __future__ import annotations

import subprocess
import sys
import time
from types import SimpleNamespace

import gpu_league
import pytest
from check_setup import Row

from hamner.runs.cluster import has_cuda_card
from hamner.runs.heartbeat import AT_WORK


def test_a_folder_that_is_there_and_a_card_that_is_not_are_said_at_once(tmp_path, capsys):
    assert gpu_league.main(["--device", "cpu", "--results", str(tmp_path)]) == 2
    assert f"{tmp_path} exists" in capsys.readouterr().err
    if not has_cuda_card():
        assert gpu_league.main(["--results", str(tmp_path / "new")]) == 2
        assert "--device cpu" in capsys.readouterr().err and not (tmp_path / "new").exists()


def test_the_most_runs_at_work_at_one_time_are_counted(tmp_path):
    script = "import sys, time, pathlib\nfor n in (1, 2, 0):\n    time.sleep(0.4)\n"
    script += f"    [(m / {AT_WORK!r}).touch() for m in sorted(pathlib.Path(sys.argv[1]).glob('*'))[:n]]\n"
    for name in ("v01", "v02", "v03"):
        (tmp_path / name).mkdir()
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    league = SimpleNamespace(folder=tmp_path, process=process, wait=process.wait)
    began = time.monotonic()
    assert gpu_league.most_at_work(league, 60) == 2 and time.monotonic() - began < 60


def test_a_section_that_fails_stops_no_other(tmp_path):
    def fails(place):
        yield Row("before", {"number": 1.0}, True)
        raise ValueError("no league")

    section = gpu_league.Section("a section", 1, fails)
    outcome = gpu_league.run_section(section, gpu_league.Place(tmp_path, "cpu"))
    assert (outcome.state, len(outcome.rows), outcome.is_right) == ("failed", 1, False) and "no league" in outcome.note


def test_a_card_of_the_chosen_size_holds_a_batch_in_two_parts_and_not_whole():
    whole, halved = gpu_league.needed_gib()
    assert whole > 1.1 * halved


@pytest.mark.slow
def test_what_needs_no_card_is_green(tmp_path):
    command = [sys.executable, gpu_league.__file__, "--device", "cpu"]
    command += ["--results", str(tmp_path / "runs"), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "equal to those of the league left alone True" in (tmp_path / "gpu_league.md").read_text()
