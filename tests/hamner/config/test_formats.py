"""Formats of files: each kind is written with its number, read in two of them, and refused in one line beyond."""

import json

import pytest

from hamner.config import formats
from hamner.config.errors import BadInput
from hamner.config.formats import CONVERSATION, FORMATS, FORMATS_BACK, KEY, OtherFormat, format_of, stamped, unstamped
from hamner.inference.saved_conversation import read_conversation, write_conversation
from hamner.runs.files import foreign_json, read_json, read_json_as, write_json
from hamner.runs.folders import format_lines

TURNS = [("user", "hello"), ("assistant", "x")]
FILES = sorted(FORMATS.keys() - {CONVERSATION})


@pytest.fixture
def next_version(monkeypatch):
    """The version after this one, in which each kind has changed once more."""
    monkeypatch.setattr(formats, "FORMATS", {kind: number + 1 for kind, number in FORMATS.items()})


@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_written_with_its_format_and_read_without(kind, tmp_path):
    path = tmp_path / kind
    write_json(path, {"a": 1})
    assert json.loads(path.read_text()) == {KEY: FORMATS[kind], "a": 1}
    assert read_json(path) == {"a": 1}
    write_json(path, {KEY: 99, "a": 2})  # what was read of another file is written in the present format
    assert foreign_json(path) == {KEY: FORMATS[kind], "a": 2}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_of_the_next_format_is_refused_in_one_line_with_the_way_out(kind, tmp_path):
    path = tmp_path / kind
    path.write_text(json.dumps({KEY: FORMATS[kind] + 1, "unknown": {}}))
    for read in (read_json, lambda path: read_json_as(path, dict)):
        with pytest.raises(OtherFormat) as refusal:
            read(path)
        (line,) = refusal.value.problems
        assert (
            line.startswith(f"{path} has format {FORMATS[kind] + 1}, written by a newer Hamner")
            and "`git pull`" in line
        )


@pytest.mark.parametrize("kind", FILES)
def test_the_next_version_reads_what_this_one_writes_and_refuses_what_came_before(kind, tmp_path, next_version):
    path, present = tmp_path / kind, FORMATS[kind]
    path.write_text(json.dumps({KEY: present, "a": 1}))
    assert read_json(path) == {"a": 1}
    before = present - FORMATS_BACK.get(kind, 1)
    path.write_text(json.dumps({"a": 1} | ({KEY: before} if before else {})))
    with pytest.raises(OtherFormat, match=f"has format {before}, written by an older Hamner.*use the version"):
        read_json(path)


def test_a_file_of_before_there_were_formats_is_read(tmp_path):
    (tmp_path / "config.json").write_text('{"run": "a"}')
    assert read_json(tmp_path / "config.json") == {"run": "a"}
    assert format_lines(tmp_path) == [
        f"{tmp_path.name} was begun by an older Hamner: read in format 0, continued in format {FORMATS['config.json']}"
    ]
    write_json(tmp_path / "config.json", {"run": "a"})
    assert format_lines(tmp_path) == []


@pytest.mark.parametrize("number", [True, -1, 1.0, "1", None, [1], {"a": 1}])
def test_what_is_no_number_of_a_format_is_a_broken_file(number, tmp_path):
    with pytest.raises(ValueError, match="is not a whole number"):
        format_of({KEY: number})
    (tmp_path / "stages.json").write_text(json.dumps({KEY: number}))
    with pytest.raises(BadInput, match=r"stages\.json is broken: its format") as refusal:
        read_json(tmp_path / "stages.json")
    assert not isinstance(refusal.value, OtherFormat)


def test_what_is_no_object_or_not_ours_stays_as_it_is(tmp_path):
    assert stamped("config.json", [1]) == [1] and unstamped("config.json", [1], "x") == [1]
    assert stamped("documents_round1_x1.json", {"a": 1}) == {"a": 1}
    (tmp_path / "about.json").write_text('{"format": "parquet"}')
    assert read_json(tmp_path / "about.json") == {"format": "parquet"}


def test_a_saved_conversation_has_its_format_and_one_of_the_next_is_refused(tmp_path):
    path = tmp_path / "talk.jsonl"
    write_conversation(path, TURNS)
    record = json.loads(path.read_text())
    assert record.pop(KEY) == FORMATS[CONVERSATION] == 1 and list(record) == ["messages"]
    assert read_conversation(path) == TURNS
    path.write_text(json.dumps(record))  # of before
    assert read_conversation(path) == TURNS
    path.write_text(json.dumps({KEY: FORMATS[CONVERSATION] + 1} | record))
    with pytest.raises(OtherFormat, match="has format 2, written by a newer Hamner"):
        read_conversation(path)
