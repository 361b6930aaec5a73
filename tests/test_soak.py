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

from leftovers import GRPC_THREADS, MOST_GRPC_THREADS, SHARED_MEMORY, Figures, Tree, growth, leaks, own_place, table  # noqa: E402
from served import endless_model, running  # noqa: E402
from soak import play_round, run_command, soak_server  # noqa: E402

NAMES = ("processes", "ports", "shared_memory", "temporary", "home", "working", "open_files", "threads")


def test_each_kind_of_thing_that_is_left_behind_is_counted():
    """A process whose parent has ended, a port, an entry of shared memory, a file in each folder, a thread."""
    with own_place() as place:
        tree = Tree(place)
        before = tree.figures()
        orphan = subprocess.run(["sh", "-c", "sleep 600 >&2 & echo $!"], stdout=subprocess.PIPE, text=True, check=True)
        shared, end = SHARED_MEMORY / f"hamner-soak-{os.getpid()}", threading.Event()
        shared.touch()
        own = (Path.home() / "file", Path.cwd() / "file")
        assert own[0].parent == place.parent / "home" and own[1].parent == place.parent / "working"
        for path in own:
            path.touch()
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
        assert len(leaks([before, before, after])) == 8
        for path in (place / "file", *own):
            path.unlink()
        assert _until_as(before, tree) == []


def test_threads_of_grpcs_pool_are_counted_apart_and_bounded():
    begin, end = threading.Event(), threading.Event()

    def work():
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(GRPC_THREADS[0])
        begin.set()
        end.wait()

    with own_place() as place:
        tree = Tree(place)
        before = tree.figures()
        thread = threading.Thread(target=work)
        thread.start()
        begin.wait()
        after = tree.figures()
        end.set()
        thread.join()
    assert after.grpc_threads - before.grpc_threads == 1 and after.threads == before.threads
    assert leaks([before, before, after]) == []
    too_many = replace(after, grpc_threads=MOST_GRPC_THREADS + 1)
    assert leaks([before, before, too_many]) == ["threads of gRPC's pool: 33, over 32"]


def test_an_entry_of_shared_memory_that_another_program_uses_is_not_counted():
    shared = SHARED_MEMORY / f"hamner-soak-other-{os.getpid()}"
    with own_place() as place:
        tree = Tree(place)
        before = tree.figures()
        code = f"import os, mmap; f = open({str(shared)!r}, 'w+b'); f.truncate(99); mmap.mmap(f.fileno(), 0)"
        # without the tree's mark, and started by a process that has ended
        script = f'"$0" -c "{code}; print(1, flush=True); import time; time.sleep(600)" >&1 & echo $!'
        stranger = subprocess.Popen(
            ["setsid", "sh", "-c", script, sys.executable], stdout=subprocess.PIPE, text=True, env={}
        )
        pid = int(stranger.stdout.readline())
        try:
            assert stranger.stdout.readline() == "1\n" and shared.exists()
            stranger.wait()
            assert tree.figures().shared_memory == before.shared_memory
        finally:
            os.kill(pid, signal.SIGKILL)
            stranger.stdout.close()
        try:
            assert tree.figures().shared_memory == before.shared_memory + 1  # nobody uses it: left behind
        finally:
            shared.unlink()


def _fails(words):
    print(*range(40), sep="\n")
    raise {"leave": SystemExit(2), "raise": ValueError("planted")}[words[0]]


@pytest.mark.parametrize(("word", "end"), [("leave", "39"), ("raise", "ValueError: planted")])
def test_a_command_that_fails_is_named_with_the_last_of_what_it_said(tmp_path, word, end):
    with (tmp_path / "log").open("w") as log, pytest.raises(SystemExit) as failure:
        run_command(_fails, [word, "two words"], log)
    first, *said = str(failure.value).split("\n")
    assert f"_soak {word} 'two words' " in first and len(said) == 20 and said[-1] == end


def _until_as(before, tree, seconds=20):
    """The problems that stay, of a tree whose processes have a while to end."""
    stop = time.monotonic() + seconds
    while (
        problems := leaks([before, replace(tree.figures(), mib=before.mib, tree_mib=before.tree_mib)])
    ) and time.monotonic() < stop:
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
    for rows in (
        [Figures(2, 0, 0, 0, 0, 0, 30, 4, value, 900.0) for value in values],
        [Figures(2, 0, 0, 0, 0, 0, 30, 4, 100.0, value) for value in values],
    ):
        assert len(leaks(rows)) == (share > 0.05)
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
