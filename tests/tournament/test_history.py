"""History of leagues: winners, verdicts and costs of each; as a table, as CSV and as Parquet."""

import csv
import io
import json

import pytest

from hamner.config.load import load_config
from hamner.runs.files import write_json
from hamner.runs.lock import only_one
from tournament.history import main
from tournament.past_leagues import past_leagues
from tournament.run import main as tournament

STARTED = "2026-11-{day:02}T10:00:00+00:00"


def league(results, name, *, day=1, finished=True, probed=False):
    """A league of two contestants with two seeds, and of one round, as the files of a real one tell it."""
    folder = results / "tournament" / name
    config = load_config("smoke", ["keep=[1]", "steps=[20]"]).model_dump(mode="json")
    write_json(folder / "config.json", {"run": name, "started": STARTED.format(day=day), "config": config})
    outcomes = [
        {"contestant": who, "seed": seed, "facts": {"tokens": 100 * n, "flops": 1000 * n, "busy_seconds": 900.0}}
        for n, who in enumerate(("a", "b"), start=1)
        for seed in (0, 1)
    ]
    again = {"contestant": "a", "seed": 0, "facts": {"tokens": 300, "flops": 3000, "busy_seconds": 900.0}}
    failed = {"contestant": "b", "seed": 2, "facts": {}}
    searches = {"a": {"busy_seconds": 900.0}} if probed else {}
    rounds = [{"outcomes": outcomes}, {"outcomes": [again, failed]}]
    write_json(folder / "bracket.json", {"rounds": rounds, "learning_rates": searches})
    rows = [{"contestant": who, "flops_per_token": 10.0} for who in ("a", "b")]
    standings = {"rounds": [{"standings": rows}]}
    if probed:
        standings["learning_rate_round"] = {"standings": [{"contestant": "a", "tokens": 50}]}
    write_json(folder / "standings.json", standings)
    if finished:
        won = {"contestant": "a", "heldout_loss": 2.5, "verdict": "contested", "p_best": 0.75, "best_of": 2}
        end = STARTED.format(day=day).replace("T10:00", "T11:30")
        write_json(folder / "winner.json", won | {"regret": 0.01, "finished": end})
    return folder


def test_costs_are_of_all_runs_and_of_the_learning_rate_round(tmp_path):
    league(tmp_path, "plain", day=1)
    league(tmp_path, "probed", day=2, probed=True)
    probed, plain = past_leagues(tmp_path)
    assert (plain.run, probed.run) == ("plain", "probed")  # the newest first
    # of a run the furthest round counts: 300 + 100 + 200 + 200
    assert (plain.tokens, plain.flops, plain.run_hours) == (800, 8000, 1.25)
    assert (probed.tokens, probed.flops, probed.run_hours) == (850, 8500, 1.5)
    assert plain.hours == 1.5 and plain.winner == "a" and plain.contestants == 2 and plain.state == "finished"


def test_the_table_says_winner_verdict_and_what_comes_next(tmp_path, capsys):
    assert main(["--results", str(tmp_path)]) == 0
    assert "play one with `tournament --config laptop" in capsys.readouterr().out
    league(tmp_path, "old", day=1)
    assert main(["--results", str(tmp_path)]) == 0
    assert "curriculum run winner --tournament old" in capsys.readouterr().out
    folder = league(tmp_path, "new", day=2, finished=False)
    (tmp_path / "tournament" / "torn").mkdir()
    (tmp_path / "tournament" / "torn" / "config.json").write_text('{"config": ')
    with only_one(folder / ".driver.lock", "busy"):
        assert main(["--results", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")] for line in out.splitlines() if "│" in line]
    cells = {row[1]: row[3:-1] for row in rows}
    assert cells["old"] == ["a", "contested", "75 %", "2.5000", "1.50", "1.25", "800", "8e+03"]
    assert cells["new"][:3] == ["running, 1 of 1 rounds decided", "–", "–"] and cells["torn"][0] == "broken"
    assert f"tournament compare old new --results {tmp_path}" in out


def test_csv_and_parquet_hold_the_same(tmp_path, capsys):
    pandas = pytest.importorskip("pandas")
    league(tmp_path, "one", day=1, probed=True)
    league(tmp_path, "two", day=2, finished=False)
    assert main(["--csv", "--results", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["run"] for row in rows] == ["two", "one"] and rows[1]["flops"] == "8500.0" and rows[0]["winner"] == ""
    assert main(["--parquet", str(tmp_path / "l.parquet"), "--results", str(tmp_path)]) == 0
    stored = pandas.read_parquet(tmp_path / "l.parquet")
    assert list(stored.columns) == list(rows[0]) and json.loads(stored.to_json(orient="records"))[1]["p_best"] == 0.75
    pandas.testing.assert_frame_equal(pandas.read_csv(io.StringIO(out)), stored, check_dtype=False)


@pytest.mark.parametrize("words", [["--csv", "--parquet", "x"], ["--parquet", "."], ["RUN"]])
def test_what_cannot_be_is_refused(tmp_path, capsys, words):
    assert main([*words, "--results", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_slip_in_the_word_is_said(capsys):
    assert tournament(["histroy"]) == 2
    assert "did you mean `tournament history`?" in capsys.readouterr().err
