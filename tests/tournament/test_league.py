"""A league on disk: its ledger and messages, and the rules that the miniature leaves off, through the real command."""

import io
import json

import pytest
from rich.console import Console

from hamner.config.load import load_config
from tournament.bracket import Outcome, Run
from tournament.league import EVAL_ROWS, League

THREE = ["v01_dense_small", "v02_dense_medium", "v03_diffattn_small"]


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def _league(folder, *words):
    """A league of three in a folder, with what it prints."""
    config = load_config("smoke", [f"contestants={json.dumps(THREE)}", "steps=[10, 10]", "keep=[2, 1]", *words])
    return League(folder, config, Console(file=io.StringIO(), width=200))


def _printed(league):
    return league.console.file.getvalue()


def _report(league, losses, index=0):
    """As the scheduler does: to the bracket, then to the league."""
    for run, loss in losses.items():
        outcome = loss if isinstance(loss, Outcome) else Outcome(loss)
        league.record(run, outcome, league.bracket.report(run, index, outcome))


def test_each_report_is_in_the_ledger_and_a_resume_decides_nothing_again(tmp_path):
    league = _league(tmp_path, "seeds=1")
    league.open()
    assert "starting at step 0" in _printed(league) and league.attempt == 1
    _report(league, {Run(THREE[0], 0): 5.0, Run(THREE[1], 0): 4.0})
    resumed = _league(tmp_path, "seeds=1")
    resumed.open()
    assert "resuming in round 1" in _printed(resumed)
    assert resumed.bracket.state() == league.bracket.state()
    assert not (tmp_path / "standings.json").exists()
    _report(resumed, {Run(THREE[2], 0): Outcome(None, "oom", "full")})
    document = _read(tmp_path / "standings.json")
    assert [row["status"] for row in document["rounds"][0]["standings"]] == ["advanced", "advanced", "oom"]
    assert "oom: full" in _printed(resumed)


def test_a_contested_cut_writes_that_more_held_out_rows_are_read(tmp_path):
    league = _league(tmp_path, "more_rows=4", "steps=[10]", "keep=[1]")
    rows = league.bracket.rules.rows
    means = dict(zip(THREE, (5.0, 5.01, 9.0), strict=True))

    def outcomes(factor):
        """Documents that say little, of a text that ends after the first rows."""
        nats = {name: [9.0, 1.0] if name == THREE[0] else [1.0, 9.0] for name in THREE}
        return {
            Run(name, seed): Outcome(
                loss + 0.001 * seed * place,
                None,
                "",
                factor,
                rows,
                {"s": {"share": 1.0, "tokens": [4] * 8, "nats": nats[name] * 4}},
            )
            for place, (name, loss) in enumerate(means.items())
            for seed in (0, 1)
        }

    _report(league, outcomes(1))
    assert _read(tmp_path / EVAL_ROWS) == {"0": 2} and not league.bracket.is_over()
    _report(league, outcomes(2))
    assert league.bracket.is_over() and league.bracket.winner_verdict() == "contested"


def test_a_league_says_how_many_seeds_play_in_each_round(tmp_path):
    assert _league(tmp_path, "seeds=3").describe() == "3 contestants, 3 seeds each"
    assert _league(tmp_path, "seeds=[2,4]").describe() == "3 contestants, 2, 4 seeds each by round"
    assert _league(tmp_path, "seeds=1").describe() == "3 contestants"


def test_the_messages_of_a_league_without_winner_say_what_to_do(tmp_path):
    league = _league(tmp_path, "seeds=1")
    assert not league.close("") and "Use --resume" in _printed(league)
    _report(league, {Run(name, 0): Outcome(None, "error", "crash") for name in THREE})
    assert league.bracket.is_over() and not league.close("")
    assert "every contestant failed" in _printed(league)


def test_winner_json_says_how_likely_it_is_the_best(tmp_path):
    league = _league(tmp_path, "seeds=2", "keep=[1]", "steps=[10]")
    losses = {THREE[0]: (5.0, 5.1), THREE[1]: (4.0, 4.101), THREE[2]: (4.9, 5.003)}
    _report(league, {Run(name, seed): loss for name, of_seeds in losses.items() for seed, loss in enumerate(of_seeds)})
    assert league.close("sha")
    winner, document = _read(tmp_path / "winner.json"), _read(tmp_path / "standings.json")
    assert winner["contestant"] == document["winner"] == THREE[1] and winner["verdict"] == "settled"
    assert winner["p_best"] > 0.95 and winner["regret"] < 0.01 and winner["best_of"] == 3
    assert [row["contestant"] for row in document["contestants"]] == [THREE[1], THREE[2], THREE[0]]
    assert set(document["field"]) == {"spread", "drift"} and document["field"]["drift"] == [0.0]


@pytest.mark.slow
def test_probe_further_seeds_and_cooldown_through_the_command(commands):
    """Three contestants, each at its own rate; those that stay in get a third seed."""
    ended = commands.run(
        "tournament",
        "--config",
        "smoke",
        "--name",
        "full",
        'contestants=["v01_dense_small", "v05_moe_small", "v03_diffattn_small"]',
        "steps=[10, 10]",
        "keep=[2, 1]",
        "lr=probe",
        "seeds=[2,3]",
        "cooldown=0.2",
        "report=[]",
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    folder = commands.results / "tournament" / "full"
    document = _read(folder / "standings.json")
    probe = document["learning_rate_round"]
    assert [len(r["standings"]) for r in document["rounds"]] == [3, 2]  # the probe is not a round
    assert probe["steps"] == 6 and len(probe["standings"]) == 3
    for row in probe["standings"]:
        losses = {float(rate): loss for rate, loss in row["tried"].items()}
        assert 3 <= len(losses) <= 5 and row["tokens"] == len(losses) * 6 * 256
        assert losses[row["learning_rate"]] == min(losses.values())
        assert {1e-4, 3e-4, 9e-4} <= {round(rate, 6) for rate in losses}
    rates = {row["contestant"]: row["learning_rate"] for row in probe["standings"]}
    for round_ in document["rounds"]:
        for row in round_["standings"]:
            assert row["learning_rate"] == pytest.approx(10 * rates[row["contestant"]])
            assert row["seeds"] == len(row["runs"])
            assert row["heldout_loss"] == pytest.approx(
                sum(run["heldout_loss"] for run in row["runs"]) / row["seeds"], rel=1e-12
            )
            assert row["seeds"] == 1 + round_["round"]
        assert "cut_differs_without_cooldown" in round_
    joined = [path.name.removesuffix("-seed2") for path in folder.glob("*-seed2")]
    assert sorted(joined) == sorted(row["contestant"] for row in document["rounds"][1]["standings"])
    for name in joined:
        rows = (folder / f"{name}-seed2" / "metrics.csv").read_text().splitlines()
        assert len(rows) == 1 + 20  # both rounds, from step 0
    assert not list(folder.glob("*/probe*"))
    assert _read(folder / "winner.json")["checkpoint"].split("/")[-3] == document["winner"]
