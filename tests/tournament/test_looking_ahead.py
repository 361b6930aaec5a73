"""Looking ahead: a recorded league replayed, whose cut contestant caught up; horizons, multipliers, lines."""

import io
import json
import math
import random
import statistics
from pathlib import Path

import pytest
from rich.console import Console

from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.runs.files import write_json
from hamner.runs.folders import write_config
from tournament.bracket import Bracket, Outcome, Rules, Run
from tournament.entrants import entrants
from tournament.looking_ahead import ahead_table, cut_too_early, forecast_losses, horizon_tokens, look_ahead
from tournament.run import main
from tournament.standings import standings

# `tournament --config laptop`, built-in text, seed 0: v05 went out in round 1, and two further seeds of it trained on.
LEAGUE = json.loads(Path(__file__).with_name("recorded_league.json").read_text(encoding="utf-8"))
END = 400 * 1024  # tokens


def _outcome(row):
    index, name, seed, loss, grid = row
    per_token, per_step = LEAGUE["flops_per_token"][name], LEAGUE["tokens_per_step"]
    looks = [[step, step * per_step * per_token, seconds, look] for step, seconds, look in grid]
    speed = (grid[-1][0] - grid[0][0]) * per_step / (grid[-1][1] - grid[0][1])
    facts = {"grid": looks, "tokens": grid[-1][0] * per_step, "tokens_per_second": speed}
    return Run(name, seed), index, Outcome(loss, facts=facts)


def _replay(rounds=3, change=lambda run, outcome: outcome):
    """The first rounds. v05 has three seeds, two of which were trained on; of the other shadows nothing is recorded."""
    seeds = {name: {0: 0} for name in LEAGUE["flops_per_token"]} | {"v05_moe_small": {0: 0, 1: 0, 2: 0}}
    bracket = Bracket(Rules(LEAGUE["keep"], shadow=2), LEAGUE["flops_per_token"], seeds)
    for row in LEAGUE["runs"]:
        run, index, outcome = _outcome(row)
        if index < rounds:
            bracket.report(run, index, change(run, outcome))
        for name in bracket.shadows(index) if 0 < index < rounds else ():
            bracket.report(Run(name, 0), index, Outcome(None, "error", "not recorded"))
    return bracket


def _config(*words):
    return load_config("laptop", list(words), "tournament")


def test_the_first_line_says_that_v05_was_cut_too_early():
    assert cut_too_early(_replay()) == (
        "cut too early, as one of its 2 runs says that trained on: v05_moe_small, out in round 1, ended at 1.3397 "
        "nats/token (mean 1.3509); the winner v02_dense_medium at 1.3423"
    )


def test_it_says_so_without_reserve_where_the_mean_is_better():
    better = cut_too_early(_replay(change=lambda run, o: Outcome(o.heldout_loss - 0.02 * run.seed, facts=o.facts)))
    assert better.startswith("cut too early: v05_moe_small, out in round 1, trained on and ended at 1.3209 nats/token;")


def test_nothing_is_said_where_those_that_trained_on_ended_worse():
    assert cut_too_early(_replay(change=_worse_v05)) is None
    assert cut_too_early(_replay(rounds=2)) is None  # not over


@pytest.mark.parametrize(("shadow", "is_said"), [({0: 1.30, 1: 1.50}, True), ({0: 1.32, 1: 1.52}, False)])
def test_who_trained_on_is_compared_with_the_winner_on_the_same_seeds(shadow, is_said):
    """Seed 1 is harder than seed 0 for all, by 0.2; the winner has four seeds in the last round."""
    seeds = {name: {0: 0, 1: 0, 2: 1, 3: 1} for name in "abc"}
    bracket = Bracket(Rules([2, 1], shadow=1), dict.fromkeys("abc", 1.0), seeds)
    for name, loss in (("a", 2.0), ("b", 2.1), ("c", 2.5)):
        for seed in (0, 1):
            bracket.report(Run(name, seed), 0, Outcome(loss + 0.2 * seed))
    for seed, loss in shadow.items():
        bracket.report(Run("c", seed), 1, Outcome(loss))
    for name, loss in (("a", 1.31), ("b", 1.6)):
        for seed in range(4):
            bracket.report(Run(name, seed), 1, Outcome(loss + 0.2 * seed))
    assert bracket.winner() == "a" and min(shadow.values()) < bracket.loss(1, "a")
    line = cut_too_early(bracket)
    assert line == (
        "cut too early: c, out in round 1, trained on and ended at 1.4000 nats/token; the winner a, on the same seeds, "
        "at 1.4100"
        if is_said
        else None
    )


def test_what_is_told_does_not_depend_on_who_reported_first():
    bracket, backwards = _replay(), _replay()
    for round_ in backwards.rounds:
        round_.outcomes = dict(reversed(round_.outcomes.items()))
    for index in range(3):
        here = look_ahead(_config(), bracket, index, is_exclusive=True)
        assert here == look_ahead(_config(), backwards, index, is_exclusive=True)


def test_a_multiplier_of_a_round_is_as_sure_as_that_round_made_it():
    whole = look_ahead(_config(), _replay(), 0, is_exclusive=True)
    assert whole == look_ahead(_config(), _replay(rounds=1), 0, is_exclusive=True)


def _worse_v05(run, outcome):
    return Outcome(outcome.heldout_loss + 0.2, facts=outcome.facts) if run.seed else outcome


def test_the_cut_have_chances_to_catch_up_and_survivors_have_none():
    bracket = _replay()
    ahead = look_ahead(_config(), bracket, 0, is_exclusive=True)
    survivors = set(bracket.rounds[0].survivors)
    rows = ahead["contestants"]
    assert ahead["rival"] == "v01_dense_small" and len(rows) == 10
    assert {name for name, row in rows.items() if row["could_catch_up"] is None} == survivors
    chances = {name: row["could_catch_up"] for name, row in rows.items() if name not in survivors}
    assert all(0 < chance < 0.5 for chance in chances.values())
    assert 0.05 < chances["v05_moe_small"] < 0.45  # behind by 0.07 nats, as were others that did not catch up
    assert all(row["horizon_tokens"] == END for row in rows.values())


def test_one_that_failed_has_no_chance_to_catch_up():
    bracket = _replay(change=lambda run, o: Outcome(None, "oom") if run.contestant == "v09_deep_narrow" else o)
    rows = look_ahead(_config(), bracket, 0, is_exclusive=True)["contestants"]
    assert "v09_deep_narrow" not in rows and sum(row["could_catch_up"] is not None for row in rows.values()) == 4
    bracket = _replay(change=_v06_fails_in_round_2)
    assert "v06_moe_medium" in look_ahead(_config(), bracket, 0, is_exclusive=True)["contestants"]
    assert "v06_moe_medium" not in look_ahead(_config(), bracket, 1, is_exclusive=True)["contestants"]


def _v06_fails_in_round_2(run, outcome):
    return Outcome(None, "oom") if run.contestant == "v06_moe_medium" and outcome.facts["tokens"] > 2e5 else outcome


def test_forecasts_are_checked_against_what_trained_on():
    bracket = _replay()
    assert look_ahead(_config(), bracket, 0, is_exclusive=True)["backtest"] == {"held": 0, "of": 0}
    backtest = look_ahead(_config(), bracket, 2, is_exclusive=True)["backtest"]
    # from round 1: 6 contestants to round 2's end, 4 to round 3's; from round 2: 4
    assert backtest["of"] == 14 and 9 <= backtest["held"] <= 14


def test_every_contestant_has_a_multiplier_and_the_reference_has_1():
    ahead = look_ahead(_config(), _replay(), 2, is_exclusive=True)
    assert ahead["reference"] == "v02_dense_medium"
    rows = ahead["contestants"]
    for cost in ("flops", "seconds"):
        assert rows["v02_dense_medium"][f"multiplier_{cost}"]["value"] == pytest.approx(1.0, rel=1e-6)
    told = {name: row["multiplier_flops"]["value"] for name, row in rows.items()}
    # v05 costs a third of v02 a token and is as good at the end
    assert 2.0 < told["v05_moe_small"] < 4.0


def test_another_reference_can_be_chosen_and_one_that_does_not_play_is_refused():
    ahead = look_ahead(_config("reference=v10_wide_shallow"), _replay(), 0, is_exclusive=True)
    assert ahead["contestants"]["v10_wide_shallow"]["multiplier_flops"]["value"] == pytest.approx(1.0, rel=1e-6)
    with pytest.raises(BadInput, match="'v11' does not play"):
        entrants(_config("reference=v11"))


def test_seconds_are_left_out_where_runs_share_a_card():
    ahead = look_ahead(_config(), _replay(), 0, is_exclusive=False)
    assert all(row["multiplier_seconds"] is None for row in ahead["contestants"].values())


@pytest.mark.parametrize(
    ("words", "tokens"), [("28M tokens", 28e6), ("1.5B tokens", 1.5e9), ("500k tokens", 5e5), ("4096 tokens", 4096)]
)
def test_a_horizon_in_tokens_is_one_for_all(words, tokens):
    found = horizon_tokens(_config(f"horizon={words}"), _replay(), 0)
    assert set(found.values()) == {tokens}


def test_a_horizon_in_hours_is_each_contestants_own_at_the_speed_it_was_measured_at():
    bracket = _replay(rounds=1)
    found = horizon_tokens(_config("horizon=48h"), bracket, 0)
    speed = bracket.rounds[0].outcomes[Run("v10_wide_shallow", 0)].facts["tokens_per_second"]
    assert found["v10_wide_shallow"] == pytest.approx(48 * 3600 * speed)
    assert found["v01_dense_small"] > 1.3 * found["v08_hybrid_medium"]


@pytest.mark.parametrize(
    "words", ["soon", "28M", "0 tokens", "-3h", "48 minutes", "48hh", "1e400tokens", "1e18 tokens", "1e400h"]
)
def test_a_horizon_that_is_none_is_refused_before_anything_starts(words):
    with pytest.raises(BadInput, match="as '28M tokens' or '48h'"):
        _config(f"horizon={words}")


def _table(ahead, width=250):
    console = Console(file=io.StringIO(), width=width)
    for table in ahead_table(console, ahead):
        console.print(table)
    return console.file.getvalue()


def test_the_table_has_a_row_for_each_and_says_whom_they_could_catch_up_with():
    text = _table(look_ahead(_config(), _replay(), 0, is_exclusive=True))
    assert "looking ahead to 409,600 tokens (the league's own end)" in text
    assert "could catch up: chance that the loss is then below that of v01_dense_small" in text
    assert "what v02_dense_medium needs for the same loss as now" in text
    rows = [line for line in text.splitlines() if "│" in line]
    assert len(rows) == 10 and sum("%" in row for row in rows) == 5
    losses = [float(row.split("│")[2]) for row in rows]
    assert losses == sorted(losses)
    assert "forecasts made in earlier rounds" not in text
    held = "forecasts made in earlier rounds: 11 of 14 losses lay in the 90 % interval"
    assert held in _table(look_ahead(_config(), _replay(), 2, is_exclusive=True))
    assert _table({}) == ""


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_chances_stay_at_every_width(width):
    lines = _table(look_ahead(_config(), _replay(), 0, is_exclusive=True), width).splitlines()
    assert max(map(len, lines)) <= width
    assert sum(line.rstrip(" │").endswith("%") or "% " in line for line in lines) >= 5


def test_a_league_without_curves_looks_nowhere():
    bracket = Bracket(Rules([1]), {"a": 1.0, "b": 1.0})
    bracket.report(Run("a", 0), 0, Outcome(4.0))
    bracket.report(Run("b", 0), 0, Outcome(5.0))
    assert look_ahead(_config(), bracket, 0, is_exclusive=True) == {}


def test_a_finished_league_says_it_before_its_winner(tmp_path, capsys):
    folder = tmp_path / "tournament" / "name"
    folder.mkdir(parents=True)
    config, bracket = _config(), _replay()
    write_config(folder, config, {"kind": "tournament"})
    write_json(folder / "standings.json", standings("name", config, bracket, entrants(config), {}))
    winner = {"contestant": "v02_dense_medium", "heldout_loss": 1.3423, "verdict": "contested"}
    write_json(folder / "winner.json", winner)
    assert main(["--resume", "--results", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith(
        "cut too early, as one of its 2 runs says that trained on: v05_moe_small, out in round 1"
    )
    assert "winner: v02_dense_medium" in lines[-3] and lines[-2].startswith("report: ")


def test_judge_forecast_ranks_and_cuts_by_the_forecast_at_the_horizon():
    """Three of a kind; `slow` is behind at round 1's end and falls faster, by all its looks."""
    config = _config("judge=forecast", "horizon=100M tokens")

    def curve(offset, level):
        steps = [2, 4, 7, 13, 25, 38, 50, 63, 75, 88, 100]
        return [[at, at * 1e3, float(at), level * (offset + (1 - offset) * (at / 100) ** -0.5)] for at in steps]

    curves = {"fast": curve(0.6, 2.0), "middle": curve(0.6, 2.1), "slow": curve(0.2, 2.2)}

    def play(judge):
        bracket = Bracket(Rules([1]), dict.fromkeys(curves, 1.0), judge=judge)
        for name, grid in curves.items():
            bracket.report(Run(name, 0), 0, Outcome(grid[-1][3], facts={"grid": grid}))
        return bracket

    by_loss, by_forecast = play(None), play(lambda bracket, index: forecast_losses(config, bracket, index))
    assert by_loss.ranking(0) == ["fast", "middle", "slow"] and not by_loss.is_judged(0)
    assert by_forecast.ranking(0)[0] == by_forecast.winner() == "slow" and by_forecast.is_judged(0)
    assert by_forecast.loss(0, "slow") == by_loss.loss(0, "slow")  # what it is ranked by does not change its loss
    assert forecast_losses(config, by_loss, 0)["slow"] < forecast_losses(config, by_loss, 0)["fast"]


def test_without_curves_for_all_a_judge_ranks_by_losses():
    bracket = Bracket(Rules([1]), {"a": 1.0, "b": 1.0}, judge=lambda *_: {"a": 1.0})
    for name, loss in (("a", 5.0), ("b", 4.0)):
        bracket.report(Run(name, 0), 0, Outcome(loss))
    assert bracket.winner() == "b" and not bracket.is_judged(0)


@pytest.mark.parametrize(
    ("words", "message"),
    [(("mode=async",), "use mode=sync, or judge=heldout_loss"), (("evaluations_per_round=3",), "are not forecast")],
)
def test_a_judge_that_could_not_judge_is_refused(words, message):
    with pytest.raises(BadInput, match=message):
        _config("judge=forecast", "contested=cut", *words)


def _run_of_law(rng, seed_shift, speed=1.0):
    """A run of 100 steps by one law with noise of its own: what it reports."""
    shift = seed_shift + rng.gauss(0, 0.02)
    steps = (12, 25, 50, 100)  # too few looks for a forecast, which this is not about
    grid = [[at, at * 1024.0, float(at), 2 + 30 * (at * speed) ** -0.8 + shift] for at in steps]
    return Outcome(grid[-1][3], facts={"grid": grid, "tokens": 100 * 1024})


def _multiplier_of(rng, speed):
    """The multiplier that a league of three seeds each tells of one that needs 1 / speed of the reference's FLOPs."""
    names = ["reference", "other", "c", "d", "e"]
    bracket = Bracket(Rules([1]), dict.fromkeys(names, 1.0), {name: {0: 0, 1: 0, 2: 0} for name in names})
    for seed in range(3):
        seed_shift = rng.gauss(0, 0.05)  # of all together: the batches that a seed index picks
        for name in names:
            bracket.report(Run(name, seed), 0, _run_of_law(rng, seed_shift, speed if name == "other" else 1.0))
    rows = look_ahead(_config(), bracket, 0, is_exclusive=False)["contestants"]
    return rows["other"]["multiplier_flops"]


@pytest.mark.parametrize("speed", [1.0, 0.5])
def test_the_interval_of_a_league_holds_the_truth_in_95_percent(speed):
    """The reference against itself: 1. Against itself with every second batch wasted: 0.5."""
    rng, found = random.Random(round(10 * speed)), []
    for _ in range(200):
        found.append(_multiplier_of(rng, speed))
    hits = [(row["low"] or 0.0) <= speed <= (row["high"] or math.inf) for row in found]
    told = statistics.median(row["value"] for row in found if row["value"] is not None)
    print(f"speed {speed}: median {told:.3f}, held in {sum(hits)} of {len(hits)}")
    assert told == pytest.approx(speed, rel=0.05)
    assert 0.91 <= sum(hits) / len(hits) <= 0.985
