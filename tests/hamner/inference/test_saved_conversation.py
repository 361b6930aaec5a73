"""Saved conversations: what is written is read back; every other file is refused in one line."""

import json
import os

import pytest

from hamner.config.errors import BadInput
from hamner.inference.saved_conversation import LARGEST, read_conversation, write_conversation

TURNS = [
    ("system", "be kind"),
    ("user", "Grüße,\n\u2028 <|im_end|>"),
    ("assistant", "hello"),
    ("user", "x"),
    ("assistant", "y"),
]


def _message(role, content="hello", **more):
    return {"role": role, "content": content, **more}


def _line(*messages, **more):
    return json.dumps({"messages": list(messages), **more}).encode()


GOOD = (_message("user"), _message("assistant"))
BAD = {
    "nothing": (b"", "0 lines"),
    "two conversations": (_line(*GOOD) + b"\n" + _line(*GOOD), "2 lines"),
    "no JSON": (b"hello", "holds no conversation: Expecting value"),
    "half a line": (_line(*GOOD)[:-5], "holds no conversation"),
    "not UTF-8": ("{'Grüße'}".encode("latin-1"), "is not UTF-8: line 1 holds the byte 0xfc"),
    "UTF-16": ("{}".encode("utf-16"), "is UTF-16"),
    "NUL": (b"\0\0", "NUL bytes"),
    "a list": (b"[]", "holds no conversation"),
    "a number": (b"7", "holds no conversation"),
    "a huge number": (b"9" * 9000, "holds no conversation"),
    "nesting": (b"[" * 99_999, "nested too deeply"),
    "no messages": (_line(), "no turn of a user"),
    "one side": (_line(_message("user")), "no turn of a user or of the assistant"),
    "an empty reply": (_line(_message("user"), _message("assistant", " ")), "empty turn"),
    "another role": (_line(*GOOD, _message("wizard")), "unknown role 'wizard'"),
    "a tool": (_line(*GOOD, _message("tool")), "a turn of a tool"),
    "no text": (_line(_message("user", 7), GOOD[1]), "content is a number"),
    "a list of parts": (_line(_message("user", ["hello"]), GOOD[1]), "more than role and content"),
    "more keys": (_line(*GOOD, source="x"), "more than role and content"),
    "more keys of a message": (_line(_message("user", name="x"), GOOD[1]), "more than role and content"),
    "another format": (json.dumps({"prompt": "hello", "completion": "x"}).encode(), "more than role and content"),
    "half a character": (_line(_message("user", "\ud800"), GOOD[1]), "half of a surrogate pair"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_in_one_line_that_names_it(case, tmp_path):
    content, words = BAD[case]
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadInput) as refusal:
        read_conversation(path)
    (problem,) = refusal.value.problems
    assert words in problem and str(path) in problem and "\n" not in problem and len(problem) < 400


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(LARGEST + 1)
    for name, words in {
        "none": "does not exist",
        ".": "is not a file",
        "pipe": "is not a file",
        "large": "bytes",
    }.items():
        with pytest.raises(BadInput, match=words):
            read_conversation(tmp_path / name)


def test_what_is_written_is_read_back_as_it_was(tmp_path):
    path = tmp_path / "new" / "a.jsonl"
    assert write_conversation(path, TURNS) == 2
    assert read_conversation(path) == TURNS and path.stat().st_mode & 0o777 == 0o600
    assert "Grüße" in path.read_text(encoding="utf-8") and path.read_bytes().count(b"\n") == 1
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"\n")  # as Windows' editors leave it
    assert read_conversation(path) == TURNS


def test_a_file_that_cannot_be_written_is_refused_and_what_was_there_stays(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("old")
    for path in (tmp_path / "folder", tmp_path / "file" / "below", tmp_path / ("x" * 256)):
        with pytest.raises(BadInput, match=r"cannot be written: .*; name another file"):
            write_conversation(path, TURNS)
    with pytest.raises(BadInput, match="nothing to save"):
        write_conversation(tmp_path / "file", [*TURNS[:2], ("assistant", " \u200b")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "old"
