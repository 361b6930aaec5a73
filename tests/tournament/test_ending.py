"""How a league ended: where each contestant went out, P(best of all), the winner's label, and the table of it."""

import io
import random

import pytest
from rich.console import Console

from hamner.config.load import load_config
from hamner.runs.files import write_json
from hamner.runs.folders import write_config
from tournament.bracket import Bracket, Outcome, Rules, Run
from tournament.ending import ending
from tournament.entrants import entrants, flops_per_token
from tournament.run import main
from tournament.standings import standings
from tournament.standings_table import ending_table

CONFIG = load_config("smoke", ["seeds=2"])
CONTESTANTS = entrants(CONFIG)
TEN = [*CONTESTANTS]
FAR, NEAR = 1.0, 0.01  # nats between neighbours; the seed noise is 0.03


def _played(gap, *, seeds=2, failing=()):
    """A league of ten, each worse than the one before by `gap`, played to its end."""
    rng = random.Random(0)
    bracket = Bracket(
        Rules([5, 3, 1]), flops_per_token(CONFIG, CONTESTANTS), dict.fromkeys(TEN, dict.fromkeys(range(seeds), 0))
    )
    shared = [[rng.gauss(0, 0.1) for _ in range(seeds)] for _ in range(3)]
    while not bracket.is_over():
        for run in bracket.waiting_for():
            index = bracket.next_round(run)
            if index is None:
                continue
            loss = 5 - index + gap * TEN.index(run.contestant) + shared[index][run.seed] + rng.gauss(0, 0.03)
            outcome = Outcome(None, "oom", "full") if run.contestant in failing else Outcome(loss)
            bracket.report(run, index, outcome)
    return bracket


def test_far_apart_the_winner_is_the_best_and_settled_against_all_ten():
    bracket = _played(FAR)
    rows = ending(bracket)["contestants"]
    assert bracket.winner_verdict() == "settled"
    assert [row["contestant"] for row in rows] == TEN and [row["round"] for row in rows] == [3] * 3 + [2] * 2 + [1] * 5
    assert rows[0]["is_winner"] and rows[0]["p_best"] > 0.99 and rows[0]["regret"] < 0.001
    assert sum(row["is_winner"] for row in rows) == 1


@pytest.mark.parametrize("lasts", [True, False])
def test_whether_the_luck_of_runs_lasts_is_read_off_their_losses(lasts):
    """Means are the same; b led early, a leads at the end. Only how the runs of one contestant differ changes."""
    early = {"a": (3, -1, -1), "b": (-1, 3, -1), "c": (-1, -1, 3)}
    late = early if lasts else {"a": (0, 1, -1), "b": (-1, 0, 1), "c": (1, -1, 0)}  # of the same size below
    sizes = (0.01, 0.01 if lasts else 0.01 * 6**0.5)
    bracket = Bracket(Rules([3, 1]), dict.fromkeys("abc", 1.0), dict.fromkeys("abc", dict.fromkeys(range(3), 0)))
    for index, (means, rest) in enumerate((((5.02, 5.0, 5.2), early), ((4.0, 4.02, 4.2), late))):
        for name, mean in zip("abc", means, strict=True):
            for seed in range(3):
                bracket.report(Run(name, seed), index, Outcome(mean + sizes[index] * rest[name][seed]))
    winner = ending(bracket)["contestants"][0]
    assert winner["contestant"] == "a" and (winner["p_best"] > 0.62 if lasts else winner["p_best"] < 0.56), winner


def test_close_together_one_that_was_cut_makes_the_winner_contested_and_shares_the_probability():
    bracket = _played(NEAR)
    rows = ending(bracket)["contestants"]
    assert bracket.winner_verdict() == "contested"
    assert sum(row["p_best"] for row in rows) == pytest.approx(1.0)
    assert rows[0]["p_best"] < 0.9 and sum(row["p_best"] for row in rows if row["round"] < 3) > 0.02
    assert 0 < rows[0]["regret"] < 0.03


def test_of_a_league_with_more_than_can_be_computed_the_last_have_no_chance_stated(monkeypatch):
    monkeypatch.setattr("tournament.ending.MOST", 4)
    rows = ending(_played(NEAR))["contestants"]
    assert [row["p_best"] is None for row in rows] == [False] * 4 + [True] * 6
    assert sum(row["p_best"] for row in rows[:4]) == pytest.approx(1.0)


def test_one_cut_while_contested_makes_a_winner_contested_that_won_the_last_round_clearly():
    """b is cut beside the winner in round 1 and c, far behind, is all that is left to beat."""
    bracket = Bracket(Rules([2, 1]), dict.fromkeys("abc", 1.0), {name: {0: 0, 1: 0} for name in "abc"})
    first = {"a": (5.0, 5.1), "c": (4.999, 5.101), "b": (5.004, 5.11)}
    last = {"a": (4.0, 4.1), "c": (6.0, 6.101)}
    for index, losses in enumerate((first, last)):
        for name, of_seeds in losses.items():
            for run in list(bracket.waiting_for()):
                if run.contestant == name and bracket.next_round(run) == index:
                    bracket.report(run, index, Outcome(of_seeds[run.seed]))
    assert bracket.winner() == "a" and bracket.labels(1)["c"].verdict == "settled"
    assert bracket.winner_verdict() == "contested"


def test_one_that_failed_has_its_failure_and_no_chance():
    rows = ending(_played(FAR, failing=TEN[:1]))["contestants"]
    assert rows[-1]["contestant"] == TEN[0] and rows[-1]["failure"] == "oom" and rows[-1]["p_best"] is None
    assert rows[0]["contestant"] == TEN[1] and rows[0]["p_best"] > 0.99


def test_without_a_second_seed_nothing_is_said_of_the_best_but_how_to_know():
    document = standings("name", CONFIG, _played(FAR, seeds=1), CONTESTANTS, {})
    assert document["field"] is None and {row["p_best"] for row in document["contestants"]} == {None}
    assert "P(best) is unknown" in "\n".join(_printed(document, 120))


def _printed(document, width):
    console = Console(file=io.StringIO(), width=width)
    console.print(ending_table(console, document))
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(
    ("width", "present", "absent"),
    [
        (40, [], ["Δ to cut", "verdict", "regret"]),
        (60, ["verdict"], ["Δ to cut", "regret"]),
        (80, ["Δ to cut", "verdict", "regret"], []),
        (120, ["Δ to cut", "verdict", "regret"], []),
    ],
)
def test_the_table_of_the_end_says_where_and_why_at_every_width(width, present, absent):
    document = standings("name", CONFIG, _played(NEAR, failing=TEN[9:]), CONTESTANTS, {})
    lines = _printed(document, width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert [heading for heading in ("P(best)", *present) if heading not in text] == []
    assert [heading for heading in absent if heading in text] == []
    for row in document["contestants"]:
        (line,) = (line for line in lines if row["contestant"] in line)
        assert ("winner" if row["is_winner"] else f"round {row['round']}") in line
    assert all(words in text for words in ("oom", "coin toss", "5 to 1")) == ("verdict" in present)


def test_a_resume_of_a_finished_league_prints_all_rounds_the_end_and_the_next_command(tmp_path, capsys):
    folder = tmp_path / "tournament" / "name"
    folder.mkdir(parents=True)
    write_config(folder, CONFIG, {"kind": "tournament"})
    write_json(folder / "standings.json", standings("name", CONFIG, _played(NEAR), CONTESTANTS, {}))
    winner = {"contestant": TEN[0], "heldout_loss": 3.0, "verdict": "contested"}
    write_json(folder / "winner.json", winner | {"p_best": 0.62, "regret": 0.0123, "best_of": 10})
    assert main(["--resume", "--results", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert all(f"round {number}: " in text for number in (1, 2, 3)) and " to 1" in text
    assert "P(best of 10) 62 %, expected regret 0.0123 nats; contested" in text
    assert f"curriculum run winner --tournament name --results {tmp_path}" in text
