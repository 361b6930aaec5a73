"""Starved: without room, without the right to write, without files or time, a run ends in a line and goes on as it was.

Real file systems, limits and locks, met by the real commands in this process. On Ray, and for shared memory and memory:
the long form.
"""

import os
import random
import re
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import torch
from damaged import NAME, copy_of, present_run
from faults import play
from outcomes import problems
from pipelines import PIPELINES, PREPARED, Scene, prepared_files
from resumed import trained
from starved import STARVED, few_files_left, filled, mount_problem, read_only, small_disk

from hamner import prepare_data, sft
from hamner.runs.lock import only_one
from hamner.runs.resume_log import StepFile, step_reached

STEPS = 8  # that a run is trained on
WAY_ON = rf"continue with `hamner sft --resume --name {NAME} --results \S+`"


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A fine-tuning in the middle of its training; not to be changed."""
    return present_run(tmp_path_factory.mktemp("stored") / "results", "sft")


@pytest.fixture(scope="module")
def undisturbed(stored, tmp_path_factory):
    """What it trains on to, when it is left alone."""
    return trained(copy_of(stored, tmp_path_factory.mktemp("alone") / "results"), STEPS)[:2]


@pytest.fixture
def disk(tmp_path):
    """A results folder on a file system of its own, of 40 MB."""
    if problem := mount_problem():
        pytest.skip(f"no file system can be mounted here: {problem}")
    with small_disk(tmp_path / "disk") as folder:
        yield folder


@pytest.fixture
def run(stored, disk):
    """The run, in a copy on the small disk."""
    return copy_of(stored, disk / "results")


def _resume(run: Path) -> int:
    return sft.main(["--resume", "--name", NAME, "--results", str(run.parents[1])])


@contextmanager
def _from_step(step: int, trouble):
    """Let trouble, a context, begin once the run has come to a step; it ends with the block."""
    mark, begun = StepFile.mark, []

    def mark_and_begin(file: StepFile, reached: int) -> None:
        mark(file, reached)
        if reached >= step and not begun:
            begun.append(stack.enter_context(trouble))

    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setattr(StepFile, "mark", mark_and_begin)
        yield
    assert begun


def _is_a_clear_stop(captured, word: str, remedy: str) -> bool:
    said = captured.out + captured.err
    return "Traceback" not in said and word in said and bool(re.search(f"{remedy}; then {WAY_ON}", said))


@pytest.mark.mended("a full disk in a fine-tuning")
def test_a_disk_that_fills_up_ends_the_run_with_what_is_free_and_needed_and_the_way_on(run, undisturbed, capfd):
    with _from_step(24, filled(run.parents[1])):
        assert _resume(run) == 1
    # not always 0.0: what the write that failed had begun is taken away before it is said what is free
    room = r"make room: \S+ has \d\.\d MiB free, and what it keeps needs up to \d+\.\d MiB in all"
    captured = capfd.readouterr()
    assert _is_a_clear_stop(captured, "No space left on device", room), captured
    assert trained(run, 29 - _step(run))[:2] == undisturbed


def _step(run: Path) -> int:
    return max(int(path.name[5:]) for path in (run / "checkpoints").glob("step_*"))


def test_a_disk_that_was_full_is_said_before_anything_is_trained(run, undisturbed, capfd):
    before = step_reached(run)
    with filled(run.parents[1]):
        assert _resume(run) in (1, 2)
        captured = capfd.readouterr()
    assert "No space left on device" in captured.out + captured.err and "make room" in captured.out + captured.err
    assert "Traceback" not in captured.out + captured.err and step_reached(run) == before
    assert trained(run, STEPS)[:2] == undisturbed


def test_results_that_are_mounted_read_only_are_refused_in_a_line(run, capfd):
    with read_only(run.parents[1]):
        assert _resume(run) == 2
        resumed = capfd.readouterr().err
        assert sft.main([NAME, "--name", "new", "--results", str(run.parents[1])]) == 2
        begun = capfd.readouterr().err
    begun = begun.replace("old is unfinished: using its step 19\n", "")
    assert resumed.count("\n") == begun.count("\n") == 1
    assert "cannot be locked: Read-only file system; choose another folder" in resumed
    assert "is not a writable folder; choose another --results" in begun


def test_results_that_become_read_only_stop_the_run_and_it_goes_on_as_it_was(run, undisturbed, capfd):
    with _from_step(23, read_only(run.parents[1])):
        assert _resume(run) == 1
    captured = capfd.readouterr()
    assert _is_a_clear_stop(captured, "Read-only file system", r"let it be written to \(`mount -o remount,rw`\)"), (
        captured
    )
    assert trained(run, 29 - _step(run))[:2] == undisturbed


def test_a_slow_disk_changes_no_number(stored, undisturbed, tmp_path, monkeypatch):
    run, flush, flushes = copy_of(stored, tmp_path / "results"), os.fsync, []

    def slow(descriptor):
        flushes.append(time.sleep(0.03))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    assert trained(run, STEPS)[:2] == undisturbed and len(flushes) >= 10


@pytest.mark.mended("too many open files")
@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_process_that_may_open_no_more_files_says_so_and_damages_nothing(most, stored, undisturbed, tmp_path, capfd):
    """So many more than are open now: the run opens its lock, its text, its log, its curves."""
    run = copy_of(stored, tmp_path / "results")
    with few_files_left(most):
        code = _resume(run)
    captured = capfd.readouterr()
    said = captured.out + captured.err
    assert code == 1 and "Too many open files" in said and "`ulimit -n 65536`" in said and "Traceback" not in said, said
    assert "broken" not in said and "restore" not in said
    assert trained(run, STEPS)[:2] == undisturbed


def test_a_second_driver_is_refused_in_a_line_and_the_first_one_is_unharmed(stored, tmp_path, capfd):
    run = copy_of(stored, tmp_path / "results")
    hold = "import sys, time; from hamner.runs.lock import only_one\n"
    hold += "with only_one(__import__('pathlib').Path(sys.argv[1]), 'held'): print(flush=True); sys.stdin.read()"
    lock = run / ".driver.lock"
    first = subprocess.Popen(
        [sys.executable, "-c", hold, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    first.stdout.readline()
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if ".driver." not in path.name}
    try:
        assert _resume(run) == 2
    finally:
        first.communicate()
    assert capfd.readouterr().err == f"error: another process is working on {run}: wait for it to end\n"
    assert {path: path.stat().st_mtime_ns for path in before} == before and first.returncode == 0


def test_jumps_of_the_clock_change_no_number_and_no_lock(stored, undisturbed, tmp_path, monkeypatch):
    """A day ahead, then two days back, as a machine's clock is set while it trains."""
    run, clock, ahead = copy_of(stored, tmp_path / "results"), time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: clock() + ahead[0])

    def jump(step: int) -> None:
        ahead[0] = {3: 86_400.0, 6: -86_400.0}.get(step, ahead[0])

    with only_one(run / ".driver.lock", "held", lease_seconds=0.4):
        assert trained(run, STEPS, jump)[:2] == undisturbed
        ahead[0] += 86_400.0
        time.sleep(0.3)  # a renewal
    assert not (run / ".driver.lease").exists()


def test_a_preparation_without_room_says_so_and_the_same_command_continues(disk, tmp_path, capfd):
    scene, alone = (Scene(PIPELINES["prepare_data"], tmp_path / name) for name in ("full", "alone"))
    scene.results = disk / "results"
    for each in (scene, alone):
        each.results.mkdir(exist_ok=True)
    words = {
        each: [word.format(place=each.place, results=each.results) for word in PREPARED] for each in (scene, alone)
    }
    with filled(disk, left=40 * 2**10):
        assert prepare_data.main(words[scene]) == 1
        (line,) = [line for line in capfd.readouterr().err.splitlines() if "error" in line]
    assert "No space left on device" in line and re.search(
        r"make room: \S+ has \d\.\d MiB free, then run the same", line
    )
    assert prepare_data.main(words[scene]) == prepare_data.main(words[alone]) == 0
    assert prepared_files(scene) == prepared_files(alone)


def test_every_fault_of_the_table_has_its_own_name():
    assert len({fault.name for fault in STARVED}) == len(STARVED) >= 11


@pytest.mark.slow
@pytest.mark.parametrize("fault", STARVED, ids=lambda fault: fault.name)
def test_the_real_commands_are_starved(fault, scene, reference):
    """The first pipeline that a fault has; the long form has them all."""
    name = fault.pipelines[0]
    outcome = play(fault, scene(name), reference(name), random.Random(fault.name))
    assert problems(outcome) == [], outcome
