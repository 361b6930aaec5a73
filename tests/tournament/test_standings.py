"""Leaderboard: the rows of standings.json belong to the bracket's numbers, and the table says them in words."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from hamner.config.load import load_config
from hamner.runs.files import write_json
from hamner.runs.folders import write_config
from tournament.bracket import Bracket, Outcome, Rules, Run
from tournament.entrants import entrants, flops_per_token
from tournament.standings import standings
from tournament.standings_table import show_round

THREE = ["v01_dense_small", "v02_dense_medium", "v03_diffattn_small"]
CONFIG = load_config(
    "smoke", ['contestants=["v01_dense_small", "v02_dense_medium", "v03_diffattn_small"]', "keep=[1]", "steps=[9]"]
)
CONTESTANTS = entrants(CONFIG)


def _document(losses, **facts):
    """standings.json of one round: {(contestant, seed): loss or Outcome}."""
    flops = flops_per_token(CONFIG, CONTESTANTS)
    seeds = {name: {seed: 0 for contestant, seed in losses if contestant == name} for name in flops}
    bracket = Bracket(Rules([1]), flops, seeds)
    for run, loss in losses.items():
        bracket.report(Run(*run), 0, loss if isinstance(loss, Outcome) else Outcome(loss, facts=facts))
    return standings("name", CONFIG, bracket, CONTESTANTS, {})


def _table(document, width=250):
    console = Console(file=io.StringIO(), width=width)
    show_round(console, document, 0)
    return console.file.getvalue()


def test_each_row_is_compared_with_the_last_that_is_in():
    document = _document({("v01_dense_small", 0): 5.0, ("v02_dense_medium", 0): 4.0, ("v03_diffattn_small", 0): 4.5})
    rows = document["rounds"][0]["standings"]
    assert [row["contestant"] for row in rows] == ["v02_dense_medium", "v03_diffattn_small", "v01_dense_small"]
    assert [row["status"] for row in rows] == ["winner", "eliminated", "eliminated"]
    assert [row["difference"] for row in rows] == pytest.approx([0.0, 0.5, 1.0])
    assert [row["verdict"] for row in rows] == ["unknown"] * 3 and document["winner"] == rows[0]["contestant"]


def test_a_contestant_that_failed_is_last_with_its_reason():
    failed = Outcome(None, "oom", "CUDA out of memory")
    document = _document({("v01_dense_small", 0): failed, ("v02_dense_medium", 0): 4.0, ("v03_diffattn_small", 0): 4.5})
    row = document["rounds"][0]["standings"][-1]
    assert (row["status"], row["reason"], row["heldout_loss"], row["seeds"]) == ("oom", failed.reason, None, 0)
    assert "oom: CUDA out of memory" in _table(document)


@pytest.mark.parametrize(
    ("seeds", "words"), [(1, "seed noise: unknown"), (2, "2 degrees of freedom), all together by 0.35")]
)
def test_the_table_says_what_is_compared_and_how_far_another_seed_moves_a_contestant(seeds, words):
    losses = {(name, s): 4.0 + place + 0.5 * s for place, name in enumerate(THREE) for s in range(seeds)}
    losses[THREE[0], 0] += 0.001
    table = _table(_document(losses, grid=[[0, 0.0, 0.0, 7.0], [9, 9.0, 1.0, 4.0]]))
    for heading in ("Δ to cut", "at equal FLOPs", "at equal seconds", "tokens/s", words):
        assert heading in table


LOSSES = {("v01_dense_small", 0): 5.0, ("v02_dense_medium", 0): 4.0, ("v03_diffattn_small", 0): 4.5}


def _two_seeds():
    """standings.json of a league whose contestants differ by their own noise."""
    again = {(name, 1): loss + 0.01 * place for place, ((name, _), loss) in enumerate(LOSSES.items())}
    losses = LOSSES | {run: 2 * LOSSES[run[0], 0] - loss for run, loss in again.items()}  # the mean stays
    losses |= {(name, 0): again[name, 1] for name, _ in LOSSES}
    return _document(losses, grid=[[0, 0.0, 0.0, 7.0], [9, 9.0, 1.0, 4.0]], tokens_per_second=9999.0)


@pytest.mark.mended("cases/commands/pty40.py: the table at 40 and 80 columns")
@pytest.mark.parametrize(
    ("width", "present", "absent"),
    [
        (40, [], ["Δ to cut", "±", "at equal", "tokens/s"]),
        (60, [], ["at equal", "tokens/s"]),
        (80, ["Δ to cut", "±"], ["at equal", "tokens/s"]),
        (120, ["Δ to cut", "±", "at equal FLOPs", "at equal seconds"], []),
        (200, ["Δ to cut", "±", "at equal FLOPs", "at equal seconds", "tokens/s"], []),
    ],
)
def test_rank_contestant_loss_and_verdict_stay_at_every_width(width, present, absent):
    lines = _table(_two_seeds(), width).splitlines()
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert [heading for heading in present if heading not in text] == []
    assert [heading for heading in absent if heading in text] == []
    for rank, (name, loss) in enumerate((("v02_dense_medium", 4.0), ("v03_diffattn_small", 4.5)), start=1):
        row = next(line for line in lines if name in line)
        status = "winner" if rank == 1 else "out"
        assert str(rank) in row.split(name)[0] and f"{loss:.4f}" in row and status in row
    assert any(verdict in text for verdict in ("settled", "contested"))


def test_the_error_of_a_difference_is_never_shown_without_it():
    tables = [_table(_two_seeds(), width) for width in range(40, 110)]
    heads = [next(line for line in table.splitlines() if "contestant " in line and "loss" in line) for table in tables]
    shown = {("Δ to cut" in head, "±" in head) for head in heads}
    assert shown == {(False, False), (True, False), (True, True)}


@pytest.mark.mended("reasons of failure inside the table")
def test_why_a_contestant_failed_stands_below_the_table():
    failed = Outcome(None, "error", "[Errno 5] a reason that is far longer than any column of a table may be" * 2)
    lines = _table(_document(LOSSES | {("v01_dense_small", 0): failed}), 80).splitlines()
    (row,) = (number for number, line in enumerate(lines) if "[Errno 5]" in line)
    assert failed.reason in lines[row] and lines[row].startswith("  v01_dense_small: error: ")
    assert row > max(number for number, line in enumerate(lines) if "│" in line)


@pytest.mark.mended("output that cannot show Δ: standings.json is broken")
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_finished_league_is_printed_in_any_encoding(encoding, tmp_path):
    folder = tmp_path / "tournament" / "name"
    folder.mkdir(parents=True)
    write_config(folder, CONFIG, {"kind": "tournament"})
    write_json(folder / "standings.json", _document(LOSSES))
    winner = {"contestant": "v02_dense_medium", "heldout_loss": 4.0, "verdict": "unknown"}
    write_json(folder / "winner.json", winner)
    answer = subprocess.run(
        [sys.executable, "-m", "tournament", "--resume", "--results", str(tmp_path)],
        env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        check=False,
    )
    assert (answer.returncode, answer.stderr) == (0, b"")
    text = answer.stdout.decode(encoding)
    assert ("Δ to cut" if encoding == "utf-8" else "delta to cut") in text and "winner: v02_dense_medium" in text
    assert encoding == "utf-8" or text.isascii()


def test_a_broken_document_is_still_named(tmp_path, capsys):
    from tournament.run import main

    folder = tmp_path / "tournament" / "name"
    folder.mkdir(parents=True)
    write_config(folder, CONFIG, {"kind": "tournament"})
    write_json(folder / "standings.json", {"rounds": [{}]})
    write_json(folder / "winner.json", {})
    assert main(["--resume", "--results", str(tmp_path)]) == 2
    assert "standings.json is broken: KeyError 'standings'" in capsys.readouterr().err
