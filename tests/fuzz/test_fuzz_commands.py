"""Bad input through the real commands (command line): exit code 2, words, no traceback, and nothing is written."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import pytest
from command_words import CONFIG, MODULES, words_of
from hypothesis import HealthCheck, Phase, given, settings
from kinds import KINDS, check
from refusals import STEERING, tree
from run_fuzz import shape

NOT_CONFIGURED = ("serve", "chat")  # commands without --config
QUICK, SLOW = 12, 300


def _words(folder: Path, case: bytes) -> tuple[str, list[str]]:
    command, *words = words_of(case)
    if command not in NOT_CONFIGURED and "--config" not in words:
        words += ["--config", CONFIG]
    return MODULES[command], words


COMMANDS = {  # kind: module and words of the command that reads a case of it
    "overrides and options": _words,
    "config file": lambda folder, case: ("tournament.run", ["--config", "own.toml"]),
    "config of a run": lambda folder, case: ("tournament.run", ["--config", "config.json"]),
    "league file": lambda folder, case: ("tournament.run", ["--config", CONFIG, "--league", "league.toml"]),
    "curriculum file": lambda folder, case: (
        "curriculum.run",
        ["v3", "--config", CONFIG, "--curriculum", "stages.toml"],
    ),
    "model file": lambda folder, case: ("curriculum.run", ["model.json", "--config", CONFIG, "--results", "."]),
    "winner file": lambda folder, case: ("curriculum.run", ["winner.json", "--config", CONFIG, "--results", "."]),
    "ledger": lambda folder, case: ("tournament.status", ["old"]),
    "log of a ledger": lambda folder, case: ("tournament.status", ["old"]),
    "resume of a ledger": lambda folder, case: ("tournament.run", ["--resume", "--name", "old"]),
    "config of a league": lambda folder, case: ("tournament.status", ["old"]),
    "records of stages": lambda folder, case: ("curriculum.status", ["old"]),
    "friend": lambda folder, case: ("hamner.friend", ["--name", "ada", "--results", ".", "--plan"]),
    "pipe": lambda folder, case: ("hamner.chat", ["model"]),
    "feedback": lambda folder, case: ("hamner.feedback", ["list", "--data", "."]),
    "votes": lambda folder, case: ("tournament.arena", ["--results", "."]),
}
IMPORTED = sorted({*MODULES.values(), "hamner.feedback", "tournament.arena", "tournament.status", "curriculum.status"})


@pytest.fixture(scope="module")
def run():
    """run(module, words, folder, stdin) -> the exit code of a command."""
    environment = os.environ | {"HAMNER_RESULTS": "results", "CUDA_VISIBLE_DEVICES": ""}
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("fork_server.py")), json.dumps(IMPORTED)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment | {"PYTHONPATH": f"{root}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
    )

    def run(module: str, words: list[str], folder: Path, stdin: bytes) -> int:
        (folder.parent / "stdin").write_bytes(stdin)
        job = {"module": module, "words": words, "folder": str(folder)}
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    yield run
    process.stdin.close()
    process.wait(30)
    process.stdout.close()


def _refused(name: str, folder: Path, count: int) -> list[bytes]:
    """Cases of a kind that are refused in process, each in words of its own where there are enough."""
    found: dict[str, bytes] = {}

    @settings(
        max_examples=6 * count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(KINDS[name].cases)
    def draw(case):
        if len(found) < count and len(case) < 100_000 and (lines := check(KINDS[name], case, folder)):
            found.setdefault(shape(lines[0]), case)

    draw()
    return list(found.values())


def _check_command(name: str, case: bytes, folder: Path, run) -> None:
    expected = check(KINDS[name], case, folder)  # and its file is there
    (folder / "model" / "final").mkdir(parents=True, exist_ok=True)
    before = tree(folder)
    code = run(*COMMANDS[name](folder, case), folder, case if name == "pipe" else b"")
    err = (folder.parent / "err").read_text(encoding="utf-8")
    out = (folder.parent / "out").read_text(encoding="utf-8")
    assert code == 2, (name, case[:200], err)
    assert err.count("error: ") >= 1 and "Traceback" not in err + out, err
    assert tree(folder) == before, name
    assert not STEERING.search(err) and not STEERING.search(out)
    assert expected


def _examine(total: int, tmp_path: Path, run) -> Iterator[str]:
    """Check so many cases, of the kinds in turn."""
    each = -(-total // len(COMMANDS)) + 2
    queues = {}
    for name in COMMANDS:
        folder = tmp_path / name.replace(" ", "_") / "here"
        folder.mkdir(parents=True)
        KINDS[name].make(folder)
        queues[name] = iter(_refused(name, folder, each if name != "overrides and options" else 4 * each))
    for name in cycle(COMMANDS):
        if not queues:
            return
        for case in islice(queues.get(name, ()), 1):
            _check_command(name, case, tmp_path / name.replace(" ", "_") / "here", run)
            yield name
            break
        else:
            queues.pop(name, None)


@pytest.mark.slow
def test_bad_input_ends_the_real_command_with_exit_code_2(tmp_path, run):
    names = list(islice(_examine(QUICK, tmp_path, run), QUICK))
    assert len(names) == QUICK and len(set(names)) == QUICK


@pytest.mark.slow
def test_bad_input_of_300_sorts_ends_the_real_commands_with_exit_code_2(tmp_path, run):
    names = list(islice(_examine(SLOW, tmp_path, run), SLOW))
    assert len(names) >= 250
