"""Bad input through the real commands (command line): exit code 2, words, no traceback, and nothing is written.

What is no file of a command, a request to the server, is posted to a real server: a status of 400 or more, in JSON.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import readers
from command_words import CONFIG, MODULES, words_of
from hypothesis import HealthCheck, Phase, given, settings
from kinds import KINDS, Kind, check
from refusals import STEERING, tree
from run_fuzz import shape

NOT_CONFIGURED = ("serve", "chat")  # commands without --config
QUICK, SLOW, REQUESTS = 12, 300, 25


def _words(folder: Path, case: bytes) -> tuple[str, list[str]]:
    command, *words = words_of(case)
    if command not in NOT_CONFIGURED and "--config" not in words:
        words += ["--config", CONFIG]
    return MODULES[command], words


# the file is the only one of a source named `here`, as the folder of the test is
PREPARE = ("hamner.prepare_data", ["--config", CONFIG, "--data", "..", "--sources", "here", "--out", "out"])
TOKENIZED = ["--config", CONFIG, "--data", "builtin", "tokenizer=.", "--out", "out"]
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
    "standings": lambda folder, case: ("tournament.compare", ["old", "old"]),
    "tokenizer": lambda folder, case: ("hamner.prepare_data", TOKENIZED),
    "JSON lines": lambda folder, case: PREPARE,
    "parquet": lambda folder, case: PREPARE,
    "ledger": lambda folder, case: ("tournament.status", ["old"]),
    "log of a ledger": lambda folder, case: ("tournament.status", ["old"]),
    "resume of a ledger": lambda folder, case: ("tournament.run", ["--resume", "--name", "old"]),
    "config of a league": lambda folder, case: ("tournament.status", ["old"]),
    "records of stages": lambda folder, case: ("curriculum.status", ["old"]),
    "friend": lambda folder, case: ("hamner.friend", ["--name", "ada", "--results", ".", "--plan"]),
    "pipe": lambda folder, case: ("hamner.chat", ["model"]),
    "feedback": lambda folder, case: ("hamner.feedback", ["list", "--data", "."]),
    "votes": lambda folder, case: ("tournament.arena", ["--results", "."]),
    "plan of a config": lambda folder, case: ("tournament.run", ["--config", "own.toml", "--plan"]),
    "config of a curriculum": lambda folder, case: ("curriculum.status", ["old"]),
    "JSON": lambda folder, case: PREPARE,
    "CSV": lambda folder, case: PREPARE,
    "captions": lambda folder, case: ("hamner.process_youtube", ["a.vtt", "--out", "out"]),
}
READ_ALONE = {  # kind: as its command reads it, where the fuzzer reads it as several do
    "standings": readers.compared_leagues,
    **{name: readers.own_source(KINDS[name].file) for name in ("JSON lines", "JSON", "CSV", "parquet")},
}
OF_COMMANDS = {name: replace(KINDS[name], read=READ_ALONE.get(name, KINDS[name].read)) for name in COMMANDS}
# in --out: locks, and what prepare_data keeps to go on with once the file is mended; no text and no tokenizer of it
UNFINISHED = re.compile(
    r"out(/\.prepare\.lock|/youtube(/process\.lock)?|/unfinished(/plan\.json|/[\w.]+\.survey\.npz)?)?"
)
NO_SAMPLES = "captions"  # a problem of one video is a line on stdout, and exit code 1 says that no video is left
OTHERS = ("hamner.feedback", "hamner.process_youtube", "curriculum.status")
IMPORTED = sorted({*MODULES.values(), *OTHERS, *(f"tournament.{name}" for name in ("arena", "compare", "status"))})


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


def _refused(kind: Kind, folder: Path, count: int) -> list[bytes]:
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
    @given(kind.cases)
    def draw(case):
        if len(found) < count and len(case) < 100_000 and (lines := check(kind, case, folder)):
            found.setdefault(shape(lines[0]), case)

    draw()
    return list(found.values())


def _check_command(name: str, case: bytes, folder: Path, run) -> None:
    expected = check(OF_COMMANDS[name], case, folder)  # and its file is there
    (folder / "model" / "final").mkdir(parents=True, exist_ok=True)
    before = tree(folder)
    code = run(*COMMANDS[name](folder, case), folder, case if name == "pipe" else b"")
    err = (folder.parent / "err").read_text(encoding="utf-8")
    out = (folder.parent / "out").read_text(encoding="utf-8")
    assert code == (1 if name == NO_SAMPLES else 2), (name, case[:200], err)
    assert "a.vtt: " in out if name == NO_SAMPLES else "error: " in err, (name, case[:200], out, err)
    assert "Traceback" not in err + out, err
    written = sorted(set(tree(folder).items()) ^ set(before.items()))
    written = [path for path, _ in written if not UNFINISHED.fullmatch(str(Path(path).relative_to(folder)))]
    assert not written, (name, written)
    shutil.rmtree(folder / "out", ignore_errors=True)
    assert not STEERING.search(err) and not STEERING.search(out)
    assert expected


def _examine(total: int, tmp_path: Path, run) -> Iterator[str]:
    """Check so many cases, of the kinds in turn; a kind's cases are drawn when it is first its turn."""
    each = 2 * -(-total // len(COMMANDS))  # some kinds have fewer refusals
    queues: dict[str, Iterator[bytes]] = {}
    names = list(COMMANDS)
    while names:
        for name in tuple(names):
            folder = tmp_path / name.replace(" ", "_") / "here"
            if name not in queues:
                folder.mkdir(parents=True)
                KINDS[name].make(folder)
                count = 4 * each if name == "overrides and options" else each
                queues[name] = iter(_refused(OF_COMMANDS[name], folder, count))
            case = next(queues[name], None)
            if case is None:
                names.remove(name)
                continue
            _check_command(name, case, folder, run)
            yield name


@pytest.mark.slow
def test_bad_input_ends_the_real_command_with_exit_code_2(tmp_path, run):
    names = list(islice(_examine(QUICK, tmp_path, run), QUICK))
    assert len(names) == QUICK and len(set(names)) == QUICK


@pytest.mark.slow
def test_bad_input_of_300_sorts_ends_the_real_commands_with_exit_code_2(tmp_path, run):
    names = list(islice(_examine(SLOW, tmp_path, run), SLOW))
    assert len(names) == SLOW and set(names) == set(COMMANDS)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "path"), [("chat request", "chat/completions"), ("text request", "completions")])
def test_a_bad_request_is_answered_in_json_by_a_real_server(tmp_path, name, path, capfd):
    from served import endless_model, fetch, running

    cases = _refused(KINDS[name], tmp_path, 2 * REQUESTS)[:REQUESTS]
    assert len(cases) == REQUESTS
    with running(endless_model()) as (address, _):
        for case in cases:
            status, _, body = fetch(address, f"/v1/{path}", case)
            assert 400 <= status < 500 and json.loads(body)["error"]["message"], (case[:200], status, body)
    assert "Traceback" not in "".join(capfd.readouterr())
