"""Text on disk to a run's tokens: every document once, held-out text apart, and what is refused at once."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sample_texts import (
    SETTINGS,
    TEXT_NAMES,
    command_arguments,
    config_of,
    conversation,
    documents,
    prepare_run,
    prose,
    source_texts,
    write_lines,
)

from hamner.config.errors import BadInput
from hamner.config.schema import SOURCE_NAMES, Data
from hamner.config.special_tokens import END_OF_TEXT
from hamner.data import split
from hamner.data.corpus import Corpus
from hamner.data.preparation.for_run import absent_sources, check_sources, choose_tokenizer, prepare
from hamner.data.preparation.write_shards import token_type
from hamner.data.text_rows import TextRows, training_rows
from hamner.data.tokenizer import Tokenizer
from hamner.prepare_data import main


def _bytes(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_document_of_every_format_is_there_once(folder, tmp_path):
    corpus, tokenizer = prepare_run(folder, tmp_path / "out")
    for source in ("tinystories", "fineweb_edu", "personal"):
        sides = [documents(tokenizer, tokens) for tokens in (corpus.train(source), corpus.heldout(source))]
        assert sorted(sides[0] + sides[1]) == sorted(source_texts(source))
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
        assert facts["characters"] + facts["heldout_characters"] == sum(map(len, source_texts(source))) - left_out
    assert tokenizer.vocab_size == 360 and corpus.dtype == np.uint16


def test_heldout_text_never_reaches_training(folder, tmp_path):
    corpus, tokenizer = prepare_run(folder, tmp_path / "out")
    for source in ("tinystories", "fineweb_edu", "personal"):
        heldout, training = (set(documents(tokenizer, t)) for t in (corpus.heldout(source), corpus.train(source)))
        assert heldout and not heldout & training
        threshold = corpus.manifest["sources"][source]["threshold"]
        assert max(map(split.unit_hash, heldout)) < threshold <= min(map(split.unit_hash, training))


def test_heldout_text_does_not_change_the_tokenizer(folder, tmp_path):
    corpus, tokenizer = prepare_run(folder, tmp_path / "out")
    path = min((folder / "personal").glob("*.txt"), key=lambda p: split.unit_hash(p.read_text()))
    old = path.read_text()
    others = (f"{n:04} {'zebra quagga ' * 20}"[: len(old)] for n in range(10_000))
    new = next(text for text in others if split.unit_hash(text) < split.unit_hash(old) + 0.01)
    path.write_text(new)
    changed, same = prepare_run(folder, tmp_path / "changed")
    assert same.sha256 == tokenizer.sha256
    assert new in documents(same, changed.heldout("personal"))
    assert np.array_equal(changed.train("personal"), corpus.train("personal"))
    spared = max((folder / "personal").glob("*.txt"), key=lambda p: split.unit_hash(p.read_text()))
    spared.write_text("zebra quagga " * 30 + "5")  # while training text does change it
    assert prepare_run(folder, tmp_path / "other")[1].sha256 != tokenizer.sha256


def test_preparing_twice_gives_the_same_bytes(folder, tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[3]); from pathlib import Path; import sample_texts;"
        "sample_texts.prepare_run(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    prepare_run(folder, tmp_path / "one")
    subprocess.run(
        [sys.executable, "-c", code, str(folder), str(tmp_path / "two"), str(Path(__file__).parents[1])],
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "7"},
    )
    one, two = _bytes(tmp_path / "one"), _bytes(tmp_path / "two")
    assert len(one) == 4 * 3 + 3 and one == two


def test_a_finished_folder_is_taken_as_it_is(folder, tmp_path):
    prepare_run(folder, tmp_path / "out")
    before = _bytes(tmp_path / "out")
    (folder / "personal" / "99.txt").write_text("something new")
    corpus, tokenizer = prepare_run(folder, tmp_path / "out")
    assert _bytes(tmp_path / "out") == before and corpus.manifest["tokenizer_sha256"] == tokenizer.sha256


def test_a_corpus_of_another_tokenizer_is_refused(folder, tmp_path):
    corpus, _ = prepare_run(folder, tmp_path / "out")
    other = Tokenizer.train(["something else"], 280)
    with pytest.raises(BadInput, match=f"another tokenizer.*{other.sha256[:12]}"):
        Corpus(corpus.folder, other.sha256)


def test_records_of_builtin_text_are_counted(tmp_path):
    corpus, _ = prepare_run("builtin", tmp_path / "out", "builtin_characters=20000")
    for facts in corpus.manifest["sources"].values():
        assert facts["records"] == facts["documents"] + facts["heldout_documents"] + sum(facts["dropped"].values()) > 20


def test_a_missing_source_says_where_it_was_looked_for_and_the_ways_out(folder):
    for path in (folder / "personal").iterdir():
        path.unlink()
    (folder / "tinystories" / "train.parquet").rename(folder / "tinystories.parquet")
    (folder / "tinystories").rmdir()
    with pytest.raises(BadInput) as caught:
        check_sources(config_of(folder), SOURCE_NAMES)
    gone, empty = caught.value.problems
    assert "'tinystories'" in gone and f"{folder / 'tinystories'} (no such folder)" in gone
    assert "'personal'" in empty and "*.jsonl.gz" in empty
    assert all(way in problem for problem in (gone, empty) for way in ("--data DIR", "--data builtin", "mix"))
    check_sources(config_of(folder), ["sft", "fineweb_edu", "synthetic"])  # the others are not demanded
    with pytest.raises(BadInput, match=r"no data folder '.*nowhere'"):
        check_sources(config_of(folder / "nowhere"), ["sft"])


def test_a_trained_tokenizer_reads_every_known_source_that_is_there_and_says_so(folder, tmp_path):
    lines = []
    prepare_run(folder, tmp_path / "out", names=["sft", "synthetic"], say=lines.append)
    assert lines == [
        "the tokenizer is trained on tinystories, fineweb_edu, sft, personal and synthetic items; "
        "tinystories, fineweb_edu, personal only for that"
    ]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["tokenizer"] == "trained on tinystories, fineweb_edu, sft, personal and synthetic items"
    assert list(manifest["sources"]) == ["sft"] and list(manifest["inputs"]) == list(TEXT_NAMES)
    (folder / "tinystories").rename(folder / "aside")  # neither known nor in the mix: never read
    (folder / "fineweb_edu").rename(tmp_path / "aside")
    lines.clear()
    prepare_run(folder, tmp_path / "fewer", names=["sft", "synthetic"], say=lines.append)
    assert lines == ["the tokenizer is trained on sft, personal and synthetic items; personal only for that"]
    prepare_run(folder, tmp_path / "all", names=["sft", "personal"], say=lines.append)
    assert len(lines) == 1  # it reads what the run reads: nothing to say


def test_any_folder_is_a_source(folder, tmp_path):
    """Text in three formats and a conversation, under a name that the project does not know."""
    write_lines(folder / "wiki" / "a" / "b.jsonl", [{"text": prose("wiki", n)} for n in range(20)])
    write_lines(folder / "wiki" / "c.jsonl.gz", [{"messages": conversation(n)} for n in range(50, 70)])
    (folder / "wiki" / "d.txt").write_text(prose("wiki", 20))
    (folder / "tinystories").rename(tmp_path / "aside")
    config = config_of(folder, "mix={wiki=0.3, fineweb_edu=0.7}")
    check_sources(config, config.tournament.mix)
    corpus, tokenizer = prepare(config, tmp_path / "out", list(config.tournament.mix), tokenizer=None, seq_len=16,
                                hub_tokens=0, say=lambda _: None)  # fmt: skip
    facts = corpus.manifest["sources"]
    assert list(facts) == ["fineweb_edu", "wiki"]  # the known ones first, whatever the mix's order
    assert facts["wiki"]["documents"] + facts["wiki"]["heldout_documents"] == 41
    texts = documents(tokenizer, corpus.train("wiki")) + documents(tokenizer, corpus.heldout("wiki"))
    assert {prose("wiki", n) for n in range(21)} <= set(texts)
    assert "trained on fineweb_edu, sft, personal, wiki and" in corpus.manifest["tokenizer"]
    row = training_rows(corpus, tokenizer, ["wiki"], 16)["wiki"].row(0, (1.0,))
    assert len(row) == 16


def test_known_sources_that_a_folder_lacks_are_named(folder, prepared, tmp_path):
    """What a tournament leaves out of its report; a name of one's own is demanded."""
    (folder / "personal").rename(tmp_path / "aside")
    names = ["wiki", "synthetic", "personal", "sft"]
    assert absent_sources(config_of(folder), names) == absent_sources(config_of(prepared), names) == ("personal",)
    assert absent_sources(config_of("builtin"), names) == absent_sources(config_of(tmp_path / "nowhere"), names) == ()


@pytest.mark.parametrize("path", ["builtin", "hub"])
def test_hub_and_builtin_text_have_the_known_sources_alone(path):
    with pytest.raises(BadInput) as caught:
        check_sources(config_of(path), ["wiki", "tinystory", "sft"])
    wiki, misspelt = caught.value.problems
    assert "'wiki'" in wiki and all(name in wiki for name in SOURCE_NAMES) and "--data DIR" in wiki
    assert "did you mean 'tinystories'?" in misspelt


def test_a_name_without_a_folder_gets_a_hint_at_what_is_there(folder):
    write_lines(folder / "wiki" / "a.jsonl", [{"text": "x"}])
    with pytest.raises(BadInput) as caught:
        check_sources(config_of(folder), ["tinystory", "wikki", "encyclopedia"])
    encyclopedia, story, wiki = caught.value.problems
    assert f"{folder} has fineweb_edu, personal, sft, tinystories, wiki" in encyclopedia
    assert "did you mean 'tinystories'?" in story and "did you mean 'wiki'?" in wiki


def test_a_name_that_cannot_be_a_folder_is_refused(folder):
    for name in ("../sft", "a b", ".hidden", "", "a.b"):
        with pytest.raises(BadInput, match=f"'{name}' cannot name a source"):
            check_sources(config_of(folder), [name])


def test_a_data_folder_may_bring_its_tokenizer(folder):
    assert choose_tokenizer(config_of(folder)) is None
    tokenizer = Tokenizer.train(source_texts("personal") + source_texts("sft"), 320)
    tokenizer.save(folder / "tokenizer")
    default = f"data.tokenizer={Data().tokenizer}"  # the folder's copy stands in for it, never for another one
    assert choose_tokenizer(config_of(folder, default, "vocab_size=320")).sha256 == tokenizer.sha256
    with pytest.raises(BadInput, match=r"has 320 entries, the config's size\.vocab_size is 361"):
        choose_tokenizer(config_of(folder, default, "vocab_size=361"))
    with pytest.raises(BadInput, match="no tokenizer at"):
        choose_tokenizer(config_of(folder, f"data.tokenizer={folder / 'nowhere'}"))


def test_text_too_short_for_one_row_is_refused_before_anything_starts(folder, tmp_path):
    with pytest.raises(BadInput) as caught:
        prepare(config_of(folder), tmp_path / "out", SOURCE_NAMES, tokenizer=None, seq_len=10**6, hub_tokens=0)
    assert len(caught.value.problems) == 8  # four sources, too short to train on and to measure
    prepare_run(folder, tmp_path / "as_it_is")
    corpus = Corpus(tmp_path / "as_it_is", Tokenizer.load(tmp_path / "as_it_is").sha256)
    for problem, side in zip(caught.value.problems, (corpus.train, corpus.heldout), strict=False):
        assert f"'tinystories' has {len(side('tinystories'))} tokens " in problem and "1000000" in problem


def test_a_vocabulary_beyond_sixteen_bits_gets_wider_shards_with_the_same_tokens(folder, tmp_path):
    """The same merges, with entries that no text uses."""
    assert [token_type(size) for size in (49_152, 65_536, 65_537, 200_000)] == [np.uint16] * 2 + [np.uint32] * 2
    narrow, tokenizer = prepare_run(folder, tmp_path / "narrow")
    inner = json.loads(tokenizer.to_json())
    inner["model"]["vocab"] |= {f"unused {n}": n for n in range(360, 65_537)}
    wide, _ = prepare_run(folder, tmp_path / "wide", tokenizer=Tokenizer.from_json(json.dumps(inner)))
    assert (narrow.dtype, wide.dtype) == (np.uint16, np.uint32)
    for source in TEXT_NAMES:
        for side in ("train", "heldout"):
            one, other = (np.asarray(getattr(corpus, side)(source)[:]) for corpus in (narrow, wide))
            assert other.dtype == np.uint32 and np.array_equal(one, other) and len(one) > 0


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A prepared folder of two sources in many shards."""
    data = tmp_path_factory.mktemp("texts")
    for number in range(6):
        pages = range(60 * number, 60 * number + 60)
        write_lines(data / "fineweb_edu" / f"{number}.jsonl", [{"text": prose("web", n, 60)} for n in pages])
    write_lines(data / "sft" / "a.jsonl", [{"messages": conversation(n)} for n in range(120)])
    out = tmp_path_factory.mktemp("prepared") / "out"
    assert main(command_arguments(data, out)) == 0
    return out


def test_a_run_takes_a_prepared_folder_as_its_data(prepared, tmp_path):
    config = config_of(prepared, *SETTINGS, "vocab_size=400", "seed=5")
    names = ["fineweb_edu", "sft", "synthetic"]
    corpus, tokenizer = prepare(
        config, tmp_path / "run", names, tokenizer=choose_tokenizer(config), seq_len=16, hub_tokens=0
    )
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "manifest.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert tokenizer.sha256 == Tokenizer.load(prepared).sha256 and corpus.seed == 5
    whole = Corpus(prepared, tokenizer.sha256)
    assert np.array_equal(corpus.train("sft"), whole.train("sft"))
    ends = corpus.heldout_ends("fineweb_edu")
    assert np.array_equal(np.flatnonzero(np.asarray(corpus.heldout("fineweb_edu")) == 0) + 1, ends)
    rows = TextRows(corpus.train("fineweb_edu"), 16, "fineweb_edu", 0)  # across the borders of the shards
    read = np.stack([rows.row(i) for i in range(rows.count)])
    flat = np.asarray(whole.train("fineweb_edu"))[: rows.count * 16].reshape(-1, 16)
    assert sorted(map(tuple, read.tolist())) == sorted(map(tuple, flat.tolist()))


def test_a_prepared_folder_that_does_not_fit_the_run_is_refused(prepared, tmp_path):
    other = Tokenizer.train(["something else"], 280)
    config = partial(config_of, prepared, "vocab_size=400")
    take = partial(prepare, config(), names=["sft"], seq_len=16, hub_tokens=0)
    with pytest.raises(BadInput, match=f"made with another tokenizer.*{other.sha256[:12]}"):
        take(folder=tmp_path / "a", tokenizer=other)
    with pytest.raises(BadInput, match=r"has 400 entries, the config's size\.vocab_size is 401"):
        choose_tokenizer(config("vocab_size=401"))
    with pytest.raises(BadInput) as caught:
        take(folder=tmp_path / "b", tokenizer=None, seq_len=99_999)
    assert len(caught.value.problems) == 2 and all(str(prepared) in problem for problem in caught.value.problems)
    with pytest.raises(BadInput, match="was prepared without personal: it holds fineweb_edu, sft; "):
        take(folder=tmp_path / "c", names=["sft", "personal"], tokenizer=None)
    with pytest.raises(BadInput, match="without SFT: it holds fineweb_edu, sft; did you mean 'sft'"):
        take(folder=tmp_path / "c", names=["SFT"], tokenizer=None)
    assert not any((tmp_path / name).exists() for name in "abc")


def test_a_named_tokenizer_must_be_that_of_the_prepared_folder(prepared, tmp_path):
    Tokenizer.load(prepared).save(tmp_path / "same")
    Tokenizer.train([prose("other", n, 40) for n in range(99)], 400).save(tmp_path / "other")
    config = partial(config_of, prepared, "vocab_size=400")
    own = Tokenizer.load(prepared).sha256
    assert choose_tokenizer(config()).sha256 == own
    assert choose_tokenizer(config(f"data.tokenizer={tmp_path / 'same'}")).sha256 == own
    with pytest.raises(BadInput, match=rf"made with another tokenizer \({own[:12]}\) than data.tokenizer = .*other"):
        choose_tokenizer(config(f"data.tokenizer={tmp_path / 'other'}"))
