"""The command `hamner sft`: kill -9 and --resume give the same losses; bad input is refused before anything starts."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from hamner import sft
from hamner.runs.files import read_json

SETTINGS = ("max_steps=24", "evaluations=6")


@pytest.fixture
def results(commands, base_results):
    """The results folder of `commands`, with the base in it."""
    base = commands.results / "curriculum" / "mini"
    if not base.exists():
        shutil.copytree(base_results / "curriculum" / "mini", base)
    return commands.results


def rows(folder):
    """Step and losses of each row of metrics.csv."""
    path = folder / "metrics.csv"
    return [line.split(",")[:6] for line in path.read_text().splitlines()] if path.is_file() else []


def start_and_kill(commands, results, name, number, after):
    """Start a run, and send it a signal once so many rows are written; its exit code."""
    process = commands.start("hamner.sft", "mini", "--name", name, *SETTINGS)
    until = time.monotonic() + 200
    while len(rows(results / "sft" / name)) <= after and process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    assert process.poll() is None, process.communicate()
    process.send_signal(number)
    process.communicate()
    return process.returncode


@pytest.mark.slow
def test_kill_and_resume_give_the_same_losses_and_the_same_replies(commands, results):
    whole = commands.run("hamner.sft", "mini", "--name", "whole", *SETTINGS)
    assert whole.returncode == 0, whole.stderr
    assert "license: GPL-3.0-only" in whole.stdout and "held-out replies" in whole.stdout
    assert start_and_kill(commands, results, "killed", signal.SIGKILL, 10) == -signal.SIGKILL
    again = commands.run("hamner.sft", "mini", "--resume", "--name", "killed")
    assert again.returncode == 0, again.stderr
    folders = [results / "sft" / name for name in ("whole", "killed")]
    assert all("learnt to reply in" in (folder / "report.html").read_text() for folder in folders)
    assert rows(folders[0]) == rows(folders[1]) and len(rows(folders[0])) == 25
    documents = [read_json(folder / "finetuning.json") for folder in folders]
    assert documents[0]["looks"] == documents[1]["looks"] and documents[0]["before"] == documents[1]["before"]
    lines = (folders[1] / "resume.jsonl").read_text().splitlines()
    assert len(lines) == 1  # what the kill cost
    replies = [commands.run("hamner.chat", name, stdin="Hello").stdout for name in ("whole", "killed")]
    assert replies[0] == replies[1] and replies[0].strip()


@pytest.mark.slow  # the kill above is quick
def test_a_signal_saves_and_leaves_and_a_finished_run_is_not_trained_again(commands, results):
    assert start_and_kill(commands, results, "told", signal.SIGTERM, 5) == 128 + signal.SIGTERM
    steps = [path.name for path in (results / "sft" / "told" / "checkpoints").glob("step_*")]
    assert steps and not (results / "sft" / "told" / "final").exists()
    again = commands.run("hamner.sft", "--resume", "--name", "told")
    assert again.returncode == 0, again.stderr
    finished = commands.run("hamner.sft", "--resume", "--name", "told")
    assert finished.returncode == 0 and "told is finished" in finished.stdout


BAD = {
    "run": (["mine"], "no run or folder 'mine'; did you mean 'mini'?"),
    "key": (["mini", "max_replay_tokens=3"], "did you mean 'max_reply_tokens'"),
    "range": (["mini", "replay=1.5"], "replay"),
    "resume": (["--resume", "--name", "none"], "has no sft run 'none' to resume"),
    "data": (["mini", "--name", "mini", "--data", "/none"], "no data folder '/none'"),
    "source": (["mini", "sources={soup=1.0}"], "unknown source 'soup'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_code_2(base_results, capsys, case):
    words, problem = BAD[case]
    assert sft.main([*words, "--results", str(base_results)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and problem in error and error.count("\n") == 1, error
    assert not (base_results / "sft" / "mini").exists()


@pytest.mark.parametrize("words", [["mine"], ["mini", "max_replay_tokens=3"]])
def test_slips_are_refused_without_torch(base_results, words):
    """In a process whose imports of torch fail."""
    script = "import sys; sys.modules['torch'] = None; from hamner.sft import main; sys.exit(main(sys.argv[1:]))"
    answer = subprocess.run(
        [sys.executable, "-c", script, *words],
        env=os.environ | {"HAMNER_RESULTS": str(base_results)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 2 and answer.stderr.startswith("error: "), answer.stderr


def test_conversations_that_cannot_be_read_leave_nothing_behind(base_results, tmp_path, capsys):
    folder = tmp_path / "sft" / "broken"
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_text('{"messages": [\n' * 20)
    assert sft.main(["mini", "--results", str(base_results), "--data", str(tmp_path), "--name", "broken"]) == 2
    assert "20 of 20 records are malformed" in capsys.readouterr().err
    assert not (base_results / "sft" / "broken").exists()
