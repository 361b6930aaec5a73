"""Nothing is left behind: what the soak test counts, and its two parts, short here and long with `make soak`."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS / folder) for folder in ("benchmarks", "old_runs", "hamner", "hamner/inference")]

from leftovers import SHARED_MEMORY, Figures, Tree, growth, leaks, own_place, table  # noqa: E402
from served import endless_model, running  # noqa: E402
from soak import play_round, soak_server  # noqa: E402

NAMES = ("processes", "ports", "shared_memory", "temporary", "open_files", "threads")


def test_each_kind_of_thing_that_is_left_behind_is_counted():
    """A process whose parent has ended, a port, an entry of shared memory, a file, a thread."""
    with own_place() as place:
        tree = Tree(place)
        before = tree.figures()
        orphan = subprocess.run(["sh", "-c", "sleep 600 >&2 & echo $!"], stdout=subprocess.PIPE, text=True, check=True)
        shared, end = SHARED_MEMORY / f"hamner-soak-{os.getpid()}", threading.Event()
        shared.touch()
        thread = threading.Thread(target=end.wait)
        thread.start()
        try:
            with socket.create_server(("127.0.0.1", 0)), (place / "file").open("w"):
                after = tree.figures()
        finally:
            os.kill(int(orphan.stdout), signal.SIGKILL)
            shared.unlink()
            end.set()
            thread.join()
        found = {name: getattr(after, name) - getattr(before, name) for name in NAMES}
        assert found == dict.fromkeys(NAMES, 1) | {"open_files": 2}
        assert len(leaks([before, before, after])) == 6
        (place / "file").unlink()
        assert _until_as(before, tree) == []


def _until_as(before, tree, seconds=20):
    """The problems that stay, of a tree whose processes have a while to end."""
    stop = time.monotonic() + seconds
    while (problems := leaks([before, replace(tree.figures(), mib=before.mib)])) and time.monotonic() < stop:
        time.sleep(0.2)
    return problems


@pytest.mark.parametrize(
    ("values", "share"),
    [
        ([100.0] * 20, 0.0),
        ([*range(100, 110), *[110.0] * 10], 0.0),  # it grows at first alone
        ([*[100.0] * 12, 900.0, *[100.0] * 7], 0.0),  # one high value
        ([100.0 + number for number in range(20)], 9 / 114.5),
    ],
)
def test_the_growth_of_memory_is_that_of_the_second_half_whatever_single_values_do(values, share):
    assert growth(values) == pytest.approx(share)
    rows = [Figures(2, 0, 0, 0, 30, 4, value) for value in values]
    assert bool(leaks(rows)) == (share > 0.05)
    assert len(table([("x", rows[0])])) == 3


@pytest.mark.slow
def test_a_server_that_is_asked_200_times_holds_what_it_held_before():
    """Whole and streamed replies, bad requests, clients that leave; server and clients in this process."""
    with own_place() as place, running(endless_model()) as (address, _):
        rows = soak_server(address, 200, Tree(place), samples=8)
    assert leaks(rows[1:]) == []


@pytest.mark.slow
def test_the_pipeline_played_three_times_in_one_process_leaves_nothing_behind():
    with own_place() as place, (place.parent / "log").open("w") as log:
        tree, rows = Tree(place), []
        for number in range(3):
            play_round(f"round{number}", place.parent / "results", log)
            rows.append(tree.figures())
    assert [leak for leak in leaks(rows) if not leak.startswith("memory")] == []  # three say nothing of memory
