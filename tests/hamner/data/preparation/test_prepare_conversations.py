"""Preparation for fine-tuning: every record has a count, the split is the project's, each conversation is in once."""

import json

import numpy as np
import pytest

from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.config.special_tokens import MESSAGE_START
from hamner.data.builtin_text import everyday
from hamner.data.conversation_rows import ConversationRows
from hamner.data.preparation.conversation_counts import Limits
from hamner.data.preparation.conversations import prepare_conversations
from hamner.data.preparation.wholes import wholes
from hamner.data.sources import Source
from hamner.data.sources.conversations import ConversationSource, choose_sources
from hamner.data.sources.sft_conversations import SFT, conversation, parse
from hamner.data.split import unit_hash
from hamner.data.tokenizer import Tokenizer

WORDS = ["the", "small", "old", "fox", "owl", "red", "key", "bridge", "found", "lost", "sang", "why", "hill"]
LIMITS = Limits(seq_len=96, max_reply_tokens=30, heldout_tokens=300, hub_tokens=0)


def chat(number, exchanges=1, words=4):
    """A conversation that no other number has, its replies of about so many tokens."""
    said = [WORDS[(number // 13**place + turn) % 13] for turn in range(exchanges) for place in range(3)]
    messages = []
    for turn in range(exchanges):
        messages.append({"role": "user", "content": f"{number} {' '.join(said[3 * turn : 3 * turn + 3])}"})
        messages.append({"role": "assistant", "content": " ".join([said[3 * turn]] * words)})
    return messages


def write(folder, records):
    folder.mkdir(parents=True)
    lines = [record if isinstance(record, str) else json.dumps({"messages": record}) for record in records]
    (folder / "chats.jsonl").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train([*WORDS, "user assistant 0123456789"] * 3, 400)


@pytest.fixture
def prepared(tmp_path, tokenizer):
    """prepared(records, threshold) -> what was said, and the rows."""

    def prepare(records, threshold=None, name="chats", **changes):
        data, out, said = tmp_path / f"data-{name}", tmp_path / f"out-{name}", []
        write(data / "sft" / "warm", records)
        config = load_config("smoke", [f"data.path={data}"])
        chosen, _ = choose_sources({}, str(data), data / "sft")
        limits = Limits(**{**vars(LIMITS), **changes})
        prepare_conversations(chosen, tokenizer, config, limits, out, threshold, said.append)
        return said, ConversationRows(out, tokenizer.sha256), out

    return prepare


def test_every_record_has_a_count_and_is_said(prepared):
    records = [chat(number, 1 + number % 2) for number in range(300)]
    records += [chat(7, 2), chat(8, 1)]  # duplicates
    records += ['{"messages": [', '{"other": 1}']  # malformed
    records += [chat(1000, 1, words=31), [*chat(1001, 1), *chat(1002, 2, words=31)]]  # 1 and 2 replies too long
    records += [chat(1003, 20)]  # more than a row holds
    said, rows, _ = prepared(records)
    facts = rows.sources["warm"]
    assert facts["records"] == 307 and facts["malformed"] == 2 and facts["duplicates"] == 2
    assert facts["too_long"] == 3 and facts["without_reply"] == 1
    assert 0 < facts["beyond_row"] < 20
    assert facts["conversations"] + facts["heldout"] == 302
    assert facts["replies"] == 450 + 1 + 3 + 20
    assert "license: not stated" in said[0] and f"{facts['conversations']:,} conversations to train on" in said[0]
    for phrase in (
        "2 malformed records",
        "2 duplicates",
        "3 replies above 30 tokens (max_reply_tokens)",
        "1 conversations",
    ):
        assert phrase in said[1], said[1]
    assert "chats.jsonl:303" in said[2] and "chats.jsonl:304" in said[2]


def begins(rows):
    """How many conversations rows of single exchanges hold: each has two messages."""
    return int((np.asarray(rows) == ~np.int32(MESSAGE_START)).sum()) // 2


def test_each_side_holds_its_conversations_and_the_hash_decides(prepared, tokenizer):
    records = [chat(number) for number in range(200)]
    _, rows, out = prepared(records, threshold=0.2)
    facts = rows.sources["warm"]
    heldout = [r for r in records if unit_hash(wholes(parse({"messages": r}))[0]) < 0.2]
    assert facts["threshold"] == 0.2 and facts["heldout"] == len(heldout)
    sides = [np.fromfile(out / f"warm.{side}.bin", dtype=np.int32) for side in ("train", "heldout")]
    assert [begins(side) for side in sides] == [200 - len(heldout), len(heldout)]
    for record in heldout:  # each is there as a whole, and is not trained on
        ids = tokenizer.encode_chat([(m["role"], m["content"]) for m in record])
        found = [_is_within(ids, np.where(side < 0, ~side, side)) for side in sides]
        assert found == [False, True]


def _is_within(ids, row):
    windows = np.lib.stride_tricks.sliding_window_view(row, len(ids))
    return bool((windows == np.array(ids)).all(axis=1).any())


def test_the_same_conversations_give_the_same_bytes(prepared):
    records = [chat(number, 1 + number % 2) for number in range(60)]
    (_, _, one), (_, _, two) = prepared(records), prepared(records, name="again")
    for path in sorted(one.glob("*.bin")):
        assert path.read_bytes() == (two / path.name).read_bytes()


def test_a_finished_folder_is_taken_as_it_is(prepared, tokenizer):
    records = [chat(number) for number in range(60)]
    _, _, out = prepared(records)
    said = []
    prepare_conversations({}, tokenizer, load_config("smoke"), LIMITS, out, None, said.append)
    assert said == []
    (out / "warm.train.bin").write_bytes(b"short")
    with pytest.raises(BadInput, match=r"warm\.train\.bin is missing or was altered"):
        ConversationRows(out, tokenizer.sha256)


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([chat(n) for n in range(9)], "source 'warm' has 9 conversations in .*; at least 10 are needed"),
        ([chat(n, 1, words=31) for n in range(50)], "0 conversations .*50 replies that are too long.*raise finetuning"),
        ([*(chat(n) for n in range(50)), "{", "{"], "2 of 52 records are malformed, more than the 1% .*chats.jsonl:51"),
    ],
)
def test_a_source_without_enough_is_refused(prepared, records, words):
    with pytest.raises(BadInput, match=words):
        prepared(records)


def test_own_conversations_and_identity_are_drawn(tmp_path, tokenizer):
    config = load_config("smoke", ["builtin_characters=30_000"])
    chosen = {
        "builtin": ConversationSource("builtin", SFT, "builtin"),
        "identity": ConversationSource("identity", Source("identity"), "identity"),
    }
    limits = Limits(seq_len=512, max_reply_tokens=400, heldout_tokens=300, hub_tokens=0)
    prepare_conversations(chosen, tokenizer, config, limits, tmp_path, None, lambda line: None)
    rows = ConversationRows(tmp_path, tokenizer.sha256)
    assert set(rows.counts()) == {"builtin", "identity"} and min(rows.counts().values()) > 5
    assert {facts["license"] for facts in rows.sources.values()} == {"GPL-3.0-only"}
    assert 0.2 < rows.trained_share("identity") < 0.9
    assert rows.heldout("identity", 3).shape == (3, 512)


def test_those_written_by_hand_are_each_read_once_and_kept_apart_by_their_first_message(tmp_path):
    texts = [[text for _, text in messages] for messages in everyday.conversations()]
    tokenizer = Tokenizer.train([text for messages in texts[::7] for text in messages] + ["user assistant"], 1000)
    chosen, _ = choose_sources({"everyday": 1.0}, "hub", None)
    limits = Limits(seq_len=256, max_reply_tokens=120, heldout_tokens=3000, hub_tokens=0)
    said: list[str] = []
    prepare_conversations(chosen, tokenizer, load_config("smoke"), limits, tmp_path / "out", None, said.append)
    rows = ConversationRows(tmp_path / "out", tokenizer.sha256)
    facts = rows.sources["everyday"]
    assert facts["records"] == facts["conversations"] + facts["heldout"] == len(texts)
    assert facts["malformed"] == facts["duplicates"] == facts["beyond_row"] == 0 and facts["revision"] is None
    assert "license: GPL-3.0-only" in said[0]
    held_out = sum(unit_hash(wholes(_document(each))[0]) < facts["threshold"] for each in texts)
    assert 0 < facts["heldout"] == held_out < len(texts) / 2


def _document(texts):
    return conversation([("assistant" if place % 2 else "user", text) for place, text in enumerate(texts)])
