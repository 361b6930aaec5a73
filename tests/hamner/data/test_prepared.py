"""A folder that was prepared before: taken when it is what is asked for and whole, told and refused when it is not."""

import json
import shutil
from functools import partial

import pytest
from test_prepare_command import WORDS, _arguments, _turns
from test_prepare_data import _config, _lines, _prose

from hamner.config.errors import BadInput
from hamner.data.corpus import Corpus
from hamner.data.preparation.for_run import check_sources, choose_tokenizer
from hamner.data.tokenizer import Tokenizer
from hamner.prepare_data import main


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Sixty documents of each source."""
    data = tmp_path_factory.mktemp("texts")
    for source in ("tinystories", "fineweb_edu", "personal"):
        _lines(data / source / "a.jsonl", [{"text": _prose(source, n, 40)} for n in range(60)])
    _lines(data / "sft" / "deep" / "a.jsonl", [{"messages": _turns(n)} for n in range(60)])
    return data


@pytest.fixture(scope="module")
def prepared(texts, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared") / "out"
    assert main(_arguments(texts, out, "vocab_size=320", "--sources", "sft")) == 0
    return out


def test_a_finished_folder_is_looked_at_before_it_is_called_finished(texts, tmp_path, capsys):
    data, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(texts, data)
    command = partial(main, _arguments(data, out, "vocab_size=320", "--sources", "sft"))

    def refused():
        assert command() == 2
        return capsys.readouterr().err

    assert command() == 0
    shutil.copytree(data, tmp_path / "same")  # of another time: it is the same text
    shutil.rmtree(data)
    (tmp_path / "same").rename(data)
    assert command() == 0
    assert json.loads((out / "manifest.json").read_text())["inputs"]["sft"] == [
        ["deep/a.jsonl", (data / "sft" / "deep" / "a.jsonl").stat().st_size]
    ]
    _lines(data / "sft" / "b.jsonl", [{"messages": _turns(n)} for n in range(60, 90)])
    _lines(data / "personal" / "a.jsonl", [{"text": "only read to train the tokenizer"}])
    assert (
        f"{out} is finished, from other files: personal/a.jsonl has another size, and 1 more differ; choose another"
        " --out, or delete it to prepare again"
    ) in refused()
    _lines(data / "personal" / "a.jsonl", [{"text": _prose("personal", n, 40)} for n in range(60)])
    assert "from other files: sft/b.jsonl is new; choose" in refused()
    (data / "sft" / "b.jsonl").unlink()
    assert command() == 0
    for path in [*out.glob("*.bin"), out / "tokenizer.json"]:
        kept = path.read_bytes()
        path.write_bytes(kept[:-2])
        assert (
            f"is finished, but 1 of its files are missing or not what was written, first {path.name}: choose"
        ) in refused()
        path.unlink()
        assert f"first {path.name}: " in refused()
        path.write_bytes(kept)
    assert command() == 0
    (out / "manifest.json").write_text("{}")
    assert "manifest.json is broken, or of an earlier version: KeyError 'sources'; choose another" in refused()


def test_finished_with_another_tokenizer_is_refused(texts, tmp_path, capsys):
    arguments = _arguments(
        texts, tmp_path / "out", "vocab_size=301", "--sources", "sft", f"data.tokenizer={tmp_path / 'tok'}"
    )
    for code, text in ((0, _prose("one", 0, 200)), (2, "another text, from which other pairs are learnt " * 9)):
        Tokenizer.train([text], 301).save(tmp_path / "tok")
        assert main(arguments) == code
    assert "is finished, with another tokenizer (" in capsys.readouterr().err


def test_a_named_tokenizer_must_be_that_of_the_prepared_folder(prepared, tmp_path):
    Tokenizer.load(prepared).save(tmp_path / "same")
    Tokenizer.train([_prose("other", n, 40) for n in range(99)], 320).save(tmp_path / "other")
    choose = partial(_config, prepared, *WORDS, "vocab_size=320")
    own = Tokenizer.load(prepared).sha256
    assert choose_tokenizer(choose()).sha256 == own
    assert choose_tokenizer(choose(f"data.tokenizer={tmp_path / 'same'}")).sha256 == own
    with pytest.raises(BadInput, match=rf"made with another tokenizer \({own[:12]}\) than data.tokenizer = .*other"):
        choose_tokenizer(choose(f"data.tokenizer={tmp_path / 'other'}"))


def test_a_prepared_folder_is_found_from_home_and_a_broken_one_is_told(prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(prepared.parent))
    check_sources(_config(f"~/{prepared.name}", *WORDS), ["sft"])
    shutil.copytree(prepared, tmp_path / "copy")
    ends = next((tmp_path / "copy").glob("*.heldout.ends.bin"))
    ends.unlink()
    sha256 = Tokenizer.load(prepared).sha256
    with pytest.raises(BadInput, match=rf": 1 of \d+ shards are missing or of another length, first {ends.name}"):
        Corpus(tmp_path / "copy", sha256)
    (tmp_path / "copy" / "manifest.json").write_text("{}")
    with pytest.raises(BadInput, match=r"manifest\.json is broken: KeyError 'sources'"):
        check_sources(_config(tmp_path / "copy", *WORDS), ["sft"])
    with pytest.raises(BadInput, match=r"manifest\.json is broken: KeyError 'tokenizer_sha256'"):
        Corpus(tmp_path / "copy", sha256)


def test_what_lies_at_an_address_is_copied_first(texts, tmp_path, capsys):
    Tokenizer.train([_prose("one", 0, 200)], 301).save(tmp_path / "tok")
    words = ("vocab_size=301", "--sources", "sft", f"data.tokenizer={tmp_path / 'tok'}")
    for _ in range(2):  # written, and found finished
        assert main(_arguments(texts, "memory://far/first", *words)) == 0
        assert "finished: memory://far/first; copy it to a disk of the machine first" in capsys.readouterr().out
    assert main(_arguments("memory://far/first", tmp_path / "out", *words)) == 2
    assert (
        "--data memory://far/first is an address, and text and shards are read from a folder: copy it to a disk of "
        "the machine first"
    ) in capsys.readouterr().err


@pytest.mark.parametrize("word", ["0", "-1", "1.5", "inf", "nan", "many"])
@pytest.mark.parametrize("option", ["--tokens", "--shard-tokens"])
def test_a_number_of_tokens_is_a_positive_whole_number(tmp_path, capsys, option, word):
    with pytest.raises(SystemExit, match="2"):
        main([f"{option}={word}", "--data", str(tmp_path)])
    assert f"{option}: '{word}' is no number of tokens: give 1 or more, as 10_000_000 or 1e9" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["manifest.json", "unfinished/plan.json"])
def test_a_broken_file_of_a_preparation_is_told(texts, tmp_path, capsys, name):
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text('{"settings": ')
    assert main(_arguments(texts, tmp_path / "out")) == 2
    assert (
        f"{path} is broken: Expecting value: line 1 column 14 (char 13); choose another --out, or delete "
        f"{tmp_path / 'out'} to prepare again"
    ) in capsys.readouterr().err


def test_an_out_that_can_be_no_folder_is_told(texts, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        assert main(_arguments(texts, out)) == 2
        assert f"--out {out} cannot be made: " in capsys.readouterr().err
