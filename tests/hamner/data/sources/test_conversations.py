"""Conversation data sets: which are there, by what name, and what is said of those that are not to be had."""

import json

import pytest

from hamner.config.errors import BadInput
from hamner.data.sources.conversations import HUB, HUB_SHARES, choose_sources, local_sources, parse_hub
from hamner.data.sources.hub_stream import stage

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


@pytest.mark.parametrize("name", ["builtin", "identity", "sft"])
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
    assert shares == {"builtin": 1.0} and chosen["builtin"].kind == "builtin"
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
    ],
)
def test_records_of_the_hub_become_conversations(record):
    assert parse_hub(record).messages == (("user", "hello"), ("assistant", "hi"))


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
