"""Soak test (leaks): the whole pipeline again and again in one process tree, and the server for thousands of requests.

    python tests/benchmarks/soak.py [--rounds 50] [--requests 10000]       or: make soak
    python tests/benchmarks/soak.py --rounds 3 --requests 200 --out soak.md

A round is the preparation of 300 documents, a league of two on them, a curriculum of its winner, a fine-tuning of that,
and a reply, as small as they can be. All rounds run in *this* process, which calls the commands' own main() again and
again: so what a command leaves in its process stays and is counted, where processes of their own would take it with
them. Ray is started and shut down by the commands: twice a round its processes come and go. The server is the real
command in a process of its own, which is asked whole and streamed replies, broken requests, and by clients that leave
in the middle.

Counted after each round, and twenty times while the server is asked: processes, ports, entries of /dev/shm and of
folders that stand for /tmp, the home folder and the working folder, open files, threads and memory, of the process that
lives long and of the whole tree. Data out: a table in --out; exit code 1 where something is left behind, or memory
grows by 5 % or more over the second half. Where a command fails, its words and the last 20 lines of what it said are
printed.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import itertools
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

TESTS = Path(__file__).resolve().parents[1]
REPO = TESTS.parent
sys.path[:0] = [str(REPO), str(TESTS / "old_runs"), str(Path(__file__).parent)]

from leftovers import Figures, Tree, growth, leaks, own_place, table  # noqa: E402
from make import SMALL, STAGES  # noqa: E402

from hamner.runs.files import write_text  # noqa: E402

LEAGUE = (
    *("--config", "smoke", "--only", "v01_dense_small", "--only", "v03_diffattn_small"),
    *("tournament.mix={tinystories=0.75,synthetic=0.25}", "report=[]", "seeds=1", "steps=[4,4]", "keep=[2,1]"),
    *("tournament.eval_sequences=8", "tournament.checkpoint_every=4", "tournament.log_every=1", *SMALL),
)
STAGED = (
    *("--config", "smoke", "--allow-thin", "curriculum.eval_sequences=8", "skill_items=2", "max_epochs=1000"),
    *("max_steps=600", "checkpoint_every=6", "curriculum.log_every=1", "sample_tokens=4", "sample_every=6"),
    *("keep_checkpoints=2", "decay_steps=1", *SMALL),
)
FINETUNED = (
    *("finetuning.sources={builtin=1}", "identity=0.0", "finetuning.max_steps=4", "epochs=1000"),
    *("finetuning.batch_size=4", "evaluations=1", "patience=60", "finetuning.log_every=1"),
    *("finetuning.eval_sequences=4", "finetuning.checkpoint_every=4"),
)
DOCUMENTS, LINES = 300, 8  # that are prepared, and lines of one
TALK = REPO / "hamner" / "data" / "builtin_text" / "everyday"
LAST_LINES = 20  # of what a command said, where it fails
SAMPLES = 20  # of the server's figures
CLIENTS = 4  # that ask at a time
CHAT, TEXT, MODELS = "/v1/chat/completions", "/v1/completions", "/v1/models"
HELLO = [{"role": "user", "content": "hello there"}]
LENGTH = 8  # tokens of a reply


# -- the pipeline


def play_round(name: str, results: Path, log: io.TextIOBase) -> None:
    """One round of the pipeline in this process; its runs are removed. Raises SystemExit where a command fails."""
    import curriculum.run
    import hamner.chat
    import hamner.prepare_data
    import hamner.sft
    import tournament.run

    place, shards = ["--results", str(results)], results.parent / "shards"
    text, stages = results.parent / "text", results.parent / "stages.toml"
    write_documents(text / "tinystories" / "a.jsonl")
    stages.write_text(STAGES.replace("steps = 600", "steps = 6"))
    raised = ["winner", "--tournament", name, "--name", name, "--curriculum", str(stages)]
    prepared = ["--config", "smoke", "--data", str(text), "--sources", "tinystories", "--out", str(shards)]
    commands = (
        (hamner.prepare_data.main, [*prepared, *SMALL]),
        (tournament.run.main, ["--name", name, "--data", str(shards), *LEAGUE, *place]),
        (curriculum.run.main, [*raised, "--data", str(shards), *STAGED, *place]),
        (hamner.sft.main, [name, "--name", name, *FINETUNED, *place]),
        (hamner.chat.main, [name, "--temperature", "0", *place]),
    )
    for main, words in commands:
        run_command(main, words, log)
    for folder in (results, shards, text):
        shutil.rmtree(folder)


def write_documents(path: Path) -> None:
    """Documents of the project's own everyday talk, whose words the fine-tuning has as well, the same each time."""
    talk = [line for file in sorted(TALK.glob("*.txt")) for line in file.read_text(encoding="utf-8").splitlines()]
    path.parent.mkdir(parents=True)
    with path.open("w", encoding="utf-8") as file:
        for number in range(DOCUMENTS):
            file.write(json.dumps({"text": " ".join(talk[LINES * number : LINES * (number + 1)])}) + "\n")


def run_command(main: Callable[[Sequence[str]], int], words: Sequence[str], log: io.TextIOBase) -> None:
    """Call a command. Raises SystemExit with its words and the end of what it said where it fails, however it does."""
    problem = ""
    with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log), _standard_input("Hello"):
        try:
            code = main(words)
            problem = f"ended with {code}" if code else ""
        except SystemExit as leave:  # else this process would end with its code, and without a word
            problem = f"left with {leave.code}" if leave.code else ""
        except Exception as error:
            traceback.print_exc()
            problem = f"raised {type(error).__name__}"
    if problem:
        log.flush()
        said = Path(log.name).read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
        raise SystemExit("\n".join([f"{main.__module__} {shlex.join(words)} {problem}:", *said]))


@contextlib.contextmanager
def _standard_input(text: str) -> Iterator[None]:
    before, sys.stdin = sys.stdin, io.StringIO(text)
    try:
        yield
    finally:
        sys.stdin = before


def soak_pipeline(rounds: int, place: Path) -> list[Figures]:
    """Figures at the start, and after each round."""
    tree, log = Tree(place), place.parent / "commands.log"
    rows = [tree.figures()]
    with log.open("w", encoding="utf-8") as file:
        for number in range(1, rounds + 1):
            began = time.monotonic()
            play_round(f"round{number:02}", place.parent / "results", file)
            rows.append(tree.figures())
            print(f"round {number} of {rounds}: {time.monotonic() - began:.0f} s, {rows[-1]}", flush=True)
    return rows


# -- the server


def ask(address: str, number: int) -> None:
    """One request, of a kind by its number. Raises AssertionError for an answer that is not as it has to be."""
    chat = {"model": "mine", "messages": HELLO, "max_tokens": LENGTH, "seed": number}
    kinds = (
        (CHAT, chat, 200),
        (CHAT, chat | {"stream": True}, 200),
        (TEXT, {"model": "mine", "prompt": "the fox", "max_tokens": LENGTH}, 200),
        (CHAT, chat | {"max_tokens": 200, "stream": True}, None),  # a client that leaves
        (MODELS, None, 200),
        (CHAT, {"model": "mine", "messages": "hello"}, 400),
        ("/", None, 200),
    )
    path, body, status = kinds[number % len(kinds)]
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    try:
        data = None if body is None else json.dumps(body).encode()
        connection.request("GET" if body is None else "POST", path, data, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read(20 if status is None else None)
        assert content and response.status == (status or 200), (path, body, response.status, content[:300])
    finally:
        connection.close()


def soak_server(address: str, requests: int, tree: Tree, samples: int = SAMPLES) -> list[Figures]:
    """Figures before, and `samples` times while the server at an address is asked so many times."""
    for number in range(3 * CLIENTS):  # what is loaded with the first of each kind
        ask(address, number)
    time.sleep(0.5)
    rows, bounds = [tree.figures()], [requests * share // samples for share in range(samples + 1)]
    for first, last in itertools.pairwise(bounds):
        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(lambda number: ask(address, number), range(first, last)))
        time.sleep(0.5)  # a client that left is noticed at its next token
        rows.append(tree.figures())
    return rows


@contextlib.contextmanager
def serving(results: Path) -> Iterator[tuple[str, int]]:
    """(address, process) of `hamner serve`, which serves a model of random weights."""
    sys.path[:0] = [str(TESTS / "hamner"), str(TESTS / "hamner" / "inference")]
    from served import endless_model, save_run

    save_run(results, "mine", endless_model())
    words = [sys.executable, "-m", "hamner.serve", "mine", "--port", "0", "--results", str(results)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("http://"), line
        yield line.split("/  ")[0], process.pid
    finally:
        process.terminate()
        process.wait(30)


# -- the report


def report(title: str, rows: list[Figures], unit: str, at_start: str) -> tuple[list[str], list[str]]:
    """Lines of a part, and its problems. unit: what there is a row of figures for; the first row is of before it."""
    warm = rows[1:] or rows
    problems = leaks(warm) if len(warm) > 1 else []
    moments = {0: at_start, 1: f"{unit} 1", len(rows) // 2: f"{unit} {len(rows) // 2}", len(rows) - 1: "at the end"}
    lines = [f"## {title}", "", *table((name, rows[place]) for place, name in sorted(moments.items())), ""]
    lines.append(
        f"Memory over the second half: {growth([row.mib for row in warm]):+.2%} of the process, "
        f"{growth([row.tree_mib for row in warm]):+.2%} of the tree, by a robust slope. "
        + (f"**Left behind**: {'; '.join(problems)}." if problems else "Nothing is left behind.")
    )
    return [*lines, ""], problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50, help="of the pipeline; 0 leaves it out")
    parser.add_argument("--requests", type=int, default=10_000, help="to the server; 0 leaves it out")
    parser.add_argument("--out", type=Path, default=REPO / "results" / "reference" / "soak.md")
    options = parser.parse_args()
    options.out = options.out.resolve()  # the working folder becomes another
    began, problems = time.monotonic(), []
    lines = [
        "# Soak",
        "",
        f"Written by `python tests/benchmarks/soak.py --rounds {options.rounds} --requests {options.requests}`: "
        f"Python {platform.python_version()}, {os.cpu_count()} cores. What is counted, and how, is in its first lines.",
        "",
    ]
    with own_place() as place:
        if options.requests:
            with serving(place.parent / "served") as (address, pid):
                rows = soak_server(address, options.requests, Tree(place, pid))
            part = report(f"The server, {options.requests:,} requests", rows, "sample", "before")
            lines += part[0]
            problems += part[1]
            print("\n".join(part[0]), flush=True)
        if options.rounds:
            rows = soak_pipeline(options.rounds, place)
            part = report(f"The pipeline, {options.rounds} rounds in one process tree", rows, "round", "at the start")
            lines += part[0]
            problems += part[1]
            print("\n".join(part[0]), flush=True)
    lines.append(f"It took {(time.monotonic() - began) / 60:.0f} minutes.")
    write_text(options.out, "\n".join(lines) + "\n")
    print(f"written: {options.out}")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
