"""Text at a terminal: replies wrapped at words while they are streamed, seen on a real terminal's screen; styles."""

import io
import math

import pytest

from hamner.inference.terminal_text import BOLD, ReplyText, styled, wrapped
from hamner.runs.output import printable

TEXT = "The little fox went down to the river, where 你好 an owl sat on a very-long branch. It said: hello there."


class Screen(io.StringIO):
    """A terminal of so many columns, which breaks its lines by itself."""

    def isatty(self):
        return True

    def lines(self, columns):
        rows, column = [[]], 0
        for sign in self.getvalue():
            if sign == "\b":
                column = max(0, column - 1)
            elif sign == "\n":
                rows, column = [*rows, []], 0
            else:
                size = 2 if sign > "\u2e7f" else 1
                if column + size > columns:
                    rows, column = [*rows, []], 0
                rows[-1][column:] = [
                    *rows[-1][column:column],
                    *([" "] * (column - len(rows[-1]))),
                    sign,
                    *[""] * (size - 1),
                ]
                column += size
        return ["".join(row).rstrip() for row in rows]


def _shown(monkeypatch, pieces, columns, indent):
    screen = Screen()
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout", screen)
    screen.write("x" * indent)
    text = ReplyText(indent)
    for piece in pieces:
        text.add(piece)
    text.end()
    return screen.lines(columns)


def _cut(text, size):
    return [text[place : place + size] for place in range(0, len(text), size)]


@pytest.mark.parametrize("columns", [24, 45, 80])
def test_a_streamed_reply_is_wrapped_at_words_however_it_is_cut(columns, monkeypatch):
    screens = [_shown(monkeypatch, _cut(TEXT, size), columns, 8) for size in (1, 3, 7, 999)]
    assert all(screen == screens[0] for screen in screens)
    *lines, last = screens[0]
    indent = " " * (8 if columns > 40 else 0)
    assert " ".join(line.removeprefix("x" * 8).removeprefix(indent) for line in lines) == TEXT and last == ""
    assert len(lines) >= len(TEXT) // columns and all(line.startswith(indent) for line in lines[1:])


UNBROKEN = {
    "word": "so w" + "o" * 90 + "w!",
    "Chinese": "so " + "我们是朋友" * 16,
    "wide space": "so 我\u3000是" + "是" * 60,
}


@pytest.mark.parametrize("case", UNBROKEN)
def test_a_word_longer_than_a_line_and_a_language_without_spaces_are_shown_whole(case, monkeypatch):
    text = UNBROKEN[case]
    for size in (1, 2, 5, 999):
        lines = _shown(monkeypatch, _cut(text, size), 50, 8)
        assert "".join("".join(lines).split()) == "x" * 8 + "".join(text.split())
        assert len(lines) <= 7


def test_space_around_a_reply_is_dropped_and_its_lines_are_indented(monkeypatch):
    assert _shown(monkeypatch, [" \n", "one", "\n", "\n two", " ", "\n"], 80, 8) == [
        "xxxxxxxxone",
        "",
        "         two",
        "",
    ]
    assert _shown(monkeypatch, ["", " \n"], 80, 8) == ["xxxxxxxx...", ""]


def test_in_a_file_nothing_is_wrapped(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr("sys.stdout", file)
    text = ReplyText()
    for piece in ("word ", "w" * 300, "\n\n", "end\x1b[0m "):
        text.add(piece)
    text.end()
    assert file.getvalue() == f"word {'w' * 300}\n\nend[0m\n"


def test_styles_are_for_terminals_that_have_them(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert styled("a", BOLD, Screen()) == "\x1b[1ma\x1b[0m" and styled("a", BOLD, io.StringIO()) == "a"
    assert wrapped("word " * 6, Screen()) == "word word word word\nword word"
    assert wrapped("word " * 6, io.StringIO()) == "word " * 6
    for key, value in {"NO_COLOR": "1", "TERM": "dumb"}.items():
        monkeypatch.setenv(key, value)
        assert styled("a", BOLD, Screen()) == "a"
    assert not math.isfinite(ReplyText()._width)


def test_what_controls_a_terminal_is_not_printable():
    controls = "".join(
        map(chr, [*range(32), *range(127, 160), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])
    )
    assert printable(controls) == "\t\n" and printable("é你👩‍👩‍👧 \u00a0") == "é你👩‍👩‍👧 \u00a0"
