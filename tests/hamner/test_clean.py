"""Clean-up: nothing without --yes, nothing that is worked on, nothing outside the folders it lists."""

import json
import os
import shutil
import socket
import time
import zlib
from pathlib import Path

import pytest

from hamner.clean import main
from hamner.runs.lock import only_one
from hamner.runs.ray_session import MARK, is_dead_session
from hamner.runs.removal import Removable, remove
from tests.hamner.runs.run_tree import make_run, snapshot

OLD = 7200


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A results folder, a folder for Ray of its own, and a home without prepared text."""
    monkeypatch.setattr("hamner.runs.ray_session._folders", lambda: ("", [str(short_folder(tmp_path) / "ray")]))
    monkeypatch.setattr("hamner.clean.home_folder", lambda: tmp_path / "home")
    (tmp_path / "results").mkdir()
    yield tmp_path
    shutil.rmtree(short_folder(tmp_path), ignore_errors=True)


def short_folder(place):
    """A folder whose path is short enough for sockets."""
    return Path("/tmp") / f"hamner{os.getpid()}{zlib.crc32(os.fsencode(place)):x}"


def clean(place, *words):
    return main([*words, "--results", str(place / "results")])


def age(path, seconds=OLD):
    os.utime(path, (time.time() - seconds, time.time() - seconds), follow_symlinks=False)
    return path


def session(place, name, *, marked=True, old=True):
    folder = short_folder(place) / "ray" / name
    (folder / "sockets").mkdir(parents=True)
    (folder / "logs.txt").write_text("x" * 1000)
    if marked:
        (folder / MARK).write_text("{}")
    return age(folder, OLD if old else 0)


def test_nothing_is_touched_without_yes(place, capsys):
    make_run(place / "results", "tournament", "first")
    make_run(place / "results", "curriculum", "half", finished=False)
    leftover = place / "results" / "tournament" / "first" / ".metrics.csv.4242.tmp"
    leftover.write_text("half a file")
    age(leftover)
    session(place, "session_2026-11-28_10-00-00_1_1")
    before = snapshot(place)
    for words in ((), ("first",), ("--unfinished",), ("first", "--unfinished", "--prepared")):
        assert clean(place, *words) == 0
        assert "nothing was removed" in capsys.readouterr().out
    assert snapshot(place) == before


def test_by_default_only_what_killed_processes_left_goes(place, capsys):
    run = make_run(place / "results", "curriculum", "mine", finished=False, age=OLD)
    old = [run / ".metrics.csv.4242.tmp", run / "checkpoints" / ".step_3.77.folder", run / ".probe.12"]
    old[0].write_text("half")
    old[1].mkdir()
    (old[1] / "weights").write_text("half")
    old[2].write_text("x")
    age(old[1] / "weights")
    for path in old:
        age(path)
    young, own = run / ".stages.json.4242.tmp", run / ".tmp"
    for path in (young, own):
        path.write_text("x")
    age(own)
    assert clean(place, "--yes") == 0
    out = capsys.readouterr().out
    assert not any(path.exists() for path in old) and young.exists() and own.exists()
    assert (run / "config.json").exists() and out.count("removed: curriculum/mine/") == 3
    assert "1 unfinished, which --resume could continue" in out


def test_what_a_running_run_is_writing_stays(place):
    run = make_run(place / "results", "curriculum", "mine", finished=False)
    path = run / ".metrics.csv.4242.tmp"
    path.write_text("x")
    age(path)
    with only_one(run / ".driver.lock", "busy"):
        assert clean(place, "--yes") == 0 and path.exists()
    assert clean(place, "--yes") == 0 and not path.exists()


def test_named_runs_go_and_others_stay(place, capsys):
    results = place / "results"
    for kind in ("tournament", "curriculum", "sft"):
        make_run(results, kind, "first", size=2**20)
    make_run(results, "tournament", "second")
    assert clean(place, "sft/first", "--yes") == 0
    assert [path.parent.name for path in sorted(results.glob("*/first"))] == ["curriculum", "tournament"]
    assert clean(place, "first", "--yes") == 0
    assert "2.0 MiB removed" in capsys.readouterr().out
    assert sorted(path.name for path in results.glob("*/*")) == ["second"]


def test_a_run_that_a_process_works_on_or_reads_is_refused_and_so_is_all_beside_it(place, capsys):
    results = place / "results"
    league, base = make_run(results, "tournament", "first"), make_run(results, "curriculum", "base")
    facts = {"base": {"checkpoint": str(base / "final")}}
    tuned = make_run(results, "sft", "tuned", finished=False, facts=facts)
    friend = make_run(results, "friend", "first", finished=False)
    before = snapshot(place)
    cases = ((league, "first", "a process"), (tuned, "base", "sft/tuned"), (friend, "first", "friend/first"))
    for busy, name, user in cases:
        with only_one(busy / ".driver.lock", "busy"):
            assert clean(place, "--yes", name, "tuned" if busy is league else "base") == 2
            assert f"is in use by {user}" in capsys.readouterr().err
    assert {path: content for path, content in snapshot(place).items() if path.name != ".driver.lock"} == before


def test_unfinished_runs_go_but_not_those_that_run(place):
    results = place / "results"
    half = make_run(results, "curriculum", "half", finished=False)
    running = make_run(results, "curriculum", "running", finished=False)
    done = make_run(results, "curriculum", "done")
    with only_one(running / ".driver.lock", "busy"):
        assert clean(place, "--unfinished", "--yes") == 0
    assert (half.exists(), running.exists(), done.exists()) == (False, True, True)


@pytest.mark.parametrize("name", ["../outside", "curriculum/../../outside", "/etc", "", "link", "nothing"])
def test_no_name_leads_out_of_the_results_folder(place, capsys, name):
    outside = place / "outside"
    outside.mkdir()
    (outside / "config.json").write_text("{}")
    (place / "results" / "curriculum").mkdir()
    (place / "results" / "curriculum" / "link").symlink_to(outside)
    before = snapshot(place)
    assert clean(place, name, "--yes") == 2
    assert snapshot(place) == before and capsys.readouterr().err.startswith("error: ")


def test_links_are_not_followed(place):
    outside = place / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    age(outside / "precious")
    run = make_run(place / "results", "sft", "mine")
    (run / "link").symlink_to(outside)
    (place / "results" / "curriculum").symlink_to(outside)
    hidden = outside / ".x.1.tmp"
    hidden.write_text("x")
    age(hidden)
    assert clean(place, "mine", "--yes") == 0 and clean(place, "--yes") == 0
    assert not run.exists() and (outside / "precious").exists() and hidden.exists()


def test_what_became_a_link_since_it_was_listed_is_left(place):
    run = make_run(place / "results", "sft", "mine")
    item = Removable("sft/mine", run, 1, 0.0, "named")
    run.rename(place / "elsewhere")
    run.symlink_to(place / "elsewhere")
    assert "link" in (remove(item) or "") and (place / "elsewhere" / "config.json").exists()


def test_a_run_is_never_found_half_removed(place, monkeypatch):
    run = make_run(place / "results", "sft", "mine")

    def fails(path, ignore_errors=False):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("hamner.runs.removal.shutil.rmtree", fails)
    problem = remove(Removable("sft/mine", run, 1, 0.0, "named", run / ".driver.lock"))
    monkeypatch.undo()
    assert problem and "cannot be removed: Input/output error" in problem
    assert not run.exists()  # what is left has the name of a leftover, and the next --yes finds it
    (left,) = (place / "results" / "sft").iterdir()
    assert left.name.startswith(".removed.") and left.name.endswith(f".{os.getpid()}.folder")


def test_dead_sessions_of_ours_go_and_living_young_and_foreign_ones_stay(place, capsys):
    dead = session(place, "session_2026-11-28_10-00-00_1_1")
    foreign = session(place, "session_2026-11-28_11-00-00_1_2", marked=False)
    young = session(place, "session_2026-11-28_12-00-00_1_3", old=False)
    alive = session(place, "session_2026-11-28_13-00-00_1_4")
    with socket.socket(socket.AF_UNIX) as raylet:
        raylet.bind(str(alive / "sockets" / "raylet"))
        raylet.listen(1)
        age(alive)
        assert is_dead_session(dead) and not is_dead_session(alive) and not is_dead_session(young)
        assert clean(place, "--yes") == 0
        out = capsys.readouterr().out
        assert not dead.exists() and foreign.exists() and young.exists() and alive.exists()
        assert f"removed: {dead}" in out and "1 dead Ray sessions are not marked as ours" in out
    assert clean(place, "--yes") == 0 and not alive.exists()  # its process has ended


def test_prepared_text_goes_when_asked_and_no_unfinished_run_reads_it(place, capsys):
    prepared = place / "home" / "data" / "prepared"
    prepared.mkdir(parents=True)
    (prepared / "manifest.json").write_text("{}")
    (prepared / "shard").write_bytes(b"x" * 2**20)
    run = make_run(place / "results", "curriculum", "half", finished=False)
    (run / "data").mkdir()
    (run / "data" / "manifest.json").write_text(json.dumps({"folder": str(prepared)}))
    assert clean(place, "--yes") == 0 and clean(place, "--prepared", "--yes") == 0 and prepared.exists()
    (run / "final").mkdir()
    with only_one(prepared / ".prepare.lock", "busy"):
        assert clean(place, "--prepared", "--yes") == 0 and prepared.exists()
    assert clean(place, "--prepared", "--yes") == 0 and not prepared.exists()
    (place / "photos").mkdir()
    assert clean(place, "--prepared", str(place / "photos"), "--yes") == 0 and (place / "photos").exists()
    assert "nothing to remove" in capsys.readouterr().out
