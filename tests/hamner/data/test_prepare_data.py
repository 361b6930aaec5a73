"""Text on disk to tokens on disk: every format, the held-out rule, and every way a source can be wrong."""

import gzip
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.config.schema import Data
from hamner.config.special_tokens import END_OF_TEXT
from hamner.data import split
from hamner.data.corpus import Corpus
from hamner.data.preparation import decide, write_shards
from hamner.data.preparation.for_run import check_sources, choose_tokenizer, prepare
from hamner.data.preparation.write_shards import encode, token_type
from hamner.data.sources import SOURCES, Tally
from hamner.data.sources.local_files import folder_documents, folder_files
from hamner.data.tokenizer import Tokenizer

NAMES = ("tinystories", "fineweb_edu", "synthetic", "sft", "personal")
TEXT_NAMES = tuple(name for name in NAMES if name != "synthetic")
WORDS = ("the", "small", "old", "fox", "owl", "red", "key", "bridge", "found", "lost", "sang", "why", "hill")


def _prose(source, n, words=20):
    rng = random.Random(f"{source}/{n}")
    return f"{source} number {n}: " + " ".join(rng.choice(WORDS) for _ in range(words)) + "."


def _messages(n):
    return [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": _prose("sft", n)},
        {"role": "assistant", "content": f"  {_prose('answer', n, 5)}\n"},
    ]


def _tagged(messages):
    return "".join(f"<|{m['role']}|>\n{m['content']}\n" for m in messages)


def _parquet(path, texts):
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table({"text": texts}), path, row_group_size=7)


def _lines(path, records, opened=open):
    path.parent.mkdir(parents=True, exist_ok=True)
    with opened(path, "wt", encoding="utf-8") as file:
        file.writelines(r + "\n" if isinstance(r, str) else json.dumps(r) + "\n" for r in records)


def _write_sources(folder):
    """Forty documents a source, in all four formats."""
    _parquet(folder / "tinystories" / "train.parquet", [_prose("tale", n) for n in range(40)])
    _lines(folder / "fineweb_edu" / "a" / "web.jsonl", [{"text": _prose("web", n)} for n in range(40)])
    _lines(folder / "sft" / "one.jsonl", [{"messages": _messages(n)} for n in range(20)])
    _lines(folder / "sft" / "two.jsonl.gz", [{"text": _tagged(_messages(n))} for n in range(20, 40)], gzip.open)
    (folder / "personal").mkdir()
    for n in range(40):
        (folder / "personal" / f"{n:02}.txt").write_text(_prose("voice", n), encoding="utf-8")
    (folder / "personal" / "README.md").write_text("not a document")
    return folder


@pytest.fixture
def folder(tmp_path):
    return _write_sources(tmp_path / "texts")


def _config(folder, *words):
    return load_config(
        "smoke",
        [
            f"data.path={folder}",
            "data.tokenizer=train",
            "vocab_size=360",
            "bpe_characters=3000",
            "heldout_sequences=2",
            "tournament.seq_len=16",
            "curriculum.seq_len=16",
            *words,
        ],
    )


def _prepare(folder, out, *words, say=lambda _: None, names=NAMES):
    return prepare(_config(folder, *words), out, names, tokenizer=None, seq_len=16, hub_tokens=10**6, say=say)


def _documents(tokenizer, tokens):
    ends = np.flatnonzero(np.asarray(tokens) == END_OF_TEXT)
    return [tokenizer.decode(part[part != END_OF_TEXT].tolist()) for part in np.split(tokens, ends + 1)[:-1]]


def _bytes(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _texts(source):
    if source == "sft":
        return ["\n".join(m["content"].strip() for m in _messages(n)) for n in range(40)]
    word = {"tinystories": "tale", "fineweb_edu": "web", "personal": "voice"}[source]
    return [_prose(word, n) for n in range(40)]


def test_every_document_of_every_format_is_there_once(folder, tmp_path):
    corpus, tokenizer = _prepare(folder, tmp_path / "out")
    for source in ("tinystories", "fineweb_edu", "personal"):
        sides = [_documents(tokenizer, tokens) for tokens in (corpus.train(source), corpus.heldout(source))]
        assert sorted(sides[0] + sides[1]) == sorted(_texts(source))
    for source in TEXT_NAMES:
        facts = corpus.manifest["sources"][source]
        assert facts["documents"] + facts["heldout_documents"] == 40
        assert facts["tokens"] == len(corpus.train(source))
        assert facts["heldout_tokens"] == len(corpus.heldout(source))
        assert corpus.train(source)[-1] == corpus.heldout(source)[-1] == END_OF_TEXT
        ends = corpus.heldout_ends(source)
        assert len(ends) == facts["heldout_documents"] and ends[-1] == facts["heldout_tokens"]
        assert set(np.asarray(corpus.heldout(source))[ends - 1]) == {END_OF_TEXT}
        left_out = facts["heldout_documents"] * len("be kind\n") if source == "sft" else 0  # what all share
        assert facts["characters"] + facts["heldout_characters"] == sum(map(len, _texts(source))) - left_out
    assert tokenizer.vocab_size == 360 and corpus.dtype == np.uint16


def test_heldout_text_never_reaches_training(folder, tmp_path):
    corpus, tokenizer = _prepare(folder, tmp_path / "out")
    for source in ("tinystories", "fineweb_edu", "personal"):
        held, training = (set(_documents(tokenizer, t)) for t in (corpus.heldout(source), corpus.train(source)))
        assert held and not held & training
        threshold = corpus.manifest["sources"][source]["threshold"]
        assert max(map(split.unit_hash, held)) < threshold <= min(map(split.unit_hash, training))


def test_heldout_text_does_not_change_the_tokenizer(folder, tmp_path):
    corpus, tokenizer = _prepare(folder, tmp_path / "out")
    path = min((folder / "personal").glob("*.txt"), key=lambda p: split.unit_hash(p.read_text()))
    old = path.read_text()
    others = (f"{n:04} {'zebra quagga ' * 20}"[: len(old)] for n in range(10_000))
    new = next(text for text in others if split.unit_hash(text) < split.unit_hash(old) + 0.01)
    path.write_text(new)
    changed, same = _prepare(folder, tmp_path / "changed")
    assert same.sha256 == tokenizer.sha256
    assert new in _documents(same, changed.heldout("personal"))
    assert np.array_equal(changed.train("personal"), corpus.train("personal"))
    spared = max((folder / "personal").glob("*.txt"), key=lambda p: split.unit_hash(p.read_text()))
    spared.write_text("zebra quagga " * 30 + "5")  # while training text does change it
    assert _prepare(folder, tmp_path / "other")[1].sha256 != tokenizer.sha256


def test_preparing_twice_gives_the_same_bytes(folder, tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[3]); from pathlib import Path; import test_prepare_data as t;"
        "t._prepare(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    _prepare(folder, tmp_path / "one")
    subprocess.run(
        [sys.executable, "-c", code, str(folder), str(tmp_path / "two"), str(Path(__file__).parent)],
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "7"},
    )
    one, two = _bytes(tmp_path / "one"), _bytes(tmp_path / "two")
    assert len(one) == 4 * 3 + 2 and one == two


def test_a_finished_folder_is_taken_as_it_is(folder, tmp_path):
    _prepare(folder, tmp_path / "out")
    before = _bytes(tmp_path / "out")
    (folder / "personal" / "99.txt").write_text("something new")
    corpus, tokenizer = _prepare(folder, tmp_path / "out")
    assert _bytes(tmp_path / "out") == before and corpus.manifest["tokenizer_sha256"] == tokenizer.sha256


def test_a_corpus_of_another_tokenizer_is_refused(folder, tmp_path):
    corpus, _ = _prepare(folder, tmp_path / "out")
    other = Tokenizer.train(["something else"], 280)
    with pytest.raises(BadInput, match=f"another tokenizer.*{other.sha256[:12]}"):
        Corpus(corpus.folder, other.sha256)


def test_both_forms_of_a_conversation_give_the_same_ids(tmp_path):
    _lines(tmp_path / "a" / "sft" / "m.jsonl", [{"messages": _messages(n), "topic": 1} for n in range(6)])
    _lines(tmp_path / "b" / "sft" / "t.jsonl", [{"text": _tagged(_messages(n))} for n in range(6)])
    tokenizer = Tokenizer.train(WORDS, 290)
    ids = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        documents = list(folder_documents(SOURCES["sft"], folder_files(SOURCES["sft"], folder), Tally()))
        ids.append(encode(tokenizer, documents))
        assert [d.text for d in documents] == _texts("sft")[:6]
    wanted = [("system", "be kind"), ("user", _prose("sft", 3)), ("assistant", _prose("answer", 3, 5))]
    assert ids[0] == ids[1] and ids[0][3] == tokenizer.encode_chat(wanted)


def test_malformed_lines_are_skipped_counted_and_named(folder, tmp_path):
    good = {"messages": _messages(50)}
    _lines(folder / "sft" / "many.jsonl", [{"messages": _messages(n)} for n in range(100, 800)])
    _lines(
        folder / "sft" / "broken.jsonl",
        [
            '{"text": "an "unescaped" quote"}',
            good,
            "",
            "[1, 2]",
            {"text": "no tags"},
            {"messages": [{"role": "user"}]},
            {"messages": [{"role": "robot", "content": "x"}]},
            {"messages": _messages(51)},
            {"messages": []},
            "{",
        ],
    )
    said = []
    corpus, _ = _prepare(folder, tmp_path / "out", say=said.append)
    facts = corpus.manifest["sources"]["sft"]
    assert facts["documents"] + facts["heldout_documents"] == 742 and facts["dropped"]["malformed"] == 7
    assert [record.split(":")[1] for record in facts["skipped"]] == ["1", "4", "5", "6", "7", "9", "10"]
    assert len(said) == 1 and said[0].startswith("sft: 7 malformed records skipped: broken.jsonl:1: ")
    assert "broken.jsonl:7: unknown role 'robot'" in said[0] and said[0].endswith(" and 2 more")


def test_what_cannot_be_read_is_told_with_its_folder_and_a_deep_line_is_malformed(folder, tmp_path):
    good = [{"text": _prose("more", n)} for n in range(400)]
    for place, line in (("a", "[" * 100_000), ("b", {"no": "text"}), ("c", {"text": 7})):
        _lines(folder / "fineweb_edu" / place / "b.jsonl", [*good[:200], line])
    corpus, _ = _prepare(folder, tmp_path / "out", "duplicates=keep")
    assert corpus.manifest["sources"]["fineweb_edu"]["skipped"] == [
        "a/b.jsonl:201: nested too deeply",
        "b/b.jsonl:201: no 'text' in the record",
        "c/b.jsonl:201: no 'text' in the record",
    ]


def test_records_of_builtin_text_are_counted(tmp_path):
    corpus, _ = _prepare("builtin", tmp_path / "out", "builtin_characters=20000")
    for facts in corpus.manifest["sources"].values():
        assert facts["records"] == facts["documents"] + facts["heldout_documents"] + sum(facts["dropped"].values()) > 20


def test_more_than_one_malformed_record_in_a_hundred_stops(folder, tmp_path):
    """60 good ones and the 40 there are, with one broken line are 1 in 101; with two it is too much."""
    _lines(folder / "sft" / "more.jsonl", [*({"messages": _messages(n)} for n in range(100, 160)), "{"])
    corpus, _ = _prepare(folder, tmp_path / "out")
    assert corpus.manifest["sources"]["sft"]["skipped"] == [
        "more.jsonl:61: Expecting property name enclosed in double quotes: line 2 column 1 (char 2)"
    ]
    _lines(folder / "sft" / "worse.jsonl", ["[]"])
    with pytest.raises(BadInput) as caught:
        _prepare(folder, tmp_path / "again")
    assert "source 'sft': 2 of 102 records are malformed, more than the 1% that are passed over" in str(caught.value)
    assert "more.jsonl:61: " in str(caught.value) and "worse.jsonl:1: neither 'messages'" in str(caught.value)


def test_a_missing_source_says_where_it_was_looked_for_and_the_ways_out(folder):
    for path in (folder / "personal").iterdir():
        path.unlink()
    (folder / "tinystories" / "train.parquet").rename(folder / "tinystories.parquet")
    (folder / "tinystories").rmdir()
    with pytest.raises(BadInput) as caught:
        check_sources(_config(folder), NAMES)
    gone, empty = sorted(caught.value.problems, reverse=True)
    assert "source 'tinystories' is missing" in gone and f"{folder / 'tinystories'} (no such folder)" in gone
    assert "source 'personal' is missing" in empty and "*.jsonl.gz" in empty
    assert all("--data DIR" in problem and "--data builtin" in problem for problem in (gone, empty))
    ready = _config(folder, "data.tokenizer=x/y")  # with a ready tokenizer only what is read must be there
    check_sources(ready, ["sft", "fineweb_edu", "synthetic"])
    with pytest.raises(BadInput, match=r"no data folder '.*nowhere'"):
        check_sources(_config(folder / "nowhere"), ["sft"])


def test_a_source_of_four_documents_is_too_small(folder, tmp_path):
    for path in sorted((folder / "personal").iterdir())[4:]:
        path.unlink()
    with pytest.raises(BadInput, match=r"source 'personal' has 4 documents in .*; at least 5 are needed"):
        _prepare(folder, tmp_path / "out")


def test_text_of_too_little_variety_for_the_vocabulary_is_bad_input(folder, tmp_path):
    with pytest.raises(BadInput, match=r"variety for [0-9]+ tokenizer entries, not 40000"):
        _prepare(folder, tmp_path / "out", "vocab_size=40000")


def test_a_parquet_without_text_names_its_columns(folder, tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"story": ["x"] * 9}), folder / "tinystories" / "train.parquet")
    with pytest.raises(BadInput, match=r"train\.parquet has no column 'text'; its columns: story"):
        _prepare(folder, tmp_path / "out")


def test_a_data_folder_may_bring_its_tokenizer(folder):
    assert choose_tokenizer(_config(folder)) is None
    tokenizer = Tokenizer.train(_texts("personal") + _texts("sft"), 320)
    tokenizer.save(folder / "tokenizer")
    usual = f"data.tokenizer={Data().tokenizer}"  # the folder's copy stands in for it, never for another one
    assert choose_tokenizer(_config(folder, usual, "vocab_size=320")).sha256 == tokenizer.sha256
    with pytest.raises(BadInput, match=r"has 320 entries, the config's size\.vocab_size is 361"):
        choose_tokenizer(_config(folder, usual, "vocab_size=361"))
    with pytest.raises(BadInput, match="no tokenizer at"):
        choose_tokenizer(_config(folder, f"data.tokenizer={folder / 'nowhere'}"))


def _held(texts, fraction=0.05, tokens=0):
    draws = list(map(split.unit_hash, texts))
    limit = split.threshold(draws, list(map(len, texts)), fraction, tokens)
    return {text for text, draw in zip(texts, draws, strict=True) if draw < limit}


def test_a_twentieth_of_a_large_source_is_held_out():
    texts = [_prose("large", n, 3) for n in range(20_000)]
    held = _held(texts, tokens=100)
    assert abs(len(held) - 1000) < 5 * 31  # 5 standard deviations
    assert all((split.unit_hash(text) < 0.05) == (text in held) for text in texts)


def test_a_small_source_holds_out_more_but_never_above_a_fifth():
    texts = [_prose("small", n) for n in range(100)]
    counts = [len(_held(texts, tokens=tokens)) for tokens in (0, 200, 300, 10**9)]
    assert counts[0] < counts[1] < counts[2] < counts[3] == 20
    assert 200 * 5 <= sum(map(len, _held(texts, tokens=200))) < 200 * 5 + 250
    assert [len(_held(texts[:n], tokens=10**9)) for n in (5, 9, 10, 99)] == [1, 1, 2, 19]


def test_what_is_held_out_depends_on_the_text_alone():
    texts = [_prose("any", n) for n in range(200)]
    held = _held(texts, tokens=250)
    assert _held(texts[::-1], tokens=250) == _held(random.Random(0).sample(texts, 200), tokens=250) == held
    assert split.unit_hash("a text") == 0.3773985425632937  # for ever: a change would let old test text into training
    doubled = _held([*texts, *texts[::-1]], tokens=250)  # both copies go to one side
    limit = max(map(split.unit_hash, doubled))
    assert doubled == {text for text in texts if split.unit_hash(text) <= limit} and len(doubled) > 1


@pytest.mark.parametrize("pieces", [[3] * 40, [1] * 30 + [9] * 10, [60, 40], [5, 95], [100]])
def test_what_was_cut_from_one_whole_is_on_one_side(pieces):
    """Never none and never all; a fifth at most where whole groups fit into it."""
    wholes = np.repeat([split.unit_hash(f"video {n}") for n in range(len(pieces))], pieces)
    limit = split.threshold(wholes, np.full(len(wholes), 50), 0.05, tokens=100)
    held = int((wholes < limit).sum())
    first = pieces[int(np.argmin([split.unit_hash(f"video {n}") for n in range(len(pieces))]))]
    assert held == 0 if len(pieces) == 1 else 0 < held <= max(first, len(wholes) // 5)


def test_one_of_two_videos_is_held_out_and_that_is_said(folder, tmp_path):
    (folder / "personal" / "a.jsonl").parent.rename(tmp_path / "aside")
    _lines(
        folder / "personal" / "a.jsonl", [{"text": _prose("voice", n), "video": f"video {n % 2}"} for n in range(40)]
    )
    said = []
    corpus, tokenizer = _prepare(folder, tmp_path / "out", say=said.append)
    assert said == [
        "personal: 50% of the documents are held out, for all of a video is on one side of the split: add videos"
    ]
    held = _documents(tokenizer, corpus.heldout("personal"))
    assert len(held) == 20 and len({int(text.split(":")[0].split()[-1]) % 2 for text in held}) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("sft/x.jsonl.gz", b"no gzip", "x.jsonl.gz cannot be read"),
        ("personal/x.txt", b"\xff\xfe", "x.txt cannot be read"),
        ("tinystories/x.parquet", b"PAR0", "x.parquet cannot be read"),
    ],
)
def test_an_unreadable_file_is_named(folder, tmp_path, name, content, message):
    (folder / name).write_bytes(content)
    with pytest.raises(BadInput, match=message):
        _prepare(folder, tmp_path / "out")


def test_lines_that_are_no_text_are_skipped_and_counted(folder, tmp_path):
    said = []
    (folder / "sft" / "bad.jsonl").write_bytes(b'{"text": "\xff"}\n{"text": "<|user|>\\ud800<|assistant|>x"}\n')
    _lines(folder / "sft" / "many.jsonl", [{"messages": _messages(n)} for n in range(100, 260)])
    corpus, _ = _prepare(folder, tmp_path / "out", say=said.append)
    assert [r.split(": ")[0] for r in corpus.manifest["sources"]["sft"]["skipped"]] == ["bad.jsonl:1", "bad.jsonl:2"]
    assert "2 malformed records skipped" in said[0]


def test_text_files_of_conversations_are_written_in_the_template(folder, tmp_path):
    (folder / "sft" / "talk.txt").write_text("<|user|>\nHello there\n<|assistant|>\nGood morning\n" * 40)
    (folder / "sft" / "prose.txt").write_text("no tags at all")
    _lines(folder / "sft" / "many.jsonl", [{"messages": _messages(n)} for n in range(100, 160)])
    corpus, _ = _prepare(folder, tmp_path / "out")
    assert corpus.manifest["sources"]["sft"]["skipped"] == ["prose.txt: text without role tags"]


def test_text_too_short_for_one_row_is_refused_before_anything_starts(folder, tmp_path):
    with pytest.raises(BadInput) as caught:
        prepare(_config(folder), tmp_path / "out", NAMES, tokenizer=None, seq_len=10**6, hub_tokens=0)
    assert len(caught.value.problems) == 8  # four sources, too short to train on and to measure
    count = Corpus(_prepare(folder, tmp_path / "as_it_is")[0].folder, Tokenizer.load(tmp_path / "as_it_is").sha256)
    for problem, side, use in zip(
        caught.value.problems, (count.train, count.heldout), ("to train on", "held out"), strict=False
    ):
        assert problem == (
            f"source 'tinystories' has {len(side('tinystories'))} tokens {use}, less than one row of "
            "1000000: give more text"
        )


def test_a_held_out_conversation_goes_without_what_all_conversations_are_told(folder, tmp_path):
    system = {}
    for duplicates in ("drop", "keep"):
        corpus, tokenizer = _prepare(folder, tmp_path / duplicates, f"duplicates={duplicates}")
        told = tokenizer.encode("be kind")
        for side, tokens in (("train", corpus.train("sft")), ("heldout", corpus.heldout("sft"))):
            ids = np.asarray(tokens).tolist()
            system[duplicates, side] = sum(ids[i : i + len(told)] == told for i in range(len(ids)))
    held = len(corpus.heldout_ends("sft"))
    assert (
        system
        == {
            ("drop", "train"): 40 - held,
            ("drop", "heldout"): 0,
            ("keep", "train"): 40 - held,
            ("keep", "heldout"): held,
        }
        and held > 0
    )


def test_a_vocabulary_beyond_sixteen_bits_gets_wider_shards_with_the_same_tokens(folder, tmp_path, monkeypatch):
    assert [token_type(size) for size in (49_152, 65_536, 65_537, 200_000)] == [np.uint16] * 2 + [np.uint32] * 2
    narrow, _ = _prepare(folder, tmp_path / "narrow")
    for module in (write_shards, decide):
        monkeypatch.setattr(module, "token_type", lambda size: np.dtype(np.uint32))
    wide, _ = _prepare(folder, tmp_path / "wide")
    assert (narrow.dtype, wide.dtype) == (np.uint16, np.uint32)
    for source in TEXT_NAMES:
        for side in ("train", "heldout"):
            one, other = (np.asarray(getattr(corpus, side)(source)[:]) for corpus in (narrow, wide))
            assert other.dtype == np.uint32 and np.array_equal(one, other) and len(one) > 0
