"""Streaming from the hub, against folders that are named as its datasets are and read by the unchanged calls."""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from hub_site import COMMIT, hub_site, large_rows, parquet

from hamner.config.errors import BadInput
from hamner.data.hub_errors import PERMANENT
from hamner.data.sources import SOURCES
from hamner.data.sources.hub_stream import HubStream, stage
from hamner.data.tokenizer import Tokenizer

TALES = SOURCES["tinystories"]


def _in_folder(code, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        text=True,
        capture_output=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(cwd / "cache")} | environment,
    )


@pytest.fixture
def online(tmp_path, monkeypatch):
    """Serves a dataset whose requests meet `fault`; gives the site."""
    with ExitStack() as stack:

        def serve(fault, data=b""):
            site, address = stack.enter_context(hub_site(fault, data))
            for name, value in {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": address, "HF_HOME": str(tmp_path)}.items():
                monkeypatch.setenv(name, value)
            return site

        yield serve


TEXTS = large_rows(100)  # fetched by six requests: two for what the file is, four of some 32 MiB


def _stream(deadline, texts, lines=None, **where):
    """Adds what the stream gives to `texts`; returns the state after each batch, what it ended with and when after
    the last row."""
    say = (lines if lines is not None else []).append
    stream = HubStream(TALES, deadline, rows_at_once=7, say=say, **where)
    states, last = [], time.monotonic()
    try:
        for batch in stream.batches():
            texts += batch
            states.append(stream.state)
            last = time.monotonic()
        return states, None, 0.0
    except BadInput as error:
        return states, str(error), time.monotonic() - last


def test_a_stream_continues_from_its_state(hub_folder):
    """Batches of 7 rows of 41, row groups of 7: broken off after 3, the rest comes from the state alone."""
    stream = HubStream(TALES, 20.0, rows_at_once=7)
    with closing(stream.batches()) as batches:
        first = [text for _ in range(3) for text in next(batches)]
    rest, whole = [], []
    assert len(_stream(20.0, rest, revision=stream.revision, state=json.loads(json.dumps(stream.state)))[0]) == 3
    assert len(_stream(20.0, whole)[0]) == 6
    assert len(first) == 21 and len(rest) == 20 and first + rest == whole


def test_an_error_in_the_middle_is_tried_again_and_no_row_is_lost_or_had_twice(online):
    """The second part of the file comes torn, and in the next try the third not at all. Then, near the end: six
    requests of 0.4 s until the next row, with a deadline of 2 s, are no silence."""
    site = online(lambda kind, n: {("data", 4): "torn", ("data", 9): (403, "Forbidden")}.get((kind, n)), parquet(TEXTS))
    texts, lines = [], []
    states, error, _ = _stream(30.0, texts, lines)
    assert error is None and texts == TEXTS
    assert len(lines) == 2 and all("tinystories: the hub failed (" in line for line in lines)
    assert "403" in lines[1]
    site.fault, site.requests, rest = lambda kind, n: 0.4 if kind == "data" else None, {}, []
    assert _stream(2.0, rest, revision=COMMIT, state=states[-2])[1] is None
    assert rest == TEXTS[-2:] and site.requests["data"] == 6


def test_failing_at_the_same_place_again_and_again_ends_at_the_deadline(online):
    """The second part of the file is always torn: what comes before it is no sign of life, the second time."""
    online(lambda kind, n: "torn" if kind == "data" and n % 4 == 0 else None, parquet(TEXTS[:60]))
    texts, lines = [], []
    _, error, seconds = _stream(2.0, texts, lines)
    assert 7 <= len(texts) < 50 and texts == TEXTS[: len(texts)] and lines
    assert "gave nothing for 2 s (" in error and "no answer" not in error
    assert seconds < 2 + 4  # a torn part counts as come, once


@pytest.mark.parametrize("silent", ["info", "listing", "tokenizer"])
def test_a_hub_that_does_not_answer_is_given_up_at_the_deadline(online, silent):
    online(lambda kind, n: "hang" if kind == silent else None)
    began = time.monotonic()
    with pytest.raises(BadInput) as caught:
        if silent == "tokenizer":
            Tokenizer.load("some/tokenizer", 1.0)
        else:
            next(HubStream(TALES, 1.0).batches())
    (problem,) = caught.value.problems
    assert ("'some/tokenizer'" if silent == "tokenizer" else "gave nothing for 1 s (no answer)") in problem
    assert time.monotonic() - began < 1 + 5  # the libraries are imported first


SILENT = """
import time
from hamner.data.sources import SOURCES
from hamner.data.sources.hub_stream import HubStream
from hamner.runs.cli import run_command
def command(_):
    global last
    for batch in HubStream(SOURCES["tinystories"], 2.0, rows_at_once=7).batches():
        last = time.time()
        print(len(batch))
code = run_command(command, [])
print(f"{last} {time.time()}")
raise SystemExit(code)
"""


def test_a_part_that_never_comes_is_given_up_at_the_deadline_and_the_process_exits_at_once(online, tmp_path):
    """Arrow's thread waits for it: in a process that exits it would abort."""
    site = online(lambda kind, n: "hang" if (kind, n) == ("data", 4) else None, parquet(TEXTS[:60]))
    process = _in_folder(SILENT, tmp_path, HF_HUB_OFFLINE="0", HF_ENDPOINT=os.environ["HF_ENDPOINT"])
    ended = time.time()
    assert process.returncode == 2, process.stderr
    assert "gave nothing for 2 s (no answer)" in process.stderr and "Traceback" not in process.stderr
    last, refused = map(float, process.stdout.splitlines()[-1].split())
    assert site.requests["data"] == 4 and 2 <= refused - last < 4 and ended - refused < 2


def _refused_at_once(name):
    """What a stream with a deadline of a minute raises within ten seconds, without a second try."""
    lines, began = [], time.monotonic()
    with pytest.raises(BadInput, match="cannot be streamed from hub dataset") as caught:
        next(HubStream(SOURCES[name], 60.0, say=lines.append).batches())
    assert "gave nothing" not in str(caught.value) and lines == [] and time.monotonic() - began < 10
    return str(caught.value)


@pytest.mark.parametrize(
    ("answer", "kind"), [((404, "RepoNotFound"), "RepositoryNotFoundError"), ((403, "GatedRepo"), "GatedRepoError")]
)
def test_a_dataset_that_cannot_be_had_is_refused_at_once(online, answer, kind):
    online(lambda *_: answer)
    assert PERMANENT[kind] in _refused_at_once("tinystories")


def test_a_part_of_a_dataset_that_does_not_exist_is_refused_at_once(hub_folder):
    Path("HuggingFaceFW/fineweb-edu/README.md").unlink()
    assert "BuilderConfig 'sample-10BT' not found" in _refused_at_once("fineweb_edu")


PIECES = {"rows_at_once": 3, "piece_characters": 900}
KILLED = f"""
import os
from pathlib import Path
from hamner.data.sources import SOURCES
from hamner.data.sources.hub_stream import stage
calls = []
def advance(size):
    calls.append(size)
    if len(calls) == 7:
        os.kill(os.getpid(), 9)
stage(SOURCES["tinystories"], Path("killed"), 10**6, 20.0, print, advance, **{PIECES})
"""


def _pieces(place):
    return {
        path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in (place / "tinystories").glob("*.parquet")
    }


def test_a_killed_stream_continues_after_its_last_piece(hub_folder):
    """14 batches in pieces of 3 batches or so; killed in the sixth, then left alone; beside one that never was."""
    killed, calm = hub_folder / "killed", hub_folder / "calm"
    assert _in_folder(KILLED, hub_folder).returncode == -9
    before = _pieces(killed)
    assert 1 <= len(before) <= 3
    staged, calmly = (stage(TALES, folder, 10**6, 20.0, print, **PIECES) for folder in (killed, calm))
    after = _pieces(killed)
    assert len(after) >= 4 and before.items() <= after.items()
    files, calm_files = staged.files(TALES, killed), calmly.files(TALES, calm)
    assert [path.read_bytes() for path in files] == [path.read_bytes() for path in calm_files]
    assert [path.name for path in files] == sorted(after)
    assert stage(TALES, killed, 10**6, 20.0, print) == staged


UNREACHABLE = """
import time
from hamner.data.sources import SOURCES
from hamner.data.sources.hub_stream import HubStream
from hamner.runs.cli import run_command
began = time.monotonic()
code = run_command(lambda _: len(list(HubStream(SOURCES["tinystories"], 2.0, say=print).batches())), [])
print(time.monotonic() - began)
raise SystemExit(code)
"""


@pytest.mark.parametrize("is_offline", [True, False])
def test_an_unreachable_hub_is_bad_input_within_the_deadline(tmp_path, is_offline):
    process = _in_folder(UNREACHABLE, tmp_path, HF_HUB_OFFLINE=str(int(is_offline)), HF_ENDPOINT="http://127.0.0.1:9")
    assert process.returncode == 2, process.stdout + process.stderr
    assert "error: source 'tinystories' cannot be streamed from hub dataset 'roneneldan/TinyStories'" in process.stderr
    assert ("gave nothing for 2 s" in process.stderr) == (not is_offline) and "--data builtin" in process.stderr
    assert "Traceback" not in process.stderr
    assert ("trying again in" in process.stdout) == (not is_offline)  # a network that is switched off stays so
    assert float(process.stdout.split()[-1]) < 2 + 5  # the libraries are imported first
