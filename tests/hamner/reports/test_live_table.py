"""Bars, sparklines and lines of the live table."""

import pytest

from hamner.reports.live_table import Row, RunStatus, bar_text, draw, sparkline, state_words, way_on
from hamner.runs.heartbeat import Heartbeat
from hamner.runs.tables import Column


def _status(state="running", quiet=1.0, rows=0, focus=0):
    return RunStatus(
        title="tournament mine: round 1 of 3",
        heartbeat=Heartbeat(state, quiet, None),
        last="c01 at step 7",
        time_left="4.5 min of the round left",
        columns=(Column("name", justify="left"), Column("what", 1), Column("state", justify="left")),
        rows=tuple(Row((f"row{number}", "x" * 8, "running, " + "y" * 60)) for number in range(rows)),
        focus=focus,
        way_on="tournament --resume --name mine",
    )


@pytest.mark.parametrize(
    ("share", "bar"), [(0, "····"), (0.5, "██··"), (0.6, "██▌·"), (1, "████"), (7, "████"), (-1, "····")]
)
def test_a_bar_is_as_full_as_its_share(share, bar):
    assert bar_text(share, 4) == bar


def test_a_sparkline_goes_from_the_lowest_to_the_highest_and_takes_means():
    assert sparkline([1, 2, 3, 4, 5, 6, 7, 8], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([8, 8, 1, 1], 2) == "█▁"
    assert sparkline([3, 3], 5) == "▁▁" and sparkline([], 5) == ""


@pytest.mark.parametrize(
    ("state", "quiet", "words"),
    [
        ("running", 119, "running"),
        ("running", 180, "running, but nothing written for 3.0 min; last: c01 at step 7"),
        ("died", 540, "died: nothing written for 9.0 min; last: c01 at step 7"),
        ("stopped", 30, "stopped: nothing written for 30 s; last: c01 at step 7"),
        ("finished", 7200, "finished 2.0 h ago"),
    ],
)
def test_the_state_says_since_when_nothing_came(state, quiet, words):
    status = _status(state, quiet)
    assert state_words(status) == words
    shown = draw(status, 200).plain.split("\n")[1]
    assert shown == words + ("; 4.5 min of the round left" if state == "running" else "")
    assert (way_on(status) != "") == (state != "running")


def test_rows_that_do_not_fit_are_counted_and_the_focus_is_seen():
    lines = draw(_status(rows=20, focus=12), 80, 10).plain.split("\n")
    assert len(lines) == 10 and lines[-1] == "and 14 more: use a higher terminal"
    assert [line[:5] for line in lines[3:9]] == ["row7 ", "row8 ", "row9 ", "row10", "row11", "row12"]


def test_a_long_last_column_is_cut_and_takes_no_other_columns_place():
    lines = draw(_status(rows=1), 60).plain.split("\n")
    assert "what" in lines[2] and len(lines[3]) == 60 and lines[3].endswith("...")
    assert "what" not in draw(_status(rows=1), 30).plain
