"""The command prepare_data: one result whoever runs it and however often it is killed; what runs do with it."""

import gzip
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from test_prepare_data import _config, _lines, _parquet, _prose, _tagged

from hamner.config.errors import BadInput
from hamner.data.corpus import Corpus, TokenShards
from hamner.data.preparation import decide, pipeline
from hamner.data.preparation.for_run import choose_tokenizer, prepare
from hamner.data.preparation.plan import open_job
from hamner.data.preparation.store import Store
from hamner.data.text_rows import TextRows
from hamner.data.tokenizer import Tokenizer
from hamner.prepare_data import main
from hamner.runs.lock import only_one

WORDS = [
    "vocab_size=400",
    "bpe_characters=20000",
    "heldout_sequences=2",
    "tournament.seq_len=16",
    "curriculum.seq_len=16",
    "data.tokenizer=train",
]
SHARD = "3000"  # tokens


def _turns(n):
    return [{"role": "user", "content": _prose("sft", n)}, {"role": "assistant", "content": _prose("answer", n, 12)}]


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Four sources in seventeen files, 900 documents; two near-duplicates and one exact one, in other files."""
    folder = tmp_path_factory.mktemp("texts")
    for number in range(6):
        _lines(
            folder / "fineweb_edu" / f"{number}.jsonl",
            [{"text": _prose("web", n, 60)} for n in range(60 * number, 60 * number + 60)],
        )
    _parquet(folder / "tinystories" / "a.parquet", [_prose("tale", n, 40) for n in range(300)])
    near = _prose("web", 7, 60).replace("number 7:", "NUMBER 7 --")
    _lines(folder / "tinystories" / "b.jsonl.gz", [{"text": near}, {"text": _prose("tale", 5, 40)}], gzip.open)
    _lines(folder / "sft" / "a.jsonl", [{"messages": _turns(n)} for n in range(60)])
    _lines(folder / "sft" / "b.jsonl.gz", [{"text": _tagged(_turns(n))} for n in range(60, 120)], gzip.open)
    _lines(folder / "sft" / "c.jsonl", [{"messages": [{"role": "system", "content": "Be kind."}, *_turns(3)]}])
    for n in range(60):
        (folder / "personal").mkdir(exist_ok=True)
        (folder / "personal" / f"{n:02}.txt").write_text(_prose("voice", n, 40) + "\r\n", newline="")
    return folder


def _arguments(texts, out, *words, more=()):
    return [
        "--config",
        "smoke",
        "--data",
        str(texts),
        "--out",
        str(out),
        "--shard-tokens",
        SHARD,
        *WORDS,
        *words,
        *more,
    ]


def _in_order(what, work, parts):
    for part in parts:
        work(part, lambda _: None)


def _files(folder):
    return {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.iterdir())
        if p.is_file() and not p.name.startswith(".")
    }


@pytest.fixture(scope="module")
def prepared(texts, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared") / "out"
    assert main(_arguments(texts, out)) == 0
    return out


def test_the_manifest_accounts_for_every_document_and_byte(prepared):
    manifest = json.loads((prepared / "manifest.json").read_text())
    assert not (prepared / "unfinished").exists()
    assert list(manifest["sources"]) == ["tinystories", "fineweb_edu", "sft", "personal"]
    for name, records in (("tinystories", 302), ("fineweb_edu", 360), ("sft", 121), ("personal", 60)):
        facts = manifest["sources"][name]
        assert (
            facts["records"]
            == records
            == (facts["documents"] + facts["heldout_documents"] + sum(facts["dropped"].values()))
        )
        assert facts["licence"] == "not stated" and facts["origin"] == manifest["data"]
        for side, key in (("train", "tokens"), ("heldout", "heldout_tokens")):
            shards = [shard for shard in facts["shards"] if shard["side"] == side]
            assert facts[key] == sum(shard["tokens"] for shard in shards)
            for shard in shards:
                data = (prepared / shard["file"]).read_bytes()
                assert len(data) == shard["bytes"] == 2 * shard["tokens"]
                assert hashlib.sha256(data).hexdigest() == shard["sha256"]
    dropped = {name: facts["dropped"] for name, facts in manifest["sources"].items()}
    assert dropped["sft"] == {
        "malformed": 0,
        "too_short": 0,
        "exact_duplicates": 0,
        "near_duplicates": 1,
        "beyond_tokens": 0,
    }
    assert dropped["tinystories"]["exact_duplicates"] == 1
    assert dropped["tinystories"]["near_duplicates"] + dropped["fineweb_edu"]["near_duplicates"] == 1
    assert len(manifest["sources"]["fineweb_edu"]["shards"]) >= 8
    assert manifest["tokenizer_sha256"] == Tokenizer.load(prepared).sha256


def test_preparing_twice_gives_identical_manifests(texts, prepared, tmp_path):
    assert main(_arguments(texts, tmp_path / "again")) == 0
    assert _files(tmp_path / "again") == _files(prepared) and len(_files(prepared)) > 30


def test_parts_worked_on_in_any_order_give_the_same_files(texts, tmp_path, monkeypatch):
    """As by many processes: parts shuffled, a part surveyed or written twice, each by an object of its own."""
    import pickle

    monkeypatch.setattr(decide, "PART_BYTES", 1)  # every file a part
    rng = random.Random(0)

    def shuffled(what, work, parts):
        for part in rng.sample([*parts, *parts[:3]], len(parts) + 3):
            pickle.loads(pickle.dumps(work))(part, lambda _: None)

    files = []
    for runner in (_in_order, shuffled):
        out = str(tmp_path / runner.__name__)
        config = _config(texts, *WORDS)
        job = open_job(
            config, out, ["fineweb_edu", "sft"], None, tokens=None, shard_tokens=500, runner=_in_order, say=print
        )
        assert len(job.written) == 9 and len(job.parts) == 71
        pipeline.run(job, None, 16, runner, print)
        files.append(_files(Path(out)))
    assert files[0] == files[1]


def test_any_place_that_fsspec_knows_holds_the_same_files(texts, tmp_path):
    config = _config(texts, *WORDS)
    places = [str(tmp_path / "out"), "memory://somewhere/out"]
    for place in places:
        job = open_job(config, place, ["sft"], None, tokens=None, shard_tokens=500, runner=_in_order, say=print)
        pipeline.run(job, None, 16, _in_order, print)
    far = Store(places[1])
    names = _files(Path(places[0]))
    assert {name: hashlib.sha256(far.read(name)).hexdigest() for name in names} == names
    assert far.read("unfinished/plan.json") is None


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
    found = {}
    for record in sorted((out / "unfinished").glob("*.shard.json")) if out.exists() else []:
        for told in json.loads(record.read_text())["files"]:
            found[told["file"]] = (out / told["file"]).stat().st_mtime_ns
    return found


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
    assert _files(out) == _files(prepared)
    assert not list(out.glob(".*.tmp"))
    return kills


def _files_there(pattern, count, out):
    return out.exists() and len(list(out.glob(pattern))) >= count


def test_killed_it_goes_on_and_the_shards_are_the_same(texts, prepared, tmp_path):
    """Once while it reads, once while it writes; what was finished is not written again."""
    moments = [partial(_files_there, "unfinished/*.survey.npz", 2), partial(_files_there, "*.train.bin", 9)]
    arguments = _arguments(texts, tmp_path / "out")
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

    while kills < 10:
        out = tmp_path / f"out{turn}"
        kills += _kill_and_compare(arguments(out), tmp_path / "calm", out, moments(out))
        turn += 1
    print(f"{kills} kills over {whole:.1f} s, while {caught}")
    assert caught >= {"reading", "writing"}
    return len(list((tmp_path / "calm").glob("*.train.bin")))


@pytest.mark.slow
def test_killed_ten_times_at_random_it_redoes_at_most_one_shard_each(prepared, tmp_path):
    for number in range(2):
        _lines(
            tmp_path / "data" / "fineweb_edu" / f"{number}.jsonl",
            [{"text": _prose(f"web{number}", n, 150)} for n in range(10_000)],
        )
    assert (
        _killed_ten_times(
            partial(
                _arguments,
                tmp_path / "data",
                more=("--sources", "fineweb_edu", "--shard-tokens", "60000", f"data.tokenizer={prepared}"),
            ),
            tmp_path,
        )
        >= 50
    )


@pytest.mark.slow
@pytest.mark.parametrize("tokenizer", ["given", "trained"])
@pytest.mark.skipif(not os.environ.get("HAMNER_DATA"), reason="HAMNER_DATA is not set: no real text to read")
def test_real_text_prepared_twice_or_killed_ten_times_is_the_same(tokenizer, tmp_path):
    words = () if tokenizer == "given" else ("data.tokenizer=train", "vocab_size=8000")
    arguments = partial(_on_real_text, *words)
    for out in ("once", "again"):
        assert main(arguments(tmp_path / out)) == 0
    assert _files(tmp_path / "once") == _files(tmp_path / "again")
    assert _killed_ten_times(arguments, tmp_path) >= 20
    assert _files(tmp_path / "once") == _files(tmp_path / "calm")


def _on_real_text(*words_and_out):
    *words, out = words_and_out
    return [
        "--config",
        "rtx3090",
        "--data",
        os.environ["HAMNER_DATA"],
        "--out",
        str(out),
        "--shard-tokens",
        "60000",
        *words,
    ]


def test_a_run_takes_a_prepared_folder_as_its_data(prepared, tmp_path):
    config = _config(prepared, *WORDS, "seed=5")
    names = ["fineweb_edu", "sft", "synthetic"]
    corpus, tokenizer = prepare(
        config, tmp_path / "run", names, tokenizer=choose_tokenizer(config), seq_len=16, hub_tokens=0
    )
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["manifest.json", "tokenizer.json"]
    assert tokenizer.sha256 == Tokenizer.load(prepared).sha256 and corpus.seed == 5
    whole = Corpus(prepared, tokenizer.sha256)
    assert np.array_equal(corpus.train("sft"), whole.train("sft"))
    ends = corpus.heldout_ends("fineweb_edu")
    assert np.array_equal(np.flatnonzero(np.asarray(corpus.heldout("fineweb_edu")) == 0) + 1, ends)
    rows = TextRows(corpus.train("fineweb_edu"), 16, "fineweb_edu", 0)  # across the borders of the shards
    read = np.stack([rows.row(i) for i in range(rows.count)])
    flat = np.asarray(whole.train("fineweb_edu"))[: rows.count * 16].reshape(-1, 16)
    assert sorted(map(tuple, read.tolist())) == sorted(map(tuple, flat.tolist()))


def test_shards_in_a_row_read_as_one_array(tmp_path):
    rng, lengths = np.random.default_rng(0), [5, 1, 9, 3]
    parts = [rng.integers(0, 99, n, dtype=np.uint16) for n in lengths]
    paths = [tmp_path / str(n) for n in range(4)]
    for path, part in zip(paths, parts, strict=True):
        path.write_bytes(part.tobytes())
    shards, flat = TokenShards.from_files(paths, lengths, np.dtype(np.uint16)), np.concatenate(parts)
    assert len(shards) == 18 and shards[-1] == flat[-1] and shards[6] == flat[6]
    for start in range(19):
        for stop in range(19):
            assert np.array_equal(shards[start:stop], flat[start:stop])


def test_a_prepared_folder_that_does_not_fit_the_run_is_refused(prepared, texts, tmp_path):
    other = Tokenizer.train(["something else"], 280)
    take = partial(prepare, names=["sft"], seq_len=16, hub_tokens=0)
    with pytest.raises(BadInput, match=f"made with another tokenizer.*{other.sha256[:12]}"):
        take(_config(prepared, *WORDS), tmp_path / "a", tokenizer=other)
    with pytest.raises(BadInput, match=r"has 400 entries, the config's size\.vocab_size is 401"):
        choose_tokenizer(_config(prepared, *WORDS, "vocab_size=401"))
    with pytest.raises(BadInput, match=r"source 'sft' of .* has \d+ tokens held out, less than one row of 99999"):
        take(_config(prepared, *WORDS), tmp_path / "b", tokenizer=None, seq_len=99_999)
    with pytest.raises(BadInput, match=r"'sft' of .* has \d+ tokens to train on, less than one row of 99999: prepare"):
        take(_config(prepared, *WORDS), tmp_path / "b", tokenizer=None, seq_len=99_999)
    assert main(_arguments(texts, tmp_path / "part", "--sources", "sft")) == 0
    with pytest.raises(BadInput, match="was prepared without personal: it holds sft; prepare again with --sources"):
        take(_config(tmp_path / "part", *WORDS), tmp_path / "c", names=["sft", "personal"], tokenizer=None)
    shard = next((tmp_path / "part").glob("sft.*.train.bin"))
    shard.write_bytes(shard.read_bytes()[:-2])
    with pytest.raises(BadInput, match=rf"1 of \d+ shards are missing or of another length, first {shard.name}"):
        take(_config(tmp_path / "part", *WORDS), tmp_path / "d", tokenizer=None)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--sources", "sft,tinystory"], "--sources tinystory: unknown source; did you mean 'tinystories'?"),
        (["--sources", "synthetic"], "--sources synthetic: its items are drawn while training, there is nothing to"),
        (["sft"], "'sft' is not key=value"),
        (["--data", "/nowhere"], "no data folder '/nowhere'"),
        (["--out", "nosuch://place"], "cannot write to nosuch://place: Protocol not known: nosuch"),
        (["duplicates=some"], "'data.duplicates' = 'some': input should be 'drop' or 'keep'"),
    ],
)
def test_bad_options_are_told_with_the_way_out(texts, tmp_path, capsys, more, message):
    assert main(_arguments(texts, tmp_path / "out", *more)) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_begun_or_finished_with_other_settings_is_refused(texts, prepared, tmp_path, capsys):
    out = tmp_path / "out"
    _kill_at(_arguments(texts, out), partial(_files_there, "*.train.bin", 1), out)
    assert main(_arguments(texts, out, "seed=3")) == 2
    assert "was begun with other settings: give the same options again" in capsys.readouterr().err
    stories = texts / "tinystories" / "a.parquet"
    before = stories.stat()
    os.utime(stories, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))
    try:
        assert main(_arguments(texts, out)) == 2
        assert "was begun with other inputs" in capsys.readouterr().err
    finally:
        os.utime(stories, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert main(_arguments(texts, prepared, "seed=3")) == 2
    assert "is finished, with other settings: choose another --out, or delete it" in capsys.readouterr().err
    assert main(_arguments(texts, prepared)) == 0
    assert main(_arguments(prepared, tmp_path / "x")) == 2
    assert "is prepared already: give it to a run with --data" in capsys.readouterr().err


def test_what_was_only_read_is_read_anew_when_the_files_have_changed(tmp_path, capsys):
    """A file is found to be broken, is mended, and the same command does the rest."""
    good = [{"messages": _turns(n)} for n in range(60)]
    arguments = _arguments(tmp_path / "data", tmp_path / "out", "vocab_size=320", more=("--sources", "sft"))
    for source in ("tinystories", "fineweb_edu", "personal"):
        _lines(tmp_path / "data" / source / "a.jsonl", [{"text": _prose(source, n, 40)} for n in range(60)])
    _lines(tmp_path / "data" / "sft" / "a.jsonl", [*good, "{"])
    assert main(arguments) == 2 and "1 of 61 records are malformed" in capsys.readouterr().err
    _lines(tmp_path / "data" / "sft" / "a.jsonl", good)
    assert main(arguments) == 0
    assert "was begun with other inputs, and nothing is written yet: beginning anew" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["sources"]["sft"]["records"] == 60


def test_two_commands_do_not_prepare_one_folder(texts, tmp_path, capsys):
    with only_one(tmp_path / "out" / ".prepare.lock", "held here"):
        assert main(_arguments(texts, tmp_path / "out")) == 2
    assert "is being prepared by another process: wait for it to end" in capsys.readouterr().err


def test_a_folder_may_say_where_its_text_is_from(texts, tmp_path, capsys):
    shutil.copytree(texts, tmp_path / "texts")
    about = tmp_path / "texts" / "sft" / "about.json"
    about.write_text('{"licence": "MIT", "owner": "me"}')
    assert main(_arguments(tmp_path / "texts", tmp_path / "out")) == 2
    assert f'{about} must be {{"revision": ..., "licence": ...}}' in capsys.readouterr().err
    about.write_text('{"licence": "MIT", "revision": "2024-05-01"}')
    assert main(_arguments(tmp_path / "texts", tmp_path / "out")) == 0
    sources = json.loads((tmp_path / "out" / "manifest.json").read_text())["sources"]
    assert [sources["sft"][key] for key in ("revision", "licence")] == ["2024-05-01", "MIT"]
    assert sources["personal"]["licence"] == "not stated"


def test_a_stream_is_not_put_on_a_far_place(prepared, capsys):
    assert (
        main(
            [
                "--config",
                "smoke",
                "--data",
                "hub",
                "--out",
                "memory://far/out",
                "--sources",
                "tinystories",
                f"data.tokenizer={prepared}",
                "vocab_size=400",
            ]
        )
        == 2
    )
    assert "streamed from the hub needs a folder of this machine, not memory://far/out" in capsys.readouterr().err


def test_about_as_many_tokens_as_asked_for_are_taken(texts, tmp_path):
    """4,000 of 11,000 tokens and more: within 3 % or one document, and the held-out side is cut with the other."""
    assert main(_arguments(texts, tmp_path / "out", "--tokens", "4e3", "--sources", "fineweb_edu,tinystories")) == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    for facts in manifest["sources"].values():
        longest = 200
        assert 4000 <= facts["tokens"] <= 4000 * 1.03 + longest and facts["dropped"]["beyond_tokens"] > 100
        share = facts["heldout_documents"] / (facts["documents"] + facts["heldout_documents"])
        assert 0.01 < share < 0.2
    whole = json.loads((tmp_path / "out" / "manifest.json").read_text())["sources"]["fineweb_edu"]
    assert whole["documents"] < 200


def test_nothing_is_lost_to_a_source_that_is_only_read(tmp_path, capsys):
    """Forty of sixty texts are in a source that the tokenizer alone is trained on: there they are left out."""
    for source in ("tinystories", "sft", "personal"):
        _lines(
            tmp_path / "data" / source / "a.jsonl",
            [{"messages": _turns(n)} if source == "sft" else {"text": _prose(source, n, 40)} for n in range(60)],
        )
    web = [{"text": _prose("web", n, 40)} for n in range(60)]
    _lines(tmp_path / "data" / "fineweb_edu" / "a.jsonl", web)
    arguments = partial(_arguments, tmp_path / "data", more=("vocab_size=320", "--sources", "fineweb_edu"))
    copies = tmp_path / "data" / "tinystories" / "b.jsonl"
    _lines(copies, web[:40])
    assert main(arguments(tmp_path / "out")) == 0
    facts = json.loads((tmp_path / "out" / "manifest.json").read_text())["sources"]["fineweb_edu"]
    assert facts["documents"] + facts["heldout_documents"] == 60 and sum(facts["dropped"].values()) == 0
    copies.unlink()  # the tokenizer is the same: it has seen none of the copies, which are held out in part
    assert main(arguments(tmp_path / "alone")) == 0
    assert _files(tmp_path / "alone")["tokenizer.json"] == _files(tmp_path / "out")["tokenizer.json"]
    _lines(tmp_path / "data" / "tinystories" / "a.jsonl", web)
    assert main(arguments(tmp_path / "copy")) == 2
    assert (
        "source 'tinystories' has 0 documents in " in (err := capsys.readouterr().err)
        and " without 60 duplicates; at least 5 are needed" in err
    )


def test_duplicates_can_be_kept(texts, tmp_path):
    assert main(_arguments(texts, tmp_path / "out", "duplicates=keep")) == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["duplicates"] == "kept"
    assert all(sum(facts["dropped"].values()) == 0 for facts in manifest["sources"].values())


BIG = """
import json, random, sys
from pathlib import Path
words = [f"{a}{b}" for a in "kae lor mi tun ves oph dra qui sel bon".split() for b in "ra nel to min sa vo rik".split()]
rng, place = random.Random(0), Path(sys.argv[1]) / "fineweb_edu"
place.mkdir(parents=True)
for number, size in enumerate((750, 400)):    # MB: one file of many blocks and one of fewer
    with (place / f"{number}.jsonl").open("w") as file:
        done, text = 0, ""
        while done < size * 10**6:
            if rng.random() > 0.1:    # a tenth says again what the one before said
                text = " ".join(rng.choices(words, k=rng.randrange(30, 600)))
            done += file.write(json.dumps({"text": text}) + "\\n")
"""
MEASURED = """
import resource, sys
from hamner.prepare_data import main
code = main(sys.argv[1:])
print("peak KiB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
raise SystemExit(code)
"""


@pytest.mark.slow
def test_a_gibibyte_of_text_stays_under_a_gibibyte_of_memory(prepared, tmp_path):
    subprocess.run([sys.executable, "-c", BIG, str(tmp_path / "big")], check=True)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            MEASURED,
            "--config",
            "smoke",
            "--data",
            str(tmp_path / "big"),
            "--out",
            str(tmp_path / "out"),
            "--sources",
            "fineweb_edu",
            "vocab_size=400",
            f"data.tokenizer={prepared}",
        ],
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    facts, peak = manifest["sources"]["fineweb_edu"], int(done.stdout.split()[-1]) / 2**20
    print(f"peak {peak:.2f} GiB, {facts['records']:,} documents, {facts['bytes'] / 2**30:.2f} GiB kept")
    assert sum(path.stat().st_size for path in (tmp_path / "big").rglob("*.jsonl")) > 2**30
    assert 0.08 < facts["dropped"]["exact_duplicates"] / facts["records"] < 0.12
    assert peak < 1.0
