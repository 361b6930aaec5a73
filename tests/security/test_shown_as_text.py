"""What data says is shown as text: HTML in the index, escapes at a terminal, markup in TensorBoard."""

import io

import pytest
from rich.panel import Panel
from rich.text import Text

from hamner.reports.index import write_index
from hamner.runs import output, tables
from hamner.runs.cli import run_command
from hamner.runs.files import write_json
from hamner.runs.tensorboard import literal

# renames the window, clears the screen, moves up, 8-bit CSI, turns text around, asks the terminal for an answer
ESCAPES = (
    "\x1b]0;renamed\x07",
    "\x1b[2J",
    "\x1b[9A",
    "\x9b2J",
    "\u202e",
    "\x1b[6n",
    "\x1bP+q\x1b\\",
    "\r",
    "\x08",
    "\x00",
)
EVIL = "name" + "".join(ESCAPES) + "end"
PLAIN = "name]0;renamed[2J[9A2J[6nP+q\\end"
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"


def _printed(*objects, **settings):
    """What a console of ours writes to a terminal."""
    file = io.StringIO()
    console = tables.SpellingConsole(file=file, width=200, force_terminal=True, highlight=False, markup=False)
    console.print(*objects, **settings)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["text", "styled", "line", "panel"])
def test_no_text_steers_the_terminal(kind):
    shown = {"text": Text(EVIL), "styled": Text(EVIL, style="red"), "line": EVIL, "panel": Panel(Text(EVIL))}[kind]
    printed = _printed(shown)
    assert PLAIN in printed
    assert not any(escape in printed for escape in ESCAPES)
    if kind == "styled":  # our own styles stay
        assert "\x1b[31m" in printed and printed.count("\x1b") == 2


def test_no_cell_title_or_caption_of_a_table_steers_the_terminal():
    console = tables.SpellingConsole(file=io.StringIO(), width=200, force_terminal=True, color_system=None)
    columns = [tables.Column(EVIL, justify="left"), tables.Column("b", 1)]
    table = tables.fitted_table(console, columns, [[EVIL, EVIL]], title=EVIL, captions=[("", EVIL)])
    console.print(table)
    printed = console.file.getvalue()
    assert printed.count(PLAIN) == 5
    assert not any(escape in printed for escape in ESCAPES)


def test_no_message_steers_the_terminal(capsys):
    output.print_error(f"error: {EVIL}\nnext")
    assert capsys.readouterr().err == f"error: {PLAIN}\nnext\n"

    def fails(words):
        raise output.BadInput(f"the file says {EVIL}")

    assert run_command(fails, []) == 2
    one_line = PLAIN.replace("end", " end")  # for the sign that ends a line
    assert capsys.readouterr().err == f"error: the file says {one_line}\n"


def test_a_name_of_a_run_and_a_summary_are_text_in_the_index(tmp_path):
    """A folder can have any name, and report.json hold any text."""
    run = tmp_path / "curriculum" / "<b onclick=alert(1)>"
    write_json(run / "config.json", {"started": f'2026-11-29T10:00"{SCRIPT}'})
    write_json(run / "report.json", {"result": SCRIPT, "verdict": SCRIPT, "cost": SCRIPT})
    page = write_index(tmp_path).read_text()
    assert "<script" not in page and "<img" not in page and "<b onclick" not in page
    assert "&lt;b onclick" in page


def test_a_summary_of_other_keys_is_left_out(tmp_path):
    run = tmp_path / "curriculum" / "c"
    write_json(run / "config.json", {})
    write_json(run / "report.json", {"result": "good", "href": "javascript:alert(1)"})
    assert "javascript" not in write_index(tmp_path).read_text()


@pytest.mark.parametrize(
    "text", [SCRIPT, "[a](javascript:alert(1))", "![x](http://a/b.png)", "| a |", "`code`", "**b**"]
)
def test_text_is_shown_letter_for_letter_by_tensorboard(text):
    """By TensorBoard's own conversion of Markdown to HTML."""
    from html import unescape
    from html.parser import HTMLParser

    plugin_util = pytest.importorskip("tensorboard.plugin_util")
    page = plugin_util.markdown_to_safe_html(literal(text).encode())
    tags, words = [], []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.append(tag)
    parser.handle_data = words.append
    parser.feed(page.split("-->")[-1])
    assert set(tags) <= {"p", "br"}
    assert unescape("".join(words)).strip() == text
