"""The manifest accounts for every record, and a folder that is finished is checked before it is used."""

import hashlib
import json
import shutil
from functools import partial

import pytest
from sample_texts import command_arguments, config_of, prose, turns, write_lines

from hamner.config.errors import BadInput
from hamner.data.corpus import Corpus
from hamner.data.preparation.for_run import check_sources
from hamner.data.tokenizer import Tokenizer
from hamner.prepare_data import main


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Sixty documents of each source."""
    data = tmp_path_factory.mktemp("texts")
    for source in ("tinystories", "fineweb_edu", "personal"):
        write_lines(data / source / "a.jsonl", [{"text": prose(source, n, 40)} for n in range(60)])
    write_lines(data / "sft" / "deep" / "a.jsonl", [{"messages": turns(n)} for n in range(60)])
    return data


@pytest.fixture(scope="module")
def prepared(texts, tmp_path_factory):
    out = tmp_path_factory.mktemp("prepared") / "out"
    assert main(command_arguments(texts, out, "vocab_size=320", "--sources", "sft")) == 0
    return out


def test_every_document_and_byte_is_accounted_for(texts, tmp_path):
    """Two near-duplicates and one exact one, in other files and one in another source."""
    shutil.copytree(texts, tmp_path / "data")
    near = prose("fineweb_edu", 7, 40).replace("number 7:", "NUMBER 7 --")
    write_lines(
        tmp_path / "data" / "tinystories" / "b.jsonl.gz", [{"text": near}, {"text": prose("tinystories", 5, 40)}]
    )
    system = {"role": "system", "content": "Be kind."}
    write_lines(tmp_path / "data" / "sft" / "c.jsonl", [{"messages": [system, *turns(3)]}])
    assert main(command_arguments(tmp_path / "data", tmp_path / "out")) == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert not (tmp_path / "out" / "unfinished").exists()
    assert list(manifest["sources"]) == ["tinystories", "fineweb_edu", "sft", "personal"]
    for name, records in (("tinystories", 62), ("fineweb_edu", 60), ("sft", 61), ("personal", 60)):
        facts = manifest["sources"][name]
        assert facts["records"] == records
        assert records == facts["documents"] + facts["heldout_documents"] + sum(facts["dropped"].values())
        assert facts["license"] == "not stated" and facts["origin"] == manifest["data"]
        for side, key in (("train", "tokens"), ("heldout", "heldout_tokens")):
            shards = [shard for shard in facts["shards"] if shard["side"] == side]
            assert facts[key] == sum(shard["tokens"] for shard in shards)
            for shard in shards:
                data = (tmp_path / "out" / shard["file"]).read_bytes()
                assert len(data) == shard["bytes"] == 2 * shard["tokens"]
                assert hashlib.sha256(data).hexdigest() == shard["sha256"]
    dropped = {name: facts["dropped"] for name, facts in manifest["sources"].items()}
    assert {why: count for why, count in dropped["sft"].items() if count} == {"near_duplicates": 1}
    assert dropped["tinystories"]["exact_duplicates"] == 1
    assert dropped["tinystories"]["near_duplicates"] + dropped["fineweb_edu"]["near_duplicates"] == 1
    assert manifest["tokenizer_sha256"] == Tokenizer.load(tmp_path / "out").sha256


def test_a_finished_folder_is_checked_before_it_is_called_finished(texts, tmp_path, capsys):
    data, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(texts, data)
    command = partial(main, command_arguments(data, out, "vocab_size=320", "--sources", "sft"))

    def refusal():
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
    write_lines(data / "sft" / "b.jsonl", [{"messages": turns(n)} for n in range(60, 90)])
    write_lines(data / "personal" / "a.jsonl", [{"text": "only read to train the tokenizer"}])
    assert "from other files: personal/a.jsonl has another size, and 1 more differ; " in refusal()
    write_lines(data / "personal" / "a.jsonl", [{"text": prose("personal", n, 40)} for n in range(60)])
    assert "from other files: sft/b.jsonl is new; " in refusal()
    (data / "sft" / "b.jsonl").unlink()
    assert command() == 0
    for path in [*out.glob("*.bin"), out / "tokenizer.json"]:
        content = path.read_bytes()
        path.write_bytes(content[:-2])
        assert f"1 of its files are missing or not what was written, first {path.name}: " in refusal()
        path.unlink()
        assert f"first {path.name}: " in refusal()
        path.write_bytes(content)
    assert command() == 0
    (out / "manifest.json").write_text("{}")
    assert "manifest.json is broken, or of an earlier version: KeyError 'sources'; " in refusal()


def test_finished_with_another_tokenizer_is_refused(texts, tmp_path, capsys):
    arguments = command_arguments(
        texts, tmp_path / "out", "vocab_size=301", "--sources", "sft", f"data.tokenizer={tmp_path / 'tok'}"
    )
    for code, text in ((0, prose("one", 0, 200)), (2, "another text, from which other pairs are learnt " * 9)):
        Tokenizer.train([text], 301).save(tmp_path / "tok")
        assert main(arguments) == code
    assert "is finished, with another tokenizer (" in capsys.readouterr().err


def test_a_prepared_folder_is_found_from_home_and_a_broken_one_is_refused(prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(prepared.parent))
    check_sources(config_of(f"~/{prepared.name}"), ["sft"])
    shutil.copytree(prepared, tmp_path / "copy")
    ends = next((tmp_path / "copy").glob("*.heldout.ends.bin"))
    ends.unlink()
    sha256 = Tokenizer.load(prepared).sha256
    with pytest.raises(BadInput, match=rf": 1 of \d+ shards are missing or of another length, first {ends.name}"):
        Corpus(tmp_path / "copy", sha256)
    (tmp_path / "copy" / "manifest.json").write_text("{}")
    with pytest.raises(BadInput, match=r"manifest\.json is broken: KeyError 'sources'"):
        check_sources(config_of(tmp_path / "copy"), ["sft"])
    with pytest.raises(BadInput, match=r"manifest\.json is broken: KeyError 'tokenizer_sha256'"):
        Corpus(tmp_path / "copy", sha256)


def test_what_lies_at_an_address_is_copied_first(texts, tmp_path, capsys):
    Tokenizer.train([prose("one", 0, 200)], 301).save(tmp_path / "tok")
    words = ("vocab_size=301", "--sources", "sft", f"data.tokenizer={tmp_path / 'tok'}")
    for _ in range(2):  # written, and found finished
        assert main(command_arguments(texts, "memory://far/first", *words)) == 0
        assert "finished: memory://far/first; copy it to a disk of the machine first" in capsys.readouterr().out
    assert main(command_arguments("memory://far/first", tmp_path / "out", *words)) == 2
    assert "--data memory://far/first is an address" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["manifest.json", "unfinished/plan.json"])
def test_a_broken_file_of_a_preparation_is_named(texts, tmp_path, capsys, name):
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text('{"settings": ')
    assert main(command_arguments(texts, tmp_path / "out")) == 2
    message = capsys.readouterr().err
    assert f"{path} is broken: Expecting value: line 1 column 14" in message and f"delete {tmp_path / 'out'}" in message
