"""The page of how a league's cost grows: written by the command itself, with table, exponents and curves."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "benchmarks"))

import league_growth


def test_the_rule_with_ten_contestants_writes_its_part_of_the_page_and_leaves_the_other(tmp_path, capfd):
    out = tmp_path / "growth.md"
    tune = league_growth.section("tune", "a command", {10: {"reports": 17, "driver_ms": 193.0, "seconds": 77.0}})
    out.write_text(league_growth.page("", "tune", tune), encoding="utf-8")
    league_growth.main(["rule", "--contestants", "10", "--out", str(out)])
    text = out.read_text(encoding="utf-8")
    assert [line for line in text.split("\n") if line.startswith("## ")] == [
        f"## {title}" for title in league_growth.WAYS.values()
    ]
    assert "| 10 | 17 | 193.0 | 77 |" in text and tune in text
    row = next(line for line in text.split("\n") if line.startswith("| 10 |")).split(" | ")
    reports, report_ms, ends, ledger_bytes = (float(cell.replace(",", "")) for cell in row[1:5])
    assert reports == 17 and 0 < report_ms < 1000 and ends > 0 and 1000 < ledger_bytes < 20_000
    assert f"written: {out}" in capfd.readouterr().out


def test_the_exponent_and_the_curve_are_those_of_a_power_law():
    rows = {count: {"reports": 2 * count, "report_ms": 3.0, "mib": count**0.5} for count in (10, 100, 1000)}
    assert league_growth.exponent(rows, "mib") == pytest.approx(0.5)
    assert league_growth.table(rows)[-1] == "| exponent | 1.00 | 0.00 | 0.50 |"
    bars = [line.count("#") for line in league_growth.curves(rows) if "#" in line]
    assert bars == [12, 24, 36, 12, 12, 12, 12, 18, 24]


def test_a_league_that_was_stopped_says_so_in_its_row():
    rows = {100: {"reports": 50, "seconds": 120.0, "is_over": False}}
    assert league_growth.table(rows)[-1].startswith("| 100, the first 2 minutes | 50 |")
