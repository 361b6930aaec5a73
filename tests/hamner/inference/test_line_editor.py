"""Line editing: the history file. tests/hamner/test_chat.py has the keys of a real terminal."""

import io
import json
import os
import stat
from pathlib import Path

import pytest

from hamner.config.errors import BadInput
from hamner.inference.line_editor import KEPT_LINES, LONGEST_LINE, LineEditor, history_file

readline = pytest.importorskip("readline")


@pytest.fixture
def typed(monkeypatch):
    """Types lines at an editor with a history file; returns what was read, and what was said."""

    def run(history, *lines):
        said = []
        editor = LineEditor(history, ("/help",), said.append)
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        return [editor.read("") for _ in lines], said

    return run


def _remembered():
    return [readline.get_history_item(place + 1) for place in range(readline.get_current_history_length())]


def test_typed_lines_are_kept_for_the_next_chat_for_the_owner_alone(typed, tmp_path):
    path = tmp_path / "hamner" / "history"
    lines = ["Grüße", "/temp 0", "a \u2028 b", '"quoted" \\n']
    assert typed(path, "  Grüße ", "", "Grüße", *lines[1:]) == (["Grüße", "", *lines], [])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [json.loads(line) for line in path.read_text().splitlines()] == lines
    path.chmod(0o644)
    typed(path, "x")
    assert (
        _remembered() == [line.replace("\u2028", "") for line in lines] and stat.S_IMODE(path.stat().st_mode) == 0o600
    )


def test_a_message_of_several_lines_is_one_entry_and_a_very_long_one_is_none(typed, tmp_path):
    path = tmp_path / "history"
    path.write_text(json.dumps("one\ntwo") + "\n" + "broken\n[]\n7\n" + json.dumps("a\0b\x1b") + "\n")
    typed(path, "x" * (LONGEST_LINE + 1), "last")
    typed(path)
    assert _remembered() == ["one\ntwo", "ab", "last"]


def test_a_long_history_loses_its_oldest_lines(typed, tmp_path):
    path = tmp_path / "history"
    path.write_text("".join(f'"{number}"\n' for number in range(2 * KEPT_LINES + 1)))
    typed(path, "last")
    lines = path.read_text().splitlines()
    assert len(lines) == KEPT_LINES + 1 and lines[-2:] == [f'"{2 * KEPT_LINES}"', '"last"']
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_where_the_file_cannot_be_that_is_said_once(typed, tmp_path):
    (tmp_path / "file").write_text("")
    read, said = typed(tmp_path / "file" / "history", "one", "two")
    assert read == ["one", "two"] and len(said) == 1 and "typed lines are not kept" in said[0]
    assert typed(None, "one") == (["one"], [])


def test_a_link_to_the_null_device_keeps_nothing_and_its_mode(typed, tmp_path):
    mode = Path(os.devnull).stat().st_mode
    (tmp_path / "history").symlink_to(os.devnull)
    assert typed(tmp_path / "history", "one") == (["one"], [])
    assert Path(os.devnull).stat().st_mode == mode


def test_bytes_that_are_no_text_are_refused_and_not_kept(monkeypatch, tmp_path):
    for errors in ("strict", "surrogateescape"):
        editor = LineEditor(tmp_path / "history", (), print)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Gr\xfc\xdfe\n"), "utf-8", errors))
        with pytest.raises(BadInput, match="not UTF-8 text"):
            editor.read("")
    assert not (tmp_path / "history").exists()


def test_the_file_is_in_the_users_state_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert history_file() == tmp_path / "hamner" / "chat_history"
    for relative in ("", "state"):  # the specification says to ignore it
        monkeypatch.setenv("XDG_STATE_HOME", relative)
        monkeypatch.setenv("HOME", str(tmp_path))
        assert history_file() == tmp_path / ".local" / "state" / "hamner" / "chat_history"


def test_tab_completes_slash_commands():
    LineEditor(None, ("/help", "/history", "/temp"), print)
    complete = readline.get_completer()
    assert [complete("/h", state) for state in range(3)] == ["/help", "/history", None]
    assert complete("", 0) is None and complete("word", 0) is None
