"""The pages of reports: whole, self-contained, safe whatever a name is, light and dark, the same bytes twice."""

import os
import re
import shutil
import time
import warnings
from itertools import pairwise

import pytest
from jinja2 import UndefinedError
from page_reader import Page

from hamner.reports.charts import COLOURS, INK, SERIES_COLOURS, end_labels, png, quantity, scientific, svg
from hamner.reports.html import environment, report_html
from hamner.reports.index import write_index
from hamner.reports.markdown import report_markdown
from hamner.reports.parts import (
    Cell,
    Chart,
    Commands,
    Conversation,
    DataTable,
    Fact,
    Facts,
    Fold,
    Items,
    Paragraph,
    Report,
    Section,
    Summary,
)
from hamner.reports.report_files import ReportWriter, charts, write_report
from hamner.runs.files import write_json
from hamner.runs.tables import Column

EVIL = "<script>alert('1')</script>\"&amp; | $x$ *a* `b` " + "long" * 50


def _draw(figure, tips):
    axes = figure.add_subplot()
    for place, colour in enumerate(SERIES_COLOURS):
        (line,) = axes.plot([1, 2, 3], [1, 2, 1 + place / 100], color=colour)
        tips(line, f"{EVIL} {place}")
    axes.set_title(EVIL)
    end_labels(axes, [(1 + place / 100, f"{EVIL}", colour) for place, colour in enumerate(SERIES_COLOURS)])


TABLE = DataTable(
    (Column("name", justify="left"), Column("loss")), [[Cell(EVIL, "winner", EVIL), "1.5000"]], EVIL, [EVIL]
)
REPORT = Report(
    kind="tournament",
    title=EVIL,
    lead=EVIL,
    parts=[Facts([Fact(EVIL, EVIL, EVIL)]), Chart("one", EVIL, _draw, TABLE, [EVIL]), Chart("two", EVIL, _draw)],
    sections=[
        Section(EVIL, [Paragraph(EVIL, "soft"), TABLE, Items([EVIL]), Commands([(EVIL, EVIL)])]),
        Section("b", [Fold(EVIL, [Chart("three", EVIL, _draw), Conversation([{"role": "user", "content": EVIL}])])]),
        Section("c", []),
    ],
    back="../../index.html",
    footer=[EVIL],
)


@pytest.fixture(scope="module")
def text():
    return report_html(REPORT)


def test_every_kind_of_part_is_on_the_page_and_a_name_of_any_kind_stays_text(text):
    page = Page(text)
    page.check_self_contained()
    assert "<script" not in text and page.text.count("<script>alert('1')</script>") >= 20
    assert page.table("loss") == [["name", "loss"], [f"{EVIL} {EVIL}", "1.5000"]]
    names = [tag for tag, _ in page.tags]
    assert [names.count(tag) for tag in ("figure", "svg", "figcaption", "h1", "main", "nav")] == [3, 3, 3, 1, 1, 1]
    assert names.count("title") == 1 + 3 * len(SERIES_COLOURS)  # tooltips
    assert not re.search(r"url\((?!#)|@import|https?:", text)


def test_colours_are_the_pages_variables_in_both_themes(text):
    assert {f"var(--c{place})" for place in range(1, 9)} <= set(re.findall(r"var\(--c\d\)", text))
    assert INK not in text.partition("</style>")[2]
    for name, pair in COLOURS.items():
        assert all(f"--{name}: {colour};" in text.partition("</style>")[0] for colour in pair)


def _luminance(colour):
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["paper", "surface", "shade"])
def test_words_contrast_4_5_to_1_and_lines_3_to_1(theme, ground):
    def contrast(name):
        high, low = sorted((_luminance(COLOURS[name][theme]), _luminance(COLOURS[ground][theme])), reverse=True)
        return (high + 0.05) / (low + 0.05)

    # names stand beside their lines in the lines' colours
    words = ["ink", "soft", "good", "bad", "warn", *(f"c{place}" for place in range(1, 9))]
    assert {
        name: round(contrast(name), 2) for name in words if contrast(name) < (4.5 if ground != "shade" else 4)
    } == {}


def test_the_same_bytes_twice_and_a_chart_in_under_40_kb(text):
    assert report_html(REPORT) == text
    chart = REPORT.parts[1]
    assert png(chart) == png(chart) and png(chart).startswith(b"\x89PNG")
    assert len(svg(chart)) < 40_000


def test_a_letter_no_font_has_and_a_dollar_are_drawn_without_a_warning():
    def draw(figure, tips):
        figure.add_subplot().set_title("日本語 $\\frac$ 🦊")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "日本語 $\\frac$ 🦊" in svg(Chart("glyphs", "a", draw))


def test_labels_at_the_ends_of_lines_keep_apart_and_inside():
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    axes.set_ylim(0, 1)
    end_labels(axes, [(0.99, f"n{place}", INK) for place in range(10)], gap=0.06)
    places = sorted(text.xy[1] for text in axes.texts)
    assert places[-1] <= 1 and min(b - a for a, b in pairwise(places)) > 0.059


@pytest.mark.parametrize(
    ("value", "text"), [(640, "640"), (40960, "41k"), (2.1e6, "2.1M"), (1.3e10, "13B"), (7e12, "7T"), (7e15, "7e15")]
)
def test_quantities_on_an_axis_are_short(value, text):
    assert quantity(value) == text


@pytest.mark.parametrize(("value", "text"), [(2.2943e13, "2.29e13"), (5e9, "5e9"), (0, "0e0"), (1.5e-4, "1.5e-4")])
def test_large_numbers_are_powers_of_ten(value, text):
    assert scientific(value) == text


def test_markdown_escapes_what_would_be_markup_and_shows_the_pictures():
    text = report_markdown(REPORT)
    outside = re.sub(r"```.*?```", "", text.replace(f"````sh\n{EVIL}\n````", ""), flags=re.S)
    assert "\\<script\\>" in outside and not re.search(
        r"(?<!\\)<script", re.sub(r"```sh\n.*?\n```", "", text, flags=re.S)
    )
    assert re.findall(r"report_\w+\.png", text) == ["report_one.png", "report_two.png", "report_three.png"]
    (row,) = [line for line in text.splitlines() if line.endswith("| 1.5000 |") and line.startswith("| **")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 3


def test_a_value_that_is_missing_is_an_error():
    with pytest.raises(UndefinedError):
        environment().from_string("{{ nothing }}").render()


def test_all_files_of_a_report_are_written_the_same_twice_and_stand_in_the_index(tmp_path):
    folder = tmp_path / "tournament" / "mine"
    write_json(folder / "config.json", {"run": "mine", "started": "2026-11-29T18:06:37+00:00", "config": {}})
    write_json(tmp_path / "sft" / "later" / "config.json", {"started": "2026-11-30T08:00:00+00:00"})
    write_json(tmp_path / "friend" / "one" / "friend.json", {"began": "x"})
    (tmp_path / "curriculum" / "broken").mkdir(parents=True)
    (tmp_path / "curriculum" / "broken" / "config.json").write_text("{")
    summary = Summary(EVIL, "contested", "2 h", "good")
    written = write_report(folder, REPORT, summary)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.name for path in files} >= {"report.html", "report.md", "report_one.png", "report.json", "index.html"}
    assert written == folder / "report.html" and len(files[written]) < 1_000_000
    write_report(folder, REPORT, summary)
    assert {path: path.read_bytes() for path in files} == files
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    page.check_self_contained()
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"][1:]
    assert set(links) == {"sft/later/", "tournament/mine/report.html", "curriculum/broken/", "friend/one/"}
    assert links.index("sft/later/") < links.index("tournament/mine/report.html")
    assert EVIL in page.text and "2 h" in page.text and "4 runs" in page.text


def test_an_empty_results_folder_has_an_index(tmp_path):
    assert "Nothing has run" in write_index(tmp_path).read_text(encoding="utf-8")


def test_charts_are_found_where_they_stand():
    assert [chart.name for chart in charts(REPORT)] == ["one", "two", "three"]


def test_a_report_is_written_beside_the_run_and_one_that_fails_is_one_line_on_stderr(tmp_path, capfd):
    (tmp_path / "a").mkdir()
    writer = ReportWriter(shutil.rmtree, tmp_path / "a")  # any importable function of a folder
    writer.begin()
    deadline = time.monotonic() + 300  # its process yields to all others
    while (tmp_path / "a").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not (tmp_path / "a").exists()
    writer.close()
    writer.finish()  # there is nothing any more
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith("the report was not written: FileNotFoundError: ")


def test_a_report_that_takes_for_ever_delays_nothing(tmp_path, capfd):
    writer = ReportWriter(time.sleep, 600)
    began = time.monotonic()
    writer.begin()
    writer.begin()
    writer.close()
    assert time.monotonic() - began < 30 and capfd.readouterr().err == ""


def test_a_report_that_a_kill_came_before_is_written_by_the_resume_and_no_other(tmp_path):
    written, result, page = [], tmp_path / "winner.json", tmp_path / "report.html"
    writer = ReportWriter(written.append, tmp_path)
    result.write_text("{}")
    writer.catch_up(result)
    assert written == [tmp_path]  # there was none
    page.write_text("of the end")
    os.utime(page, ns=(result.stat().st_mtime_ns + 1,) * 2)
    writer.catch_up(result)
    assert len(written) == 1
    os.utime(page, ns=(result.stat().st_mtime_ns - 1,) * 2)
    writer.catch_up(result)
    assert len(written) == 2
