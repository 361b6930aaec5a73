"""Tables at a terminal: which columns stay at which width, what wraps, and what a file gets."""

import io

import pytest

from hamner.runs import tables
from hamner.runs.tables import Column, SpellingConsole, fitted_table

COLUMNS = (
    Column(""),
    Column("name", justify="left", may_wrap=True),
    Column("loss"),
    Column("less", 2),
    Column("least", 3),
    Column("verdict", justify="left", may_wrap=True),
)
ROWS = [["10", "a_name_of_nineteen_", "3.5614", "+0.0560", "1,234,567", "out, contested"]]


def _lines(width, rows=ROWS, columns=COLUMNS, encoding="utf-8", **settings):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = SpellingConsole(file=file, width=width, markup=False)
    console.print(fitted_table(console, columns, rows, title="title ± of [bold]", **settings))
    file.flush()
    return file.buffer.getvalue().decode(encoding).splitlines()


@pytest.mark.parametrize(
    ("width", "present", "absent"),
    [(200, ["less", "least"], []), (75, ["less"], ["least"]), (62, [], ["less", "least"])],
)
def test_the_least_important_columns_leave_first(width, present, absent):
    lines = _lines(width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for heading in ["name", "loss", "verdict", *present]:
        assert heading in text
    assert [heading for heading in absent if f"{heading} " in text] == []
    row = next(line for line in lines if "10" in line)
    assert all(cell in row for cell in ("10", ROWS[0][1], "3.5614", "out, contested"))


def test_at_forty_columns_names_stay_whole_and_verdicts_wrap():
    lines = _lines(40)
    assert max(map(len, lines)) <= 40
    assert any(ROWS[0][1] in line and "3.5614" in line and "out," in line for line in lines)
    assert any("contested" in line for line in lines) and not any("┃" in line for line in lines)


def test_where_not_even_words_fit_nothing_is_lost():
    text = "".join(character for line in _lines(24)[2:] for character in line if not character.isspace())
    assert all(part in text for part in ("10", "3.5614"))
    assert sum(text.count(character) for character in "contested") >= 9


def test_cells_are_text_whatever_they_hold():
    lines = _lines(200, [["1", "[red]x[/]", "1", "2", "3", ":smile: [/x]"]])
    assert any("[red]x[/]" in line and ":smile: [/x]" in line for line in lines)
    assert any("title ± of [bold]" in line for line in lines)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_another_encoding_gets_ascii(encoding):
    lines = _lines(200, [["1", "a × 2", "–", "2", "3", "in"]], encoding=encoding)
    assert all(line.isascii() for line in lines)
    assert any("a x 2" in line and "| " in line for line in lines)


def test_a_caption_goes_with_its_column():
    captions = [("", "always"), ("least", "about the least")]
    assert any("about the least" in line for line in _lines(200, captions=captions))
    narrow = _lines(62, captions=captions)
    assert any("always" in line for line in narrow) and not any("about" in line for line in narrow)


class _Terminal(io.StringIO):
    def isatty(self):
        return True

    def fileno(self):
        raise OSError("of no file")


@pytest.mark.parametrize(("term", "is_wide"), [("dumb", False), ("xterm", False), (None, True)])
def test_a_file_gets_the_whole_table_and_a_terminal_its_width(term, is_wide, monkeypatch):
    monkeypatch.setattr("sys.stdout", io.StringIO() if term is None else _Terminal())
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setenv("TERM", term or "xterm")
    assert tables.console().width == (tables.FULL_WIDTH if is_wide else 50)


def test_no_columns_at_all_are_taken_for_eighty(monkeypatch):
    monkeypatch.setattr("sys.stdout", _Terminal())
    monkeypatch.setenv("COLUMNS", "0")
    assert tables.console().width == 80
