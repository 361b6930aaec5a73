"""Streaming from the hub, against folders that are named as its data sets are and read by the unchanged calls."""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from hub_site import COMMIT, hub_site, large_rows, parquet
from test_prepare_data import TEXT_NAMES, _parquet, _prose, _texts, _write_sources

from hamner.config.errors import BadInput
from hamner.data.preparation import decide, write_shards
from hamner.data.sources import SOURCES, hub_stream
from hamner.data.tokenizer import Tokenizer
from hamner.prepare_data import main

HUB = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_prepare_data as t
config = t._config("hub", f"data.local_path={Path('own').resolve()}", "data.heldout_fraction=0.2")
corpus, tokenizer = t.prepare(config, Path("out"), t.NAMES, tokenizer=None, seq_len=16, hub_tokens=10**6)
texts = {name: [t._documents(tokenizer, side(name)) for side in (corpus.train, corpus.heldout)]
         for name in ("tinystories", "fineweb_edu")}
json.dump([texts, corpus.manifest["sources"]], open("told.json", "w"))
"""


def _in_folder(code, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)],
        cwd=cwd,
        text=True,
        capture_output=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(cwd / "cache")} | environment,
    )


@pytest.fixture
def hub_folder(tmp_path, monkeypatch):
    """A working directory in which the two hub data sets lie."""
    web = tmp_path / "HuggingFaceFW" / "fineweb-edu"
    _parquet(tmp_path / "roneneldan" / "TinyStories" / "train.parquet", [*_texts("tinystories"), " too short "])
    _parquet(web / "sample" / "10BT" / "000_00000.parquet", _texts("fineweb_edu"))
    _parquet(web / "data" / "other.parquet", ["another part of it, longer than fifty characters " * 2])
    (web / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files: data/*\n"
        "- config_name: sample-10BT\n  data_files: sample/10BT/*\n---\n"
    )
    _write_sources(tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_the_hub_is_streamed(hub_folder):
    done = _in_folder(HUB, hub_folder)
    assert done.returncode == 0, done.stderr
    texts, facts = json.loads((hub_folder / "told.json").read_text())
    for name in ("tinystories", "fineweb_edu"):
        assert sorted(texts[name][0] + texts[name][1]) == sorted(_texts(name))
    assert [facts[name]["documents"] + facts[name]["heldout_documents"] for name in TEXT_NAMES] == [40] * 4
    assert facts["tinystories"]["dropped"]["too_short"] == 1
    assert (facts["tinystories"]["licence"], facts["fineweb_edu"]["licence"]) == ("CDLA-Sharing-1.0", "ODC-By 1.0")
    assert facts["fineweb_edu"]["origin"] == "hub: HuggingFaceFW/fineweb-edu"
    assert {path.suffix for path in (hub_folder / "out").iterdir()} == {".bin", ".json"}  # nothing else is left
    assert "streaming some 1,000,000 tokens of each hub source for this run alone" in done.stdout


@pytest.fixture
def online(tmp_path, monkeypatch):
    """Serves a data set whose requests meet `fault`; gives the site."""
    with ExitStack() as stack:

        def serve(fault, data=b""):
            site, address = stack.enter_context(hub_site(fault, data))
            for name, value in {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": address, "HF_HOME": str(tmp_path)}.items():
                monkeypatch.setenv(name, value)
            monkeypatch.setattr(hub_stream, "ROWS_AT_ONCE", 7)
            return site

        yield serve


TEXTS = large_rows(100)  # fetched by six requests: two for what the file is, four of some 32 MiB


def _stream(deadline, texts, said=None, **where):
    """What the stream gives is added to `texts`; returns the state after each batch, what it ended with and when
    after the last row."""
    say = (said if said is not None else []).append
    stream = hub_stream.HubStream(SOURCES["tinystories"], deadline, say=say, **where)
    states, last = [], time.monotonic()
    try:
        for batch in stream.batches():
            texts += batch
            states.append(stream.state)
            last = time.monotonic()
        return states, None, 0.0
    except BadInput as error:
        return states, str(error), time.monotonic() - last


def test_a_stream_goes_on_from_its_state(hub_folder, monkeypatch):
    """Batches of 7 rows of 41, row groups of 7: broken off after 3, the rest comes from the state alone."""
    monkeypatch.setattr(hub_stream, "ROWS_AT_ONCE", 7)
    stream = hub_stream.HubStream(SOURCES["tinystories"], 20.0)
    with closing(stream.batches()) as batches:
        first = [text for _ in range(3) for text in next(batches)]
    rest, whole = [], []
    assert len(_stream(20.0, rest, revision=stream.revision, state=json.loads(json.dumps(stream.state)))[0]) == 3
    assert len(_stream(20.0, whole)[0]) == 6
    assert len(first) == 21 and len(rest) == 20 and first + rest == whole


def test_an_error_in_the_middle_is_tried_again_and_no_row_is_lost_or_had_twice(online):
    """The second part of the file comes torn, and in the next try the third not at all. Then, near the end: six
    requests of 0.8 s until the next row, with a deadline of 4 s, are no silence."""
    site = online(lambda kind, n: {("data", 4): "torn", ("data", 9): (403, "Forbidden")}.get((kind, n)), parquet(TEXTS))
    texts, said = [], []
    states, error, _ = _stream(30.0, texts, said)
    assert error is None and texts == TEXTS
    assert len(said) == 2 and all("tinystories: the hub failed (" in line for line in said)
    assert "403" in said[1]
    site.fault, site.asked, rest = lambda kind, n: 0.8 if kind == "data" else None, {}, []
    assert _stream(4.0, rest, revision=COMMIT, state=states[-2])[1] is None
    assert rest == TEXTS[-2:] and site.asked["data"] == 6


def test_failing_at_the_same_place_again_and_again_is_told_at_the_deadline(online):
    """The second part of the file is always torn: what comes before it is no sign of life, the second time."""
    online(lambda kind, n: "torn" if kind == "data" and n % 4 == 0 else None, parquet(TEXTS[:60]))
    texts, said = [], []
    _, error, seconds = _stream(3.0, texts, said)
    assert 7 <= len(texts) < 50 and texts == TEXTS[: len(texts)] and said
    assert "gave nothing for 3 s (" in error and "no answer" not in error
    assert seconds < 3 + 4  # a torn part counts as come, once


@pytest.mark.parametrize("silent", ["info", "listing", "tokenizer"])
def test_a_hub_that_does_not_answer_is_told_at_the_deadline(online, silent):
    online(lambda kind, n: "hang" if kind == silent else None)
    began = time.monotonic()
    with pytest.raises(BadInput) as told:
        if silent == "tokenizer":
            Tokenizer.load("some/tokenizer", 2.0)
        else:
            next(hub_stream.HubStream(SOURCES["tinystories"], 2.0).batches())
    assert {"tokenizer": "tokenizer 'some/tokenizer' is not a folder"}.get(
        silent, "gave nothing for 2 s (no answer)"
    ) in str(told.value)
    assert time.monotonic() - began < 2 + 5  # the libraries are imported first


SILENT = """
import time
from hamner.command import run_command
from hamner.sources import SOURCES, hub
hub_stream.ROWS_AT_ONCE = 7
def command(_):
    global last
    for batch in hub_stream.HubStream(SOURCES["tinystories"], 2.0).batches():
        last = time.time()
        print(len(batch))
code = run_command(command, [])
print(f"{last} {time.time()}")
raise SystemExit(code)
"""


def test_a_part_that_never_comes_is_told_at_the_deadline_and_the_process_exits_at_once(online, tmp_path):
    """Arrow's thread waits for it: in a process that exits it would abort."""
    site = online(lambda kind, n: "hang" if (kind, n) == ("data", 4) else None, parquet(TEXTS[:60]))
    done = _in_folder(SILENT, tmp_path, HF_HUB_OFFLINE="0", HF_ENDPOINT=os.environ["HF_ENDPOINT"])
    ended = time.time()
    assert done.returncode == 2, done.stderr
    assert "gave nothing for 2 s (no answer)" in done.stderr and "Traceback" not in done.stderr
    last, told = map(float, done.stdout.splitlines()[-1].split())
    assert site.asked["data"] == 4 and 2 <= told - last < 4 and ended - told < 2


def _told_at_once(name):
    """What a stream with a deadline of a minute says within ten seconds, without a second try."""
    said, began = [], time.monotonic()
    with pytest.raises(BadInput, match="cannot be streamed from hub dataset") as told:
        next(hub_stream.HubStream(SOURCES[name], 60.0, say=said.append).batches())
    assert "gave nothing" not in str(told.value) and said == [] and time.monotonic() - began < 10
    return str(told.value)


@pytest.mark.parametrize(
    ("answer", "why"),
    [((404, "RepoNotFound"), "it does not exist on the Hugging Face Hub"), ((403, "GatedRepo"), "it is gated")],
)
def test_a_data_set_that_cannot_be_had_is_told_at_once(online, answer, why):
    online(lambda kind, n: answer)
    assert why in _told_at_once("tinystories")


def test_a_part_of_a_data_set_that_does_not_exist_is_told_at_once(hub_folder):
    Path("HuggingFaceFW/fineweb-edu/README.md").unlink()
    assert "BuilderConfig 'sample-10BT' not found" in _told_at_once("fineweb_edu")


KILLED = """
import os
from pathlib import Path
from hamner.sources import SOURCES, hub
hub_stream.ROWS_AT_ONCE, hub_stream.PIECE_CHARACTERS = 3, 900
told = []
def advance(_):
    told.append(_)
    if len(told) == 7:
        os.kill(os.getpid(), 9)
hub_stream.stage(SOURCES["tinystories"], Path("killed"), 10**6, 20.0, print, advance)
"""


def _pieces(place):
    return {
        path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in (place / "tinystories").glob("*.parquet")
    }


def test_a_killed_stream_goes_on_after_its_last_piece(hub_folder, monkeypatch):
    """14 batches in pieces of 3 batches or so; killed in the sixth, then left alone; beside one that never was."""
    assert _in_folder(KILLED, hub_folder).returncode == -9
    before = _pieces(hub_folder / "killed")
    assert 1 <= len(before) <= 3
    monkeypatch.setattr(hub_stream, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(hub_stream, "PIECE_CHARACTERS", 900)
    staged, calm = (
        hub_stream.stage(SOURCES["tinystories"], hub_folder / name, 10**6, 20.0, print) for name in ("killed", "calm")
    )
    after = _pieces(hub_folder / "killed")
    assert len(after) >= 4 and before.items() <= after.items()
    assert [path.read_bytes() for path in staged.pieces] == [path.read_bytes() for path in calm.pieces]
    assert [path.name for path in staged.pieces] == sorted(after)
    assert hub_stream.stage(SOURCES["tinystories"], hub_folder / "killed", 10**6, 20.0, print) == staged


@pytest.mark.parametrize("offline", ["1", "0"])
def test_an_unreachable_hub_is_bad_input_within_the_deadline(tmp_path, offline):
    code = (
        "import time; from hamner.sources import SOURCES; from hamner.sources.hub import HubStream\n"
        "from hamner.command import run_command\n"
        "began = time.monotonic()\n"
        "code = run_command(lambda _: len(list(HubStream(SOURCES['tinystories'], 3.0, say=print).batches())), [])\n"
        "print(time.monotonic() - began)\n"
        "raise SystemExit(code)"
    )
    done = _in_folder(code, tmp_path, HF_HUB_OFFLINE=offline, HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "error: source 'tinystories' cannot be streamed from hub dataset 'roneneldan/TinyStories'" in done.stderr
    assert ("gave nothing for 3 s" in done.stderr) == (offline == "0") and "--data builtin" in done.stderr
    assert "Traceback" not in done.stderr
    assert ("trying again in" in done.stdout) == (offline == "0")  # a network that is switched off stays so
    assert float(done.stdout.split()[-1]) < 3 + 5  # the libraries are imported first


def _command(out, *words):
    Tokenizer.train([_prose("tale", n) for n in range(50)], 320).save(Path("tokenizer"))
    return main(
        [
            "--config",
            "smoke",
            "--data",
            "hub",
            "--sources",
            "tinystories",
            "--out",
            str(out),
            "--shard-tokens",
            "20000",
            "vocab_size=320",
            "heldout_sequences=2",
            "tournament.seq_len=16",
            "curriculum.seq_len=16",
            f"data.tokenizer={Path('tokenizer').resolve()}",
            *words,
        ]
    )


def _written(out):
    return {path.name: path.read_bytes() for path in out.glob("*.*") if path.suffix in (".bin", ".json")}


@pytest.fixture
def tales(hub_folder):
    """The folder named as the data set has 1,500 tales, some 130,000 tokens."""
    _parquet(hub_folder / "roneneldan" / "TinyStories" / "train.parquet", [_prose("tale", n, 60) for n in range(1500)])
    return hub_folder


@pytest.mark.parametrize("limit", [("--tokens", "{}"), ("data.hub_tokens={}",)])
def test_a_rerun_with_another_limit_leaves_what_was_begun_as_it_is(tales, monkeypatch, capsys, limit):
    """Stopped in the second shard; refused with three times the tokens; goes on with the first number."""
    few, many = ([word.format(count) for word in limit] for count in (20_000, 60_000))

    def stop(store, part, number, *rest, **more):
        if number == 1:
            raise KeyboardInterrupt
        return real(store, part, number, *rest, **more)

    real = write_shards._write_shard
    monkeypatch.setattr(write_shards, "_write_shard", stop)
    assert _command(tales / "out", *few) == 130
    monkeypatch.undo()
    monkeypatch.chdir(tales)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert _command(tales / "out", *many) == 2
    assert "was begun with other settings: give the same options again" in capsys.readouterr().err
    assert _command(tales / "out", *few) == 0
    assert _command(tales / "calm", *few) == 0
    assert _written(tales / "out") == _written(tales / "calm")
    assert len(_written(tales / "calm")) >= 4
    assert _command(tales / "out", *many) == 2  # finished, with other settings


def test_what_was_streamed_for_another_limit_is_not_taken_over(tales, monkeypatch, capsys):
    """Stopped before anything was decided, with three times the tokens."""
    with monkeypatch.context() as stopped:
        stopped.setattr(decide, "_decide", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert _command(tales / "out", "--tokens", "60000") == 130
    assert (tales / "out" / "from_hub" / "tinystories" / "state.json").is_file()
    assert _command(tales / "out", "--tokens", "20000") == 0
    assert "nothing is written yet: beginning anew" in capsys.readouterr().out
    assert _command(tales / "calm", "--tokens", "20000") == 0
    assert _written(tales / "out") == _written(tales / "calm")


def test_a_row_without_text_is_malformed(tales):
    """One of 1,501; and it is told where."""
    texts = [_prose("tale", n, 60) for n in range(1500)]
    _parquet(tales / "roneneldan" / "TinyStories" / "train.parquet", [*texts[:300], None, *texts[300:]])
    assert _command(tales / "out") == 0
    facts = json.loads((tales / "out" / "manifest.json").read_text())["sources"]["tinystories"]
    assert facts["dropped"]["malformed"] == 1 and facts["records"] == 1501
    assert facts["skipped"] == ["00000.parquet, row 300: no 'text' in the record"]
    assert facts["documents"] + facts["heldout_documents"] + sum(facts["dropped"].values()) == 1501
