"""One result, whoever runs the steps and however often they are killed."""

import hashlib
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
from sample_texts import (
    command_arguments,
    config_of,
    file_hashes,
    in_order,
    prose,
    tagged,
    turns,
    write_lines,
    write_parquet,
)

from hamner.data.preparation import pipeline
from hamner.data.preparation.plan import make_plan
from hamner.data.preparation.store import Store
from hamner.data.tokenizer import Tokenizer
from hamner.prepare_data import main


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Four sources in seventeen files, 900 documents; two near-duplicates and one exact one, in other files."""
    folder = tmp_path_factory.mktemp("texts")
    for number in range(6):
        pages = range(60 * number, 60 * number + 60)
        write_lines(folder / "fineweb_edu" / f"{number}.jsonl", [{"text": prose("web", n, 60)} for n in pages])
    write_parquet(folder / "tinystories" / "a.parquet", [prose("tale", n, 40) for n in range(300)])
    near = prose("web", 7, 60).replace("number 7:", "NUMBER 7 --")
    write_lines(folder / "tinystories" / "b.jsonl.gz", [{"text": near}, {"text": prose("tale", 5, 40)}])
    write_lines(folder / "sft" / "a.jsonl", [{"messages": turns(n)} for n in range(60)])
    write_lines(folder / "sft" / "b.jsonl.gz", [{"text": tagged(turns(n))} for n in range(60, 120)])
    write_lines(folder / "sft" / "c.jsonl", [{"messages": [{"role": "system", "content": "Be kind."}, *turns(3)]}])
    for n in range(60):
        (folder / "personal").mkdir(exist_ok=True)
        (folder / "personal" / f"{n:02}.txt").write_text(prose("voice", n, 40) + "\r\n", newline="")
    return folder


@pytest.fixture(scope="module")
def prepared(texts, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared") / "out"
    assert main(command_arguments(texts, out)) == 0
    return out


def test_preparing_twice_gives_identical_manifests(texts, prepared, tmp_path):
    assert main(command_arguments(texts, tmp_path / "again")) == 0
    assert file_hashes(tmp_path / "again") == file_hashes(prepared) and len(file_hashes(prepared)) > 30


def test_parts_worked_on_in_any_order_give_the_same_files(texts, tmp_path):
    """As by many processes: parts shuffled, a part surveyed or written twice, each by an object of its own."""
    rng = random.Random(0)

    def shuffled(step, work, parts):
        for part in rng.sample([*parts, *parts[:3]], len(parts) + 3):
            pickle.loads(pickle.dumps(work))(part, lambda _: None)

    hashes = []
    for runner in (in_order, shuffled):
        out, config = tmp_path / runner.__name__, config_of(texts, "vocab_size=400", "bpe_characters=20000")
        plan = make_plan(
            config,
            Store(out),
            ["fineweb_edu", "sft"],
            None,
            seq_len=16,
            shard_tokens=500,
            part_bytes=1,  # every file a part
            runner=in_order,
            say=print,
        )
        assert len(plan.written_parts) == 9 and len(plan.parts) == 71
        pipeline.run(plan, None, runner, print)
        hashes.append(file_hashes(out))
    assert hashes[0] == hashes[1]


def test_any_place_that_fsspec_knows_holds_the_same_files(texts, tmp_path):
    config = config_of(texts, "vocab_size=400", "bpe_characters=20000")
    stores = [Store(tmp_path / "out"), Store("memory://somewhere/out")]
    for store in stores:
        plan = make_plan(config, store, ["sft"], None, seq_len=16, shard_tokens=500, runner=in_order, say=print)
        pipeline.run(plan, None, in_order, print)
    hashes = file_hashes(tmp_path / "out")
    assert {name: hashlib.sha256(stores[1].read(name)).hexdigest() for name in hashes} == hashes
    assert stores[1].read("unfinished/plan.json") is None


class Stop(BaseException):
    """As a kill: nothing catches it."""


class FailingStore(Store):
    """A store that stops the preparation at its n-th write, before the file is there or after."""

    def __init__(self, place, stop_at, *, is_written):
        super().__init__(place)
        self.writes, self.stop_at, self.is_written = [], stop_at, is_written

    def write(self, name, data):
        self.writes.append(name)
        if len(self.writes) != self.stop_at or self.is_written:
            super().write(name, data)
        if len(self.writes) == self.stop_at:
            raise Stop


@pytest.mark.parametrize("is_written", [False, True])
def test_stopped_at_any_write_it_continues_to_the_same_files(tmp_path, is_written):
    """No shard whose record was written is written again."""
    write_lines(tmp_path / "data" / "tinystories" / "a.jsonl", [{"text": prose("tale", n, 40)} for n in range(40)])
    config, tokenizer = config_of(tmp_path / "data"), Tokenizer.train([prose("tale", n) for n in range(20)], 300)
    names = ["tinystories"]

    def prepare(store):
        plan = make_plan(config, store, names, tokenizer, seq_len=16, shard_tokens=1000, runner=in_order, say=print)
        pipeline.run(plan, tokenizer, in_order, print)
        return store

    calm = prepare(FailingStore(tmp_path / "calm", None, is_written=True)).writes
    assert sum(name.endswith(".shard.json") for name in calm) >= 4 and calm[-1] == "manifest.json"
    for stop_at in range(1, len(calm) + 1):
        out = tmp_path / f"stopped at {stop_at}"
        with pytest.raises(Stop):
            prepare(FailingStore(out, stop_at, is_written=is_written))
        rest = prepare(FailingStore(out, None, is_written=True)).writes
        assert file_hashes(out) == file_hashes(tmp_path / "calm"), calm[stop_at - 1]
        finished = calm[: stop_at if is_written else stop_at - 1]
        assert not {name for name in finished if name.endswith(".shard.json")} & set(rest)
        shutil.rmtree(out)


def _kill_at(arguments, moment, out):
    """Run the command and kill -9 it when `moment(out)` says so; whether it had to be killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hamner.prepare_data", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | {"COLUMNS": "80"},
    )
    while process.poll() is None and not moment(out):
        time.sleep(0.001)
    killed = process.poll() is None
    process.send_signal(signal.SIGKILL)
    err = process.communicate()[1].decode()
    assert killed or process.returncode == 0, err
    return killed


def _finished_shards(out):
    """Files of the shards whose record is written, and when they were."""
    times = {}
    for record in sorted((out / "unfinished").glob("*.shard.json")) if out.exists() else []:
        for shard in json.loads(record.read_text())["files"]:
            times[shard["file"]] = (out / shard["file"]).stat().st_mtime_ns
    return times


def _kill_and_compare(arguments, prepared, out, moments):
    before, kills = {}, 0
    for moment in moments:
        kills += _kill_at(arguments, moment, out)
        finished = _finished_shards(out)
        assert all(finished.get(name, when) == when for name, when in before.items())  # none is written again
        before = finished
    assert main(arguments) == 0
    after = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert all(after[name] == when for name, when in before.items())
    assert file_hashes(out) == file_hashes(prepared)
    assert not list(out.glob(".*.tmp"))
    return kills


def _has_files(pattern, count, out):
    return out.exists() and len(list(out.glob(pattern))) >= count


def test_killed_it_continues_and_the_shards_are_the_same(texts, prepared, tmp_path):
    """Once while it reads, once while it writes; what was finished is not written again."""
    moments = [partial(_has_files, "unfinished/*.survey.npz", 2), partial(_has_files, "*.train.bin", 9)]
    arguments = command_arguments(texts, tmp_path / "out")
    assert _kill_and_compare(arguments, prepared, tmp_path / "out", moments) == 2


def _killed_ten_times(arguments, tmp_path):
    """Moments drawn from the whole length of an undisturbed run; arguments: of an --out."""
    began = time.monotonic()
    _kill_at(arguments(tmp_path / "calm"), lambda out: False, tmp_path)
    whole, rng, kills, turn, caught = time.monotonic() - began, random.Random(6), 0, 0, set()

    def moments(out):
        for _ in range(4):
            end = time.monotonic() + rng.uniform(0.2, 1.0) * whole
            yield lambda out, end=end: time.monotonic() > end
            caught.add("writing" if list(out.glob("*.bin")) else "reading" if out.exists() else "starting")

    while kills < 10 or (turn < 30 and not caught >= {"reading", "writing"}):  # a busy machine is late with its kills
        out = tmp_path / f"out{turn}"
        kills += _kill_and_compare(arguments(out), tmp_path / "calm", out, moments(out))
        turn += 1
    print(f"{kills} kills over {whole:.1f} s, while {caught}")
    assert caught >= {"reading", "writing"}
    return len(list((tmp_path / "calm").glob("*.train.bin")))


@pytest.mark.slow
def test_killed_ten_times_at_random_it_repeats_at_most_one_shard_each(prepared, tmp_path):
    for number in range(2):
        write_lines(
            tmp_path / "data" / "fineweb_edu" / f"{number}.jsonl",
            [{"text": prose(f"web{number}", n, 150)} for n in range(10_000)],
        )

    def arguments(out):
        return command_arguments(
            tmp_path / "data", out, "--shard-tokens", "60000", "--sources", "fineweb_edu", f"data.tokenizer={prepared}"
        )

    assert _killed_ten_times(arguments, tmp_path) >= 50


@pytest.mark.slow
@pytest.mark.parametrize("tokenizer", ["given", "trained"])
@pytest.mark.skipif(not os.environ.get("HAMNER_DATA"), reason="HAMNER_DATA is not set: no real text to read")
def test_real_text_prepared_twice_or_killed_ten_times_is_the_same(tokenizer, tmp_path):
    words = () if tokenizer == "given" else ("data.tokenizer=train", "vocab_size=8000")

    def arguments(out):
        data = os.environ["HAMNER_DATA"]
        return ["--config", "rtx3090", "--data", data, "--out", str(out), "--shard-tokens", "60000", *words]

    for out in ("once", "again"):
        assert main(arguments(tmp_path / out)) == 0
    assert file_hashes(tmp_path / "once") == file_hashes(tmp_path / "again")
    assert _killed_ten_times(arguments, tmp_path) >= 20
    assert file_hashes(tmp_path / "once") == file_hashes(tmp_path / "calm")


BIG = """
import json, random, sys
from pathlib import Path
words = [f"{a}{b}" for a in "kae lor mi tun ves oph dra qui sel bon".split() for b in "ra nel to min sa vo rik".split()]
rng, place = random.Random(0), Path(sys.argv[1]) / "fineweb_edu"
place.mkdir(parents=True)
for number, size in enumerate((750, 400)):    # MB: one file of many blocks and one of fewer
    with (place / f"{number}.jsonl").open("w") as file:
        written, text = 0, ""
        while written < size * 10**6:
            if rng.random() > 0.1:    # a tenth repeats the document before
                text = " ".join(rng.choices(words, k=rng.randrange(30, 600)))
            written += file.write(json.dumps({"text": text}) + "\\n")
"""
MEASURED = """
import sys
from pathlib import Path
from hamner.prepare_data import main
code = main(sys.argv[1:])
# of this program; getrusage would count the memory of the process that started it too
status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
print("peak KiB", status["VmHWM"].split()[0])
raise SystemExit(code)
"""


@pytest.mark.slow
def test_a_gibibyte_of_text_stays_under_a_gibibyte_of_memory(prepared, tmp_path):
    subprocess.run([sys.executable, "-c", BIG, str(tmp_path / "big")], check=True)
    arguments = ["--config", "smoke", "--data", str(tmp_path / "big"), "--out", str(tmp_path / "out")]
    arguments += ["--sources", "fineweb_edu", "vocab_size=400", f"data.tokenizer={prepared}"]
    process = subprocess.run([sys.executable, "-c", MEASURED, *arguments], text=True, capture_output=True)
    assert process.returncode == 0, process.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    facts, peak = manifest["sources"]["fineweb_edu"], int(process.stdout.split()[-1]) / 2**20
    print(f"peak {peak:.2f} GiB, {facts['records']:,} documents, {facts['bytes'] / 2**30:.2f} GiB kept")
    assert sum(path.stat().st_size for path in (tmp_path / "big").rglob("*.jsonl")) > 2**30
    assert 0.08 < facts["dropped"]["exact_duplicates"] / facts["records"] < 0.12
    assert peak < 1.0
