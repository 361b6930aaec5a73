"""Inventory: kind, state, size and age of every run on disk; a look changes nothing."""

import json
import os
import subprocess
import sys
import time

import pytest

from hamner.list_runs import main
from hamner.runs.inventory import age_text, run_holder, runs_on_disk, size_and_time, size_text, state_of
from hamner.runs.lock import LEASE_SECONDS, lock_holder, only_one
from tests.hamner.runs.run_tree import make_run, snapshot

HOLD = """
import sys, time
from pathlib import Path
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("in", flush=True)
    time.sleep(60)
"""


def test_runs_of_all_kinds_with_state_size_and_age(tmp_path):
    make_run(tmp_path, "tournament", "a", age=7200)
    make_run(tmp_path, "curriculum", "a", age=3600, finished=False)
    make_run(tmp_path, "sft", "b", age=60)
    make_run(tmp_path, "friend", "b", age=30, finished=False)
    choice = make_run(tmp_path, "choice", "c", age=10, finished=False, facts={"choice": None})
    (tmp_path / "curriculum" / "no_run").mkdir()
    (tmp_path / "curriculum" / "link").symlink_to(tmp_path / "tournament" / "a")
    runs = runs_on_disk(tmp_path)
    states = [(run.label, run.state) for run in runs]
    assert states == [
        ("choice/c", "unfinished"),
        ("friend/b", "unfinished"),
        ("sft/b", "finished"),
        ("curriculum/a", "unfinished"),
        ("tournament/a", "finished"),
    ]
    assert all(1000 < run.size < 1100 for run in runs)
    assert time.time() - runs[-1].written == pytest.approx(7200, abs=5)
    (choice / "choice.json").write_text(json.dumps({"choice": {"kind": "joint"}}))
    assert state_of("choice", choice) == "finished"


def test_a_run_that_a_process_works_on_is_running_and_looking_leaves_no_trace(tmp_path):
    folder = make_run(tmp_path, "tournament", "a")
    before = snapshot(tmp_path)
    assert state_of("tournament", folder) == "finished" and snapshot(tmp_path) == before
    with only_one(folder / ".driver.lock", "busy"):
        assert state_of("tournament", folder) == "running"
    assert state_of("tournament", folder) == "finished"
    (folder / "v1").mkdir()
    orphan = subprocess.Popen([sys.executable, "-c", HOLD, folder / "v1/.lock"], stdout=subprocess.PIPE, text=True)
    assert orphan.stdout.readline() == "in\n"
    assert run_holder(folder)  # what a killed driver has left
    orphan.kill()
    orphan.communicate()
    assert run_holder(folder) is None


def test_the_lease_of_another_machine_counts_while_it_is_renewed(tmp_path):
    lease = tmp_path / ".driver.lease"
    for age, holder in ((10, "elsewhere"), (LEASE_SECONDS + 5, None)):
        lease.write_text(json.dumps({"host": "elsewhere", "pid": 1, "time": time.time() - age}))
        os.utime(lease, (time.time() - age, time.time() - age))
        assert lock_holder(tmp_path / ".driver.lock") == holder
    lease.write_text(json.dumps({"host": "elsewhere", "pid": 1, "time": time.time() - 9000}))
    assert lock_holder(tmp_path / ".driver.lock") == "elsewhere"  # written just now, by a clock that is wrong


def test_a_file_with_two_names_counts_once_and_a_link_leads_nowhere(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "large").write_bytes(b"x" * 5000)
    (tmp_path / "run" / "one").write_bytes(b"x" * 300)
    os.link(tmp_path / "run" / "one", tmp_path / "run" / "two")
    (tmp_path / "run" / "link").symlink_to(tmp_path / "large")
    size, _ = size_and_time(tmp_path / "run")
    assert 300 < size < 300 + 200


def test_sizes_and_ages_in_words():
    assert [size_text(size) for size in (0, 2**20, 700 * 2**20, 3 * 2**30)] == [
        "0.0 MiB", "1.0 MiB", "700 MiB", "3.0 GiB",
    ]  # fmt: skip
    ages = [age_text(time.time() - seconds) for seconds in (30, 7200, 5 * 86_400)]
    assert ages == ["30 s", "2.0 h", "5 days"]


def test_the_command_lists_them(tmp_path, capsys):
    assert main(["--results", str(tmp_path)]) == 0
    assert "no runs in" in capsys.readouterr().out
    make_run(tmp_path, "sft", "friend", size=3 * 2**20)
    assert main(["--results", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if "friend" in line and line.startswith("│"))
    assert [cell.strip() for cell in row.split("│")[1:-2]] == ["friend", "sft", "finished", "3.0 MiB"]
    assert f"`hamner clean --results {tmp_path}`" in out
