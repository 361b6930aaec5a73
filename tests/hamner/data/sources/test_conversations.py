"""Conversation data sets: which are there, by what name, and what is said of those that are not to be had."""

import json

import pyarrow
import pytest
from pyarrow import parquet

from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.data.preparation.conversation_sources import find_conversations
from hamner.data.sources.conversations import HUB, HUB_SHARES, choose_sources, local_sources, parse_hub
from hamner.data.sources.hub_stream import stage
from hamner.data.sources.local_files import folder_documents
from hamner.data.sources.source import Tally

CHAT = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}]


def put(folder, name="a.jsonl"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps({"messages": CHAT}) + "\n")


@pytest.fixture
def folder(tmp_path):
    """DATA/sft/ with two sources in folders, loose files and a folder without data."""
    for place in (tmp_path / "sft" / "warm", tmp_path / "sft" / "soda", tmp_path / "sft"):
        put(place)
    (tmp_path / "sft" / "empty").mkdir()
    return tmp_path / "sft"


def test_folders_and_loose_files_are_sources(folder):
    found = local_sources(folder)
    assert list(found) == ["soda", "warm", "sft"]
    assert found["sft"].files == (folder / "a.jsonl",) and found["warm"].files == (folder / "warm" / "a.jsonl",)


@pytest.mark.parametrize("name", ["builtin", "everyday", "habits", "identity", "sft"])
def test_a_folder_may_not_have_the_name_of_another_kind(folder, name):
    put(folder / name)
    with pytest.raises(BadInput, match=f"'{name}' is the name of a source that is no folder"):
        local_sources(folder)


def test_without_names_what_is_there_is_read(folder, tmp_path):
    chosen, shares = choose_sources({}, "hub", folder)
    assert set(chosen) == {"soda", "warm", "sft"} and shares == {}
    assert {kind.kind for kind in chosen.values()} == {"files"}  # soda is here: the hub is not asked
    chosen, shares = choose_sources({}, "hub", tmp_path / "none")
    assert shares == HUB_SHARES and {kind.kind for kind in chosen.values()} == {"hub"}
    chosen, shares = choose_sources({}, "builtin", None)
    assert shares == {"builtin": 0.3, "habits": 0.45, "everyday": 0.25}
    assert [each.kind for each in chosen.values()] == ["builtin", "builtin", "everyday"]
    assert choose_sources({"everyday": 1.0}, "hub", folder)[0]["everyday"].kind == "everyday"
    assert sum(HUB_SHARES.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({"warn": 1.0}, "unknown source 'warn'; .* has soda, warm, sft; did you mean 'warm'"),
        ({"warm": 0.5, "soda": 0.4}, "shares sum to 0.9, not 1"),
        ({"warm": 1.5, "soda": -0.5}, "the share of 'soda' is -0.5; it must be above 0"),
    ],
)
def test_wrong_shares_are_refused(folder, shares, words):
    with pytest.raises(BadInput, match=words):
        choose_sources(shares, "DIR", folder)


def test_a_folder_without_conversations_says_what_to_do(tmp_path):
    with pytest.raises(BadInput, match=r"no conversations in .*sft: put JSONL files there"):
        choose_sources({}, str(tmp_path), tmp_path / "sft")


@pytest.mark.parametrize(
    "record",
    [
        {"text": json.dumps(CHAT)},  # as it is staged from the hub
        {"messages": CHAT},  # as its own files have it
        {"text": json.dumps(["hello", "hi", "and no answer"])},
        {"dialogue": ["hello", "hi"]},
        {"dialogue": ["hello", "hi", "bye"], "speakers": ["Ana", "Ben", "Ana"]},
        {"text": json.dumps({"dialogue": ["hello", "hi"], "speakers": ["Ana", "Ben"]})},
    ],
)
def test_records_of_the_hub_become_conversations(record):
    assert parse_hub(record).messages == (("user", "hello"), ("assistant", "hi"))


def test_what_one_says_in_a_row_is_one_message_and_a_third_speaker_is_one_too_many():
    names, texts = ["Ana", "Ana", "Ben", "Ben", "Ana"], ["Hello!", "How are you?", "Fine.", "And you?", "Well."]
    found = parse_hub({"dialogue": texts, "speakers": names})
    assert found.messages == (("user", "Hello! How are you?"), ("assistant", "Fine. And you?"))
    with pytest.raises(ValueError, match="of 3 speakers"):
        parse_hub({"dialogue": texts, "speakers": ["Ana", "Ben", "Cleo", "Ben", "Ana"]})
    with pytest.raises(ValueError, match="of 5 texts and 2 speakers"):
        parse_hub({"dialogue": texts, "speakers": ["Ana", "Ben"]})


# Columns and splits as the cards of the three state them (read in November 2026); the values are ours
SPOKEN = [{"content": "hello", "role": "user"}, {"content": "hi", "role": "assistant"}]
CARDS = {
    "smol-smoltalk": ("data/train-00000-of-00001", {"messages": [SPOKEN], "source": ["smol-magpie-ultra-short"]}),
    "everyday-conversations": (
        "data/train_sft-00000-of-00001",
        {"topic": ["Greetings"], "prompt": ["Say hello."], "completion": ["User: hello"], "messages": [SPOKEN]},
    ),
    "soda": (
        "train",
        {"narrative": ["They meet."], "dialogue": [["hello", "hi"]], "speakers": [["Ana", "Ben"]], "PersonX": ["Ana"]},
    ),
}


@pytest.mark.parametrize("name", CARDS)
def test_the_columns_that_a_card_states_are_streamed_into_conversations(name, tmp_path, monkeypatch):
    """By `datasets` itself, from a folder of the dataset's name with files as the hub has them."""
    place, columns = CARDS[name]
    file = tmp_path / HUB[name].hub.dataset / f"{place}.parquet"
    file.parent.mkdir(parents=True)
    parquet.write_table(pyarrow.table(columns), file)
    other = file.with_name(file.name.replace("train", "test"))
    parquet.write_table(pyarrow.table(columns).slice(0, 0), other)
    monkeypatch.chdir(tmp_path)
    staged = stage(HUB[name], tmp_path / "staged", 1000, 60.0, print)
    documents = list(folder_documents(HUB[name], staged.files(HUB[name], tmp_path / "staged"), Tally()))
    assert [document.messages for document in documents] == [(("user", "hello"), ("assistant", "hi"))]


@pytest.mark.parametrize("record", [{"text": "[]"}, {"text": json.dumps(["alone"])}, {"text": "[broken"}, {"other": 1}])
def test_a_record_without_an_exchange_is_malformed(record):
    with pytest.raises(ValueError):
        parse_hub(record)


@pytest.mark.parametrize("name", ["soda"])  # each takes seconds to import what streams
def test_without_a_network_the_hub_is_refused_in_one_line(name, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    with pytest.raises(BadInput, match=rf"source '{name}' cannot be streamed .*data/sft/{name}/") as error:
        stage(HUB[name], tmp_path, 1000, 20.0, lambda line: None)
    assert len(error.value.problems) == 1 and "finetuning.sources={builtin=1}" in str(error.value)


def test_a_run_of_before_reads_what_it_recorded():
    config = load_config("smoke", ["data.path=builtin", "finetuning.identity=0"])
    assert set(find_conversations(config)[1]) == {"builtin", "habits", "everyday"}
    chosen, shares = find_conversations(config, {"builtin": 1.0})
    assert set(chosen) == {"builtin"} and shares == {"builtin": 1.0}


def test_an_unknown_name_and_a_wrong_sum_are_said_at_once(folder):
    with pytest.raises(BadInput) as error:
        choose_sources({"everydy": 0.5, "habits": 0.4}, "hub", folder)
    unknown, total = error.value.problems
    assert "did you mean 'everyday'" in unknown and "shares sum to 0.9, not 1" in total
