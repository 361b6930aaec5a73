"""A league that is stopped from outside, by a signal or by its machine, saves, says the way on and decides nothing."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

PAIR = ["seeds=1", 'contestants=["v01_dense_small", "v02_dense_medium"]', "report=[]"]
THREE = ["v01_dense_small", "v02_dense_medium", "v09_deep_narrow"]
ONE_ROUND = [*PAIR, "steps=[60]", "keep=[1]", "checkpoint_every=1000"]  # no checkpoint before the round's end


def _losses(folder):
    return [
        [(row["contestant"], row["heldout_loss"], row["train_loss"], row["status"]) for row in played["standings"]]
        for played in json.loads((folder / "standings.json").read_text())["rounds"]
    ]


@pytest.fixture(scope="module")
def undisturbed(commands):
    done = commands.run("tournament", "--config", "smoke", "--name", "undisturbed", *ONE_ROUND)
    assert done.returncode == 0, done.stdout + done.stderr
    return _losses(commands.results / "tournament" / "undisturbed")


def _rows(folder):
    return [len(path.read_text().splitlines()) - 1 for path in folder.glob("*/metrics.csv")]


@pytest.mark.slow
@pytest.mark.mended("SIGTERM and SIGHUP during a league")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_each_running_contestant_save_within_ten_seconds(undisturbed, commands, number):
    """SIGHUP goes to the whole group of processes, as from a shell whose terminal closes: Ray's are in it."""
    name = number.name.lower()
    process = commands.start("tournament", "--config", "smoke", "--name", name, *ONE_ROUND, start_new_session=True)
    folder = commands.results / "tournament" / name
    while len(_rows(folder)) < 2 or min(_rows(folder)) < 5:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    began = time.monotonic()
    (os.killpg if number == signal.SIGHUP else os.kill)(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == 128 + number, out + err
    assert f"stopped by {number.name}; saved: v0" in out
    assert err.splitlines() == [f"stopped; continue with `tournament --resume --name {name}`"]
    assert "***" not in out + err and "Traceback" not in out + err  # Ray's C++ trace begins with asterisks
    reached = [int(path.name[5:]) for path in folder.glob("*/checkpoints/step_*")]
    assert sorted(reached) == sorted(_rows(folder)) and 5 <= min(reached) < 60
    done = commands.run("tournament", "--resume", "--name", name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert _losses(folder) == undisturbed


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of its own, of 40 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(folder):
    """Write until nothing more fits; returns the file."""
    with (folder / "filler").open("wb", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return Path(file.name)


@pytest.mark.slow
@pytest.mark.mended("a full disk in round 2")
def test_a_full_disk_decides_nothing_and_with_room_again_the_league_ends_as_undisturbed(commands, small_disk):
    words = [*PAIR[::2], f"contestants={json.dumps(THREE)}", "steps=[10, 60]", "keep=[2, 1]"]
    alone = commands.run("tournament", "--config", "smoke", "--name", "roomy", *words)
    assert alone.returncode == 0, alone.stdout + alone.stderr
    place = ["--results", str(small_disk)]
    process = commands.start("tournament", "--config", "smoke", "--name", "full", *place, *words)
    folder = small_disk / "tournament" / "full"
    while not (folder / "standings.json").is_file():  # of round 1
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    filler = _fill(small_disk)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1, out + err
    assert "stopped by trouble of the machine, which decides nothing" in out and "No space left on device" in out
    assert f"continue with `tournament --resume --name full --results {small_disk}`" in out
    assert "Traceback" not in out + err
    ledger = json.loads((folder / "bracket.json").read_text())
    assert not any(outcome["failure"] for played in ledger["rounds"] for outcome in played["outcomes"])
    filler.unlink()
    done = commands.run("tournament", "--resume", "--name", "full", *place)
    assert done.returncode == 0, done.stdout + done.stderr
    assert _losses(folder) == _losses(commands.results / "tournament" / "roomy")
