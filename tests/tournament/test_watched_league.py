"""A whole league that is watched: a silent Ray, a table at a terminal, status from elsewhere, notified commands."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from curriculum.stages import FLAT
from tests.hamner.pseudo_terminal import CTRL_C, Terminal

REPO = Path(__file__).resolve().parents[2]
SMALL = ("--config", "smoke", "contestants=['v01_dense_small','v02_dense_medium','v05_moe_small']")
ROUNDS = ("steps=[300,20]", "keep=[2,1]", "seeds=1")
OURS = re.compile(r"preparing the text, starting Ray|getting ready \(text, Ray\)")  # beside the spinner, in the table
RAY = re.compile(r"\bray\b|raylet|gcs|dashboard|autoscaler|^tip:|warning|\binfo\b", re.IGNORECASE)


def _losses(folder):
    """Contestant, seed and held-out loss of each run in each round, with every digit."""
    rounds = json.loads((folder / "bracket.json").read_text())["rounds"]
    return [sorted((o["contestant"], o["seed"], o["heldout_loss"]) for o in round_["outcomes"]) for round_ in rounds]


def _league(commands, name, *words):
    done = commands.run("tournament", *SMALL, *ROUNDS, "--name", name, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done, commands.results / "tournament" / name


@pytest.fixture(scope="module")
def undisturbed(commands):
    return _league(commands, "watched")


@pytest.mark.slow
def test_a_clean_league_has_no_line_of_ray(undisturbed, commands):
    done, _ = undisturbed
    lines = done.stdout.replace(str(commands.results), "").splitlines()
    assert done.stderr == ""
    assert [line for line in lines if RAY.search(line)] == []
    assert "\x1b" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("command", ["cat >> FILE; sleep 1000", "cat >> FILE; exit 3", "/nonexistent/program"])
def test_whatever_the_notified_command_does_the_numbers_are_the_same(undisturbed, commands, tmp_path, command):
    file, name = tmp_path / "lines", f"notified{len(command)}"
    done, folder = _league(commands, name, "--notify", command.replace("FILE", str(file)))
    assert _losses(folder) == _losses(undisturbed[1])
    assert done.stderr.count("--notify: the command") <= 1 and "Traceback" not in done.stderr
    if "FILE" in command:
        lines = file.read_text().splitlines()
        ends = ["round 1 of 2 is over", "round 2 of 2 is over", "finished"]
        assert [line.split(":")[1].strip() for line in lines] == ends
        assert all(line.startswith(f"tournament {name}: ") for line in lines)


@pytest.mark.slow
def test_at_a_terminal_one_table_then_ctrl_c_saves_and_a_resume_ends_the_same(undisturbed, commands):
    environment = commands.environment | {"PYTHONPATH": str(REPO)}
    with Terminal("tournament", *SMALL, *ROUNDS, "--name", "seen", environment=environment, columns=80) as terminal:
        terminal.expect(r"tournament seen: round 1 of 2")
        terminal.expect(r"v01_dense_small +█.*running")
        folder = commands.results / "tournament" / "seen"
        watched = commands.run("tournament", "status")  # meanwhile, from elsewhere
        assert watched.stdout.startswith("tournament seen: round ") and "\nrunning" in watched.stdout
        terminal.send(CTRL_C)
        terminal.expect(r"saving, for 7 s at most")
        terminal.expect(r"stopped by SIGINT; saved: v0")
        terminal.expect(r"stopped; continue with `tournament --resume --name seen`")
        assert terminal.exit_code() == 130
        shown = OURS.sub("", terminal.raw.replace(str(commands.results), ""))
        assert not RAY.search(shown) and "Traceback" not in shown
        assert terminal.raw.count("\x1b[?25l") == terminal.raw.count("\x1b[?25h")
    stopped = commands.run("tournament", "status", "seen").stdout
    assert "\nstopped: nothing written for " in stopped and "continue: tournament --resume --name seen" in stopped
    assert commands.run("tournament", "--resume", "--name", "seen").returncode == 0
    assert _losses(folder) == _losses(undisturbed[1])
    assert "next: curriculum run winner --tournament seen" in commands.run("tournament", "status", "seen").stdout


@pytest.mark.slow
def test_status_of_a_league_that_was_killed(commands):
    process = commands.start("tournament", *SMALL, *ROUNDS, "--name", "died", start_new_session=True)
    folder = commands.results / "tournament" / "died"
    while not list(folder.glob("*/metrics.csv")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    status = commands.run("tournament", "status", "died").stdout
    assert re.search(r"^died: nothing written for .* s; last: v0\w+ at step \d+$", status, re.MULTILINE), status
    assert "broken off" in status and "continue: tournament --resume --name died" in status


@pytest.mark.slow
def test_a_clean_curriculum_has_no_line_of_ray_and_tells_of_its_stages(commands, tmp_path):
    file = tmp_path / "lines"
    done = commands.run(
        "curriculum.run", "v3", "--config", "smoke", "--name", "quiet", "--notify", f"cat >> {file}", timeout=600
    )
    assert done.returncode == 0 and done.stderr == "", done.stdout + done.stderr
    lines = done.stdout.replace(str(commands.results), "").splitlines()
    assert [line for line in lines if RAY.search(line)] == []
    told = file.read_text().splitlines()
    assert [line.split(" ended ")[0] for line in told[:-1]] == [
        f"curriculum quiet: stage {number} {stage.name}" for number, stage in enumerate(FLAT, start=1)
    ]
    assert told[-1] == f"curriculum quiet: finished: {commands.results / 'curriculum' / 'quiet' / 'final'}"
