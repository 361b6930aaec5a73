"""Streaming from the hub, against folders that are named as its data sets are and read by the unchanged calls."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_prepare_data import TEXT_NAMES, _parquet, _texts, _write_sources

HUB = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_prepare_data as t
config = t._config("hub", f"data.own={Path('own').resolve()}", "data.heldout_fraction=0.2")
corpus, tokenizer = t.prepare(config, Path("out"), t.NAMES, tokenizer=None, seq_len=16, hub_tokens=10**6)
texts = {name: [t._documents(tokenizer, side(name)) for side in (corpus.train, corpus.heldout)]
         for name in ("tinystories", "fineweb_edu")}
json.dump([texts, corpus.manifest["sources"]], open("told.json", "w"))
"""


def _in_folder(code, cwd, **environment):
    return subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent)], cwd=cwd, text=True,
                          capture_output=True,
                          env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(cwd / "cache")} | environment)


@pytest.fixture
def hub(tmp_path):
    """A working directory in which the two hub data sets lie."""
    web = tmp_path / "HuggingFaceFW" / "fineweb-edu"
    _parquet(tmp_path / "roneneldan" / "TinyStories" / "train.parquet", [*_texts("tinystories"), " too short "])
    _parquet(web / "sample" / "10BT" / "000_00000.parquet", _texts("fineweb_edu"))
    _parquet(web / "data" / "other.parquet", ["another part of it, longer than fifty characters " * 2])
    (web / "README.md").write_text("---\nconfigs:\n- config_name: default\n  data_files: data/*\n"
                                   "- config_name: sample-10BT\n  data_files: sample/10BT/*\n---\n")
    _write_sources(tmp_path / "own")
    return tmp_path


def test_the_hub_is_streamed(hub):
    done = _in_folder(HUB, hub)
    assert done.returncode == 0, done.stderr
    texts, facts = json.loads((hub / "told.json").read_text())
    for name in ("tinystories", "fineweb_edu"):
        assert sorted(texts[name][0] + texts[name][1]) == sorted(_texts(name))
    assert [facts[name]["documents"] + facts[name]["heldout_documents"] for name in TEXT_NAMES] == [40] * 4
    assert facts["tinystories"]["dropped"]["too_short"] == 1
    assert (facts["tinystories"]["licence"], facts["fineweb_edu"]["licence"]) == ("CDLA-Sharing-1.0", "ODC-By 1.0")
    assert facts["fineweb_edu"]["origin"] == "hub: HuggingFaceFW/fineweb-edu"
    assert {path.suffix for path in (hub / "out").iterdir()} == {".bin", ".json"}    # nothing is left of the way there
    assert "streaming some 1,000,000 tokens of each hub source for this run alone" in done.stdout


STREAM = """
import json, sys
from hamner.sources import SOURCES, hub
hub.ROWS_AT_ONCE = 7
left = int(sys.argv[2]) if len(sys.argv) > 2 else 10**6
state = json.load(open("state.json")) if left == 0 else None
stream = hub.HubStream(SOURCES["tinystories"], 5.0, state=state)
texts = []
for batch in stream.batches():
    texts += batch
    json.dump(stream.state, open("state.json", "w"))
    left -= 1
    if left == 0:
        break
print(json.dumps(texts))
"""


def test_a_stream_goes_on_from_its_state(hub):
    """Batches of 7 rows of 41, row groups of 7: broken off after 3, the rest comes from the state alone."""
    first, rest, whole = (
        _in_folder(STREAM.replace("len(sys.argv) > 2", str(given)).replace("int(sys.argv[2])", number), hub)
        for given, number in ((True, "3"), (True, "0"), (False, "0")))
    assert [done.returncode for done in (first, rest, whole)] == [0, 0, 0], first.stderr + rest.stderr + whole.stderr
    first, rest, whole = (json.loads(done.stdout) for done in (first, rest, whole))
    assert len(first) == 21 and len(rest) == 20 and first + rest == whole


FLAKY = """
import datasets, json, pyarrow
from hamner.sources import SOURCES, hub
hub.ROWS_AT_ONCE = 7
failures = [ConnectionError("reset by peer"), pyarrow.ArrowInvalid("torn parquet"), OSError("timed out")]
real = datasets.load_dataset
class Flaky:
    def __init__(self, stream):
        self.stream = stream
    def __iter__(self):
        for number, row in enumerate(self.stream):
            if number == 10 and failures:
                raise failures.pop()
            yield row
    def __getattr__(self, name):
        return getattr(self.stream, name)
datasets.load_dataset = lambda *a, **k: Flaky(real(*a, **k))
said = []
batches = list(hub.HubStream(SOURCES["tinystories"], 20.0, say=said.append).batches())
print(json.dumps([said, [text for batch in batches for text in batch]]))
"""


def test_an_error_in_the_middle_is_tried_again_and_no_row_is_lost_or_had_twice(hub):
    """The connection breaks three times in the tenth row after a (re)start, each time in the middle of a batch."""
    done = _in_folder(FLAKY, hub)
    assert done.returncode == 0, done.stderr
    said, texts = json.loads(done.stdout)
    assert texts == [*_texts("tinystories"), " too short "]
    assert ["timed out" in said[0], "torn parquet" in said[1], "reset by peer" in said[2]] == [True] * 3
    assert len(said) == 3 and all("tinystories: the hub failed (" in line for line in said)


STAGE = """
import os, sys
from pathlib import Path
from hamner.sources import SOURCES, hub
hub.ROWS_AT_ONCE, hub.PIECE_CHARACTERS = 3, 900
left = int(os.environ["LEFT"])
def advance(_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), 9)
told = hub.stage(SOURCES["tinystories"], Path(os.environ["PLACE"]), 10**6, 5.0, print, advance)
assert told["complete"] and hub.stage(SOURCES["tinystories"], Path(os.environ["PLACE"]), 10**6, 5.0, print) == told
"""


def _pieces(place):
    return {path.name: path.stat().st_mtime_ns for path in (place / "tinystories").glob("*.parquet")}


def test_a_killed_stream_goes_on_after_its_last_piece(hub):
    """14 batches in pieces of 3 batches or so; killed in the sixth, then left alone; beside one that never was."""
    assert _in_folder(STAGE, hub, LEFT="7", PLACE="killed").returncode == -9
    before = _pieces(hub / "killed")
    assert 1 <= len(before) <= 3
    assert _in_folder(STAGE, hub, LEFT="0", PLACE="killed").returncode == 0
    done = _in_folder(STAGE, hub, LEFT="0", PLACE="calm")
    assert done.returncode == 0, done.stderr
    after = _pieces(hub / "killed")
    assert len(after) >= 4 and all(after[name] == when for name, when in before.items())
    killed, calm = ([(path.name, path.read_bytes()) for path in sorted((hub / name).rglob("*.parquet"))]
                    for name in ("killed", "calm"))
    assert killed == calm


@pytest.mark.parametrize("offline", ["1", "0"])
def test_an_unreachable_hub_is_bad_input_within_the_deadline(tmp_path, offline):
    code = ("import time; from hamner.sources import SOURCES; from hamner.sources.hub import HubStream\n"
            "from hamner.command import run_command\n"
            "began = time.monotonic()\n"
            "code = run_command(lambda _: len(list(HubStream(SOURCES['tinystories'], 3.0, say=print).batches())), [])\n"
            "print(time.monotonic() - began)\n"
            "raise SystemExit(code)")
    done = _in_folder(code, tmp_path, HF_HUB_OFFLINE=offline, HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "error: source 'tinystories' cannot be streamed: hub dataset 'roneneldan/TinyStories'" in done.stderr
    assert "gave nothing for 3 s" in done.stderr and "--data builtin" in done.stderr
    assert "Traceback" not in done.stderr
    assert ("trying again in" in done.stdout) == (offline == "0")    # a network that is switched off stays so
    assert float(done.stdout.split()[-1]) < 3 + 10    # the deadline, and one try that began just before it
