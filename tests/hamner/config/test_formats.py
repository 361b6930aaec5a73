"""Formats of files: each kind is written with its number, read in two of them, and refused in one line beyond."""

import json

import pytest

from hamner.config import formats
from hamner.config.errors import BadInput
from hamner.config.formats import (
    CHECKED,
    CHECKSUM,
    CONVERSATION,
    FORMATS,
    FORMATS_BACK,
    KEY,
    VOTE,
    Altered,
    OtherFormat,
    format_of,
    is_checked,
    stamped,
    unstamped,
)
from hamner.inference.saved_conversation import read_conversation, write_conversation
from hamner.runs.files import foreign_json, read_json, read_json_as, resealed, write_json
from hamner.runs.folders import format_lines
from hamner.runs.votes import Vote, add_vote, read_votes

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
    assert list(json.loads(path.read_text())) == [KEY, "a", *([CHECKSUM] if is_checked(kind) else [])]
    assert read_json(path) == {"a": 1}
    write_json(path, {KEY: 99, CHECKSUM: "x", "a": 2} if is_checked(kind) else {KEY: 99, "a": 2})
    assert foreign_json(path)[KEY] == FORMATS[kind]  # what was read of another file is written in the present format
    assert read_json(path) == {"a": 2}


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
        f"{tmp_path.name} was begun by an older Hamner: config.json read in format 0, continued in format "
        f"{FORMATS['config.json']}"
    ]
    write_json(tmp_path / "config.json", {"run": "a"})
    assert format_lines(tmp_path) == []


def test_every_file_of_a_run_that_is_read_in_an_older_format_is_said(tmp_path):
    for name in ("config.json", "a/learning_rate.json", "a/checkpoints/step_1/state.json", "standings.json"):
        write_json(tmp_path / name, {})
    assert format_lines(tmp_path) == []
    (tmp_path / "bracket.json").write_text(json.dumps({KEY: 1}))
    (tmp_path / "a" / "learning_rate.json").write_text("{}")
    (tmp_path / "a" / "checkpoints" / "step_1" / "state.json").write_text("{}")
    (tmp_path / "standings.json").write_text("{")  # broken: whoever reads it says so
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "state.json").write_text("{}")
    assert [line.partition(": ")[2] for line in format_lines(tmp_path)] == [
        "learning_rate.json, state.json read in format 0, continued in format 1",
        "bracket.json read in format 1, continued in format 2",
    ]


@pytest.mark.parametrize("number", [True, -1, 1.0, "1", None, [1], {"a": 1}])
def test_what_is_no_number_of_a_format_is_a_broken_file(number, tmp_path):
    with pytest.raises(ValueError, match="is not a whole number"):
        format_of({KEY: number})
    (tmp_path / "stages.json").write_text(json.dumps({KEY: number}))
    with pytest.raises(BadInput, match=r"stages\.json is broken: its format") as refusal:
        read_json(tmp_path / "stages.json")
    assert not isinstance(refusal.value, OtherFormat)


NAMES = [name.replace("*", "one") for name in CHECKED if name.endswith(".json") and "/" not in name]
VALUE = {"b": {"10": 0.1, "9": 1e22, "text": "\u2028 ü \udcff 😀"}, "a": [1, None, True, -0.0]}


@pytest.mark.parametrize("name", NAMES)
def test_a_checksum_notices_another_digit_and_a_key_that_is_gone_and_is_no_part_of_the_value(name, tmp_path):
    path = tmp_path / name
    write_json(path, VALUE)
    whole = path.read_text(encoding="utf-8")
    assert read_json(path) == VALUE and list(read_json(path)) == ["b", "a"]
    write_json(path, read_json(path))
    assert path.read_text(encoding="utf-8") == whole
    for before, after in (("0.1", "0.3"), ('"9"', '"8"'), ("true", "false"), ('"b"', '"c"')):
        path.write_text(whole.replace(before, after, 1), encoding="utf-8")
        with pytest.raises(Altered, match="was altered since it was written: its checksum does not agree; restore it"):
            read_json(path)
    document = json.loads(whole)
    del document[CHECKSUM]  # as an older version wrote it, or after somebody has changed it by hand
    path.write_text(json.dumps(document | {"a": 2}))
    assert read_json(path) == VALUE | {"a": 2}


def test_a_checksum_is_looked_at_before_the_format(tmp_path):
    write_json(tmp_path / "stages.json", {"a": 1})
    text = (tmp_path / "stages.json").read_text().replace(f'"{KEY}": 1', f'"{KEY}": 9')
    (tmp_path / "stages.json").write_text(text)
    with pytest.raises(Altered):
        read_json(tmp_path / "stages.json")


def test_what_travels_gets_a_checksum_of_its_own_unless_it_was_damaged(tmp_path):
    write_json(tmp_path / "config.json", {"place": "/here", "number": 1})
    before = (tmp_path / "config.json").read_bytes()
    assert resealed("config.json", before, before) == before
    (tmp_path / "config.json").write_bytes(resealed("config.json", before, before.replace(b"/here", b"/there")))
    assert read_json(tmp_path / "config.json") == {"place": "/there", "number": 1}
    damaged = before.replace(b"1,", b"3,")
    assert damaged != before
    (tmp_path / "config.json").write_bytes(resealed("config.json", damaged, damaged.replace(b"/here", b"/there")))
    with pytest.raises(Altered):
        read_json(tmp_path / "config.json")


def test_each_line_of_a_log_that_travels_gets_one_unless_it_was_damaged(tmp_path):
    lines = [stamped("bracket.jsonl", {"reason": f"crash: /here/{number} \udcff"}) for number in range(3)]
    lines[1]["reason"] = "crash: /here/7"
    for count in (1, 3):
        before = "".join(json.dumps(line) + "\n" for line in lines[:count]).encode()
        after = resealed("bracket.jsonl", before, before.replace(b"/here", b"/there")).split(b"\n")
        assert len(after) == count + 1 and after[-1] == b""
        for number, line in enumerate(map(json.loads, after[:-1])):
            if number == 1:
                with pytest.raises(Altered, match="line 2 was altered"):
                    unstamped("bracket.jsonl", line, "line 2")
            else:
                assert unstamped("bracket.jsonl", line, "") == {"reason": f"crash: /there/{number} \udcff"}


def test_what_is_no_object_or_not_ours_stays_as_it_is(tmp_path):
    assert stamped("config.json", [1]) == [1] and unstamped("config.json", [1], "x") == [1]
    assert stamped("samples.json", {"a": 1}) == unstamped("samples.json", {"a": 1}, "x") == {"a": 1}
    (tmp_path / "about.json").write_text('{"format": "parquet"}')
    assert read_json(tmp_path / "about.json") == {"format": "parquet"}


def test_a_vote_of_the_next_format_is_refused(tmp_path):
    path = tmp_path / "votes.jsonl"
    add_vote(path, Vote("a", "b", "1", "2", "left"))
    assert [vote.choice for vote in read_votes(path)] == ["left"]
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {KEY: FORMATS[VOTE] + 1}) + "\n")
    with pytest.raises(BadInput, match=r"votes\.jsonl:1 .*has format 2, written by a newer Hamner"):
        read_votes(path)


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
