"""The page of a friend card: whole, self-contained, and safe whatever a model wrote."""

import pytest
from page_reader import Page

from hamner.evaluation.figures import Figure, share
from hamner.reports.friend_page import COLUMNS, cells, number, page, sections

FIGURES = [
    share("friendly pairs", "is warm, not cold", [1] * 30 + [0] * 2, "pairs", guess=0.5),
    share("friendly pairs", "stays kind", [0] * 30 + [1] * 2, "pairs", guess=0.5),
    Figure("held-out loss", "sft", 2.34567, 0.01234, 5.6, "nats/token", 300, "documents", "lower", "a <note>"),
    Figure("memorisation", "longest", 17, None, 9, "tokens", 100, "texts"),
]


def _card(**more):
    return {
        "model": {"run": "mine", "parameters": 47_000_000},
        "figures": [figure.row for figure in FIGURES],
        "left_out": ["belongs: too few"],
        "replies": [{"chat": [{"role": "user", "content": "hi"}], "reply": "<script>alert(1)</script>", "tokens": 3}],
        "conversations": [[{"role": "user", "content": "a & b"}, {"role": "assistant", "content": ""}]],
        **more,
    }


@pytest.fixture(scope="module")
def parsed():
    return Page(page(_card()))


def test_the_page_holds_every_figure_and_every_text(parsed):
    text = parsed.text
    for words in ("is warm, not cold", "93.8%", "2.346", "0.012", "17.0", "a <note>", "belongs: too few", "a & b", "…"):
        assert words in text, words
    assert "<script>alert(1)</script>" in text and "47,000,000" in text


def test_nothing_is_loaded_and_nothing_runs(parsed):
    parsed.check_self_contained()


def test_what_is_clearly_better_or_worse_than_guessing_is_marked(parsed):
    tones = [attrs.get("class") for tag, attrs in parsed.tags if tag == "td"]
    assert [tone for tone in tones if tone in ("good", "bad")] == ["good", "bad", "good"]


def test_a_row_has_a_cell_of_each_column_and_a_dash_for_what_is_not_there():
    rows = [cells(figure.row) for figure in FIGURES]
    assert {len(row) for row in rows} == {len(COLUMNS)}
    assert rows[3] == ["longest", "17.0", "—", "9.0", "—", "tokens", "100 texts"]
    assert rows[2][4].startswith("+") and float(rows[2][4]) > 200
    assert number(None, "share") == "—" and number(0.05, "share") == "5.0%"


def test_sections_are_in_the_order_of_the_figures():
    assert [(name, len(rows)) for name, rows in sections(_card())] == [
        ("friendly pairs", 2),
        ("held-out loss", 1),
        ("memorisation", 1),
    ]
    assert "Left out" not in page(_card(left_out=[])) and ">Replies</h2>" not in page(_card(replies=[]))
