"""Every file format, the malformed records that are skipped and listed, and how text is normalized."""

import pyarrow
import pyarrow.parquet
import pytest
from sample_texts import conversation, prepare_run, prose, source_texts, tagged, write_lines

from hamner.config.errors import BadInput
from hamner.data.preparation.write_shards import encode
from hamner.data.sources import SOURCES, Tally
from hamner.data.sources.local_files import folder_documents, folder_files
from hamner.data.tokenizer import Tokenizer


def _read(folder, name):
    """The documents of a source in a folder, and what reading them counted."""
    tally = Tally()
    files = folder_files(SOURCES[name], folder)
    return list(folder_documents(SOURCES[name], files, tally, folder / name)), tally


def test_both_forms_of_a_conversation_give_the_same_ids(tmp_path):
    write_lines(tmp_path / "a" / "sft" / "m.jsonl", [{"messages": conversation(n), "topic": 1} for n in range(6)])
    write_lines(tmp_path / "b" / "sft" / "t.jsonl", [{"text": tagged(conversation(n))} for n in range(6)])
    tokenizer = Tokenizer.train(source_texts("tinystories"), 290)
    ids = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        documents, _ = _read(folder, "sft")
        ids.append([i.tolist() for i in encode(tokenizer, documents)])
        assert [d.text for d in documents] == source_texts("sft")[:6]
    messages = [("system", "be kind"), ("user", prose("sft", 3)), ("assistant", prose("answer", 3, 5))]
    assert ids[0] == ids[1] and ids[0][3] == tokenizer.encode_chat(messages)


def test_malformed_lines_are_skipped_counted_and_listed(tmp_path):
    write_lines(
        tmp_path / "sft" / "broken.jsonl",
        [
            '{"text": "an "unescaped" quote"}',
            {"messages": conversation(50)},
            "",
            "[1, 2]",
            {"text": "no tags"},
            {"messages": [{"role": "user"}]},
            {"messages": [{"role": "robot", "content": "x"}]},
            {"messages": conversation(51)},
            {"messages": []},
            "{",
        ],
    )
    documents, tally = _read(tmp_path, "sft")
    assert (len(documents), tally.records, tally.malformed) == (2, 9, 7)
    assert [record.split(":")[:2] for record in tally.skipped] == [
        ["broken.jsonl", line] for line in ("1", "4", "5", "6", "7", "9", "10")
    ]
    assert "broken.jsonl:7: unknown role 'robot'" in tally.skipped


def test_malformed_lines_are_said_once_with_the_first_five(folder, tmp_path):
    write_lines(folder / "sft" / "many.jsonl", [{"messages": conversation(n)} for n in range(100, 800)])
    write_lines(folder / "sft" / "broken.jsonl", ["{"] * 7)
    lines = []
    corpus, _ = prepare_run(folder, tmp_path / "out", say=lines.append)
    facts = corpus.manifest["sources"]["sft"]
    assert facts["documents"] + facts["heldout_documents"] == 740 and facts["dropped"]["malformed"] == 7
    assert len(facts["skipped"]) == 7 and all(record in lines[0] for record in facts["skipped"][:5])
    assert len(lines) == 1 and lines[0].startswith("sft: 7 malformed records") and lines[0].endswith(" and 2 more")


def test_a_malformed_record_is_listed_with_its_folder_and_a_deep_line_is_one(tmp_path):
    for place, line in (("a", "[" * 100_000), ("b", {"no": "text"}), ("c", {"text": 7})):
        write_lines(tmp_path / "fineweb_edu" / place / "b.jsonl", [{"text": prose("more", 1)}, line])
    assert _read(tmp_path, "fineweb_edu")[1].skipped == [
        "a/b.jsonl:2: nested too deeply",
        "b/b.jsonl:2: no 'text' in the record; its keys: 'no'",
        "c/b.jsonl:2: no 'text' in the record: it is a number",
    ]


def test_lines_that_are_no_text_are_skipped(tmp_path):
    (tmp_path / "sft").mkdir()
    (tmp_path / "sft" / "bad.jsonl").write_bytes(b'{"text": "\xff"}\n{"text": "<|user|>\\ud800<|assistant|>x"}\n')
    documents, tally = _read(tmp_path, "sft")
    assert documents == [] and [r.split(": ")[0] for r in tally.skipped] == ["bad.jsonl:1", "bad.jsonl:2"]


def test_text_files_may_be_conversations(tmp_path):
    (tmp_path / "sft").mkdir()
    (tmp_path / "sft" / "talk.txt").write_text("<|user|>\nHello there\n<|assistant|>\nGood morning\n" * 40)
    (tmp_path / "sft" / "prose.txt").write_text("no tags at all")
    (talk,), tally = _read(tmp_path, "sft")
    assert len(talk.messages) == 80 and tally.skipped == ["prose.txt: text without role tags"]


def test_a_parquet_without_text_names_its_columns(tmp_path):
    (tmp_path / "tinystories").mkdir()
    pyarrow.parquet.write_table(pyarrow.table({"story": ["x"] * 9}), tmp_path / "tinystories" / "train.parquet")
    with pytest.raises(BadInput, match=r"train\.parquet has no column 'text'; its columns: story"):
        _read(tmp_path, "tinystories")


@pytest.mark.parametrize(
    ("name", "content"),
    [("sft/x.jsonl.gz", b"no gzip"), ("personal/x.json", b'[{"text": "x"}, '), ("sft/x.parquet", b"PAR0")],
)
def test_an_unreadable_file_is_named(tmp_path, name, content):
    path = tmp_path / name
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(BadInput, match=f"{path} cannot be read"):
        _read(tmp_path, path.parent.name)
