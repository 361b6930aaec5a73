"""What a preparation of hub data reads, and what becomes of it when the command is run again with other options."""

import json
from pathlib import Path

import pytest
from sample_texts import TEXT_NAMES, config_of, documents, file_hashes, prepare_run, prose, source_texts, write_parquet

from hamner.data.preparation.command import prepare_command
from hamner.data.preparation.plan import plan_settings
from hamner.data.preparation.store import Store
from hamner.data.tokenizer import Tokenizer
from hamner.prepare_data import one_process, parser
from hamner.runs.cli import run_command


def test_the_hub_is_streamed(hub_folder):
    lines = []
    corpus, tokenizer = prepare_run(
        "hub",
        hub_folder / "out",
        f"data.local_path={hub_folder / 'own'}",
        "data.heldout_fraction=0.2",
        say=lines.append,
    )
    facts = corpus.manifest["sources"]
    for name in ("tinystories", "fineweb_edu"):
        texts = documents(tokenizer, corpus.train(name)) + documents(tokenizer, corpus.heldout(name))
        assert sorted(texts) == sorted(source_texts(name))
    assert [facts[name]["documents"] + facts[name]["heldout_documents"] for name in TEXT_NAMES] == [40] * 4
    assert facts["tinystories"]["dropped"]["too_short"] == 1
    assert (facts["tinystories"]["license"], facts["fineweb_edu"]["license"]) == ("CDLA-Sharing-1.0", "ODC-By 1.0")
    assert facts["fineweb_edu"]["origin"] == "hub: HuggingFaceFW/fineweb-edu"
    assert {path.suffix for path in (hub_folder / "out").iterdir()} == {".bin", ".json"}  # nothing else is left
    assert "1,000,000 tokens of each hub source for this run alone" in lines[0]


def test_how_far_the_hub_is_streamed_decides_the_bytes_only_without_a_number_of_tokens():
    few, many = (config_of("hub", f"data.hub_tokens={tokens}") for tokens in (1000, 2000))
    assert plan_settings(few, ["tinystories"], None, 9) != plan_settings(many, ["tinystories"], None, 9)
    assert plan_settings(few, ["tinystories"], 500, 9) == plan_settings(many, ["tinystories"], 500, 9)
    here, there = (config_of("hub", f"data.local_path={folder}") for folder in ("here", "there"))
    assert plan_settings(here, ["tinystories"], None, 9) == plan_settings(there, ["tinystories"], None, 9)
    near, far = (config_of("hub", f"data.hub_deadline={seconds}") for seconds in (1.0, 2.0))
    assert plan_settings(near, ["tinystories"], None, 9) == plan_settings(far, ["tinystories"], None, 9)


class Interrupted(Store):
    """A store in which Ctrl-C comes with the write of the file `name`."""

    name = ""

    def write(self, name, data):
        if name == self.name:
            raise KeyboardInterrupt
        super().write(name, data)


def _command(out, *words, interrupted_at=""):
    Tokenizer.train([prose("tale", n) for n in range(50)], 320).save(Path("tokenizer"))
    arguments = ["--config", "smoke", "--data", "hub", "--sources", "tinystories", "--out", str(out)]
    arguments += ["--shard-tokens", "20000", "vocab_size=320", "heldout_sequences=2", "tournament.seq_len=16"]
    arguments += ["curriculum.seq_len=16", f"data.tokenizer={Path('tokenizer').resolve()}", *words]
    store = type("Interrupted", (Interrupted,), {"name": interrupted_at})
    return run_command(lambda given: prepare_command(given, parser(), one_process, store), arguments)


@pytest.fixture
def tales(hub_folder):
    """The folder named as the dataset has 1,500 tales, some 130,000 tokens."""
    path = hub_folder / "roneneldan" / "TinyStories" / "train.parquet"
    write_parquet(path, [prose("tale", n, 60) for n in range(1500)])
    return hub_folder


@pytest.mark.parametrize("limit", [("--tokens", "{}"), ("data.hub_tokens={}",)])
def test_a_rerun_with_another_limit_leaves_what_was_begun_as_it_is(tales, capsys, limit):
    """Stopped in the second shard; refused with three times the tokens; continues with the first number."""
    few, many = ([word.format(count) for word in limit] for count in (20_000, 60_000))
    assert _command(tales / "out", *few, interrupted_at="tinystories.00000.001.train.bin") == 130
    assert _command(tales / "out", *many) == 2
    assert "was begun with other settings: " in capsys.readouterr().err
    assert _command(tales / "out", *few) == 0
    assert _command(tales / "calm", *few) == 0
    assert file_hashes(tales / "out") == file_hashes(tales / "calm") and len(file_hashes(tales / "calm")) >= 4
    assert _command(tales / "out", *many) == 2  # finished, with other settings


def test_what_was_streamed_for_another_limit_is_not_taken_over(tales, capsys):
    """Stopped before anything was decided, with three times the tokens."""
    assert _command(tales / "out", "--tokens", "60000", interrupted_at="tokenizer.json") == 130
    assert (tales / "out" / "from_hub" / "tinystories" / "state.json").is_file()
    assert _command(tales / "out", "--tokens", "20000") == 0
    assert "was begun with other settings, and nothing is written yet" in capsys.readouterr().out
    assert _command(tales / "calm", "--tokens", "20000") == 0
    assert file_hashes(tales / "out") == file_hashes(tales / "calm")


def test_a_row_without_text_is_malformed(tales):
    """One of 1,501, listed with its place."""
    texts = [prose("tale", n, 60) for n in range(1500)]
    write_parquet(tales / "roneneldan" / "TinyStories" / "train.parquet", [*texts[:300], None, *texts[300:]])
    assert _command(tales / "out") == 0
    facts = json.loads((tales / "out" / "manifest.json").read_text())["sources"]["tinystories"]
    assert facts["dropped"]["malformed"] == 1 and facts["records"] == 1501
    assert facts["skipped"] == ["00000.parquet, row 300: no 'text' in the record: it is a null"]
    assert facts["documents"] + facts["heldout_documents"] + sum(facts["dropped"].values()) == 1501
