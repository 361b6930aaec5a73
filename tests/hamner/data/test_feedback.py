"""Feedback files: private, whole lines, by many at once; broken lines are named; the split never changes."""

import json
import stat
import threading

import pytest

from hamner.config.errors import BadInput
from hamner.data.feedback import Feedback, add_feedback, corrections, forget_feedback, read_feedback
from hamner.feedback import main

HELLO = (("user", "Hello"),)


def fix(message="Hello", better="Hi! How are you?", reply="Stones are hard.", **values):
    return Feedback("friend", "fix", (("user", message),), reply, better, **values)


def test_what_is_written_is_read_back_and_is_private(tmp_path):
    folder = tmp_path / "feedback"
    given = [
        fix(time="2026-01-01"),
        Feedback("a/b c", "good", (("system", "be kind"), *HELLO), "Hi", time="2026-01-02"),
    ]
    paths = [add_feedback(folder, each) for each in given]
    assert [path.name for path in paths] == ["friend.jsonl", "a_b_c.jsonl"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    assert read_feedback(folder) == given
    assert json.loads(paths[0].read_text())["format"] == 1
    assert read_feedback(tmp_path / "none") == []


def test_many_writers_lose_no_line_while_others_are_forgotten(tmp_path):
    old = [fix(f"old {number}") for number in range(20)]
    for each in old:
        add_feedback(tmp_path, each)
    writers = [
        threading.Thread(target=lambda name=name: [add_feedback(tmp_path, fix(f"{name} {n}")) for n in range(25)])
        for name in "abcd"
    ]
    for writer in writers:
        writer.start()
    for each in old:
        assert forget_feedback(tmp_path, [each.id]) == 1
    for writer in writers:
        writer.join()
    found = read_feedback(tmp_path)
    assert len(found) == 100 and not any(each.message.startswith("old") for each in found)


def test_a_line_that_was_cut_short_does_not_swallow_the_next_one(tmp_path):
    path = add_feedback(tmp_path, fix("first"))
    path.write_text(path.read_text()[:30])
    add_feedback(tmp_path, fix("second"))
    with pytest.raises(BadInput) as error:
        read_feedback(tmp_path)
    assert error.value.problems == [f"{path}:1 is not feedback: not JSON; mend that line, or delete it"]


BROKEN = {
    "[]": "no object",
    '{"format": 2}': "it has format 2, written by a newer Hamner; this one reads 1",
    '{"format": "x"}': "its format 'x' is not a whole number",
    '{"format": 1, "id": "x"}': "time, model, kind, context, reply missing",
    json.dumps(fix().record() | {"kind": "praise"}): "kind 'praise' is none of good, bad, fix, again",
    json.dumps(fix().record() | {"context": []}): "does not end with a message of the user",
    json.dumps(fix().record() | {"context": [{"role": "user"}]}): "a message of its context",
    json.dumps(fix().record() | {"better": ""}): "'better' is what a correction has",
    json.dumps(fix().record() | {"better": "Stones are hard. "}): "is the reply itself",
}


def test_all_broken_lines_are_named_at_once(tmp_path, capsys):
    (tmp_path / "feedback").mkdir()
    path = tmp_path / "feedback" / "x.jsonl"
    path.write_text("\n".join([json.dumps(fix().record()), "", *BROKEN]) + "\n")
    assert main(["list", "--data", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(BROKEN)
    for number, (line, words) in enumerate(zip(lines, BROKEN.values(), strict=True), 3):
        assert line.startswith(f"error: {path}:{number} is not feedback: ") and words in line, line


def test_the_newest_correction_of_a_chat_counts_and_a_message_is_on_one_side():
    fixes = [fix(better="one", time="1"), fix(better="two", time="2"), fix("What else?", time="3")]
    assert [each.better for each in corrections([*fixes, Feedback("m", "bad", HELLO, "x")])] == [
        "two",
        "Hi! How are you?",
    ]
    assert fix("Is it  LATE?").is_held_out == fix("is it late?").is_held_out
    sides = [fix(f"message {number}").is_held_out for number in range(400)]
    assert 0.18 < sum(sides) / 400 < 0.32


def test_the_command_lists_and_forgets(tmp_path, capsys):
    folder = tmp_path / "feedback"
    for each in (fix("first", id="aaaa0001"), fix("second", id="aaaa0002"), Feedback("m", "bad", HELLO, "No.")):
        add_feedback(folder, each)
    assert main(["list", "--data", str(tmp_path)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "1 marked as bad, 2 corrected" in out and "Stones are hard. → Hi! How are you?" in out and "held out" in out
    assert main(["forget", "aaaa0003", "--data", str(tmp_path)]) == 2
    assert "no feedback 'aaaa0003'" in capsys.readouterr().err
    assert main(["forget", "aaaa0001", "--data", str(tmp_path)]) == 0
    assert "aaaa0001" not in (folder / "friend.jsonl").read_text()
    assert main(["forget", "--all", "--data", str(tmp_path)]) == 0
    assert "2 records removed" in capsys.readouterr().out and not list(folder.glob("*.jsonl"))
    assert main(["list", "--data", str(tmp_path)]) == 0 and "no feedback in" in capsys.readouterr().out
    for words in (["forget"], ["forget", "x", "--all"], ["list", "x"], ["histroy"]):
        assert main([*words, "--data", str(tmp_path)]) == 2
