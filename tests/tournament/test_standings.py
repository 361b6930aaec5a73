"""Leaderboard: the rows of standings.json belong to the bracket's numbers, and the table says them in words."""

import io

import pytest
from rich.console import Console

from hamner.config.load import load_config
from tournament.bracket import Bracket, Outcome, Rules, Run
from tournament.entrants import entrants, flops_per_token
from tournament.standings import show_round, standings

THREE = ["v01_dense_small", "v02_dense_medium", "v03_diffattn_small"]
CONFIG = load_config(
    "smoke", ['contestants=["v01_dense_small", "v02_dense_medium", "v03_diffattn_small"]', "keep=[1]", "steps=[9]"]
)
CONTESTANTS = entrants(CONFIG)


def _document(losses, twins=(), **facts):
    """standings.json of one round: {(contestant, seed): loss or Outcome}."""
    flops = flops_per_token(CONFIG, CONTESTANTS)
    bracket = Bracket(Rules([1]), flops, twins=[Run(*twin) for twin in twins])
    for run, loss in losses.items():
        bracket.report(Run(*run), 0, loss if isinstance(loss, Outcome) else Outcome(loss, facts=facts))
    return standings("name", CONFIG, bracket, CONTESTANTS, {})


def _table(document):
    console = Console(file=io.StringIO(), width=250)
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
    ("twins", "words"), [((), "seed noise: unknown"), ([("v01_dense_small", 1)], "1 degrees of freedom")]
)
def test_the_table_says_what_is_compared_and_how_far_another_seed_moves_a_contestant(twins, words):
    losses = {(name, 0): 4.0 + place for place, name in enumerate(THREE)} | dict.fromkeys(twins, 4.1)
    table = _table(_document(losses, twins, grid=[[0, 0.0, 0.0, 7.0], [9, 9.0, 1.0, 4.0]]))
    for heading in ("Δ to cut", "at equal FLOPs", "at equal seconds", "tokens/s", words):
        assert heading in table
