"""`tournament --plan --simulate`, --like and --measure: what they print, from what, and how fast."""

import json
import re
import time

import pytest

from hamner.config.errors import BadInput
from hamner.config.load import load_config
from hamner.config.machine_keys import with_keys
from hamner.runs.calibration_record import conditions, machine_facts, new_entry, write
from hamner.runs.files import write_json
from hamner.runs.folders import write_config
from tournament.learning_rate_probe import FIRST_POWERS, MAX_MOVES
from tournament.plan_simulation import alternatives, like_field, own_plan, simulated, usual_fields
from tournament.run import main
from tournament.simulation import Field, Plan
from tournament.step_timing import hours, measured_step_seconds, recorded_step_seconds

CONFIG = load_config("rtx3090", ["seeds=2"])


def _earlier_league(folder, config, *, noise=(0.03, 0.02, 0.01), field=None, tokens_per_second=1000.0):
    """standings.json and config.json of a league in which all ten ran at one speed."""
    from tournament.entrants import entrants

    folder.mkdir(parents=True)
    write_config(folder, config, {"kind": "tournament"})
    rows = [
        {"contestant": name, "tokens_per_second": tokens_per_second, "runs": [{"seconds": 90.0, "busy_seconds": 100.0}]}
        for name in entrants(config)
    ]
    rounds = [{"seed_sd": sd, "standings": rows} for sd in noise]
    write_json(folder / "standings.json", {"rounds": rounds, "field": field})


def test_the_own_plan_comes_first_and_none_is_listed_twice_or_keeps_more_than_play():
    own = own_plan(CONFIG)
    assert own == Plan((5, 3, 1), (2, 2, 2))
    plans = alternatives(own, 10)
    assert plans[0] == own and len(plans) == len(set(plans)) > 10
    assert Plan((4, 2, 1), (1, 2, 4)) in plans and Plan((5, 3, 1), (2, 3, 4)) in plans
    for plan in alternatives(Plan((1,), (1,)), 2) + alternatives(Plan((2, 1), (1, 1)), 3):
        counts = (3, *plan.keep)
        assert all(after < before for before, after in zip(counts, plan.keep, strict=False))


def test_only_plans_that_no_cheaper_one_beats_are_shown_beside_the_own():
    rows = simulated(CONFIG, usual_fields(CONFIG), {}, 1)
    assert [row.steps for row in rows] == sorted(row.steps for row in rows)
    assert sum(row.is_own for row in rows) == 1
    chances = [row.odds[1].chance for row in rows if not row.is_own]
    assert chances == sorted(chances) and all(row.hours is None for row in rows)


def test_at_no_more_steps_than_three_seeds_a_plan_finds_the_best_in_four_of_five_leagues():
    """Ten contestants whose true losses spread by twice the seed noise; three seeds in all rounds: 48,000 steps."""
    rows = simulated(load_config("rtx3090", ["seeds=3"]), usual_fields(CONFIG), {}, 1)
    own = next(row for row in rows if row.is_own)
    best = max((row for row in rows if row.steps <= own.steps), key=lambda row: row.odds[1].chance)
    assert own.steps == 48_000 and best.odds[1].chance > 0.80 > own.odds[1].chance
    assert best.odds[1].regret < 0.09 < own.odds[1].regret


def test_hours_are_those_of_the_mean_contestant_on_equal_slots():
    assert hours(3600, {"a": 1.0, "b": 3.0}, 2, 2) == pytest.approx(1.0)
    assert hours(3600, {"a": 1.0}, 2, 1) is None


def test_the_field_and_the_speed_of_an_earlier_league_are_read(tmp_path):
    field = {"spread": 0.05, "drift": [0.2, 0.1, 0.0]}
    _earlier_league(tmp_path / "league", CONFIG, field=field)
    assert like_field(CONFIG, tmp_path / "league") == Field(0.05, (0.03, 0.02, 0.01), (0.2, 0.1, 0.0))
    seconds = recorded_step_seconds(CONFIG, tmp_path / "league")
    per_step = CONFIG.tournament.batch_size * CONFIG.tournament.seq_len / 1000.0
    assert len(seconds) == 10 and [*seconds.values()] == pytest.approx([per_step / 0.9] * 10)
    other = load_config("rtx3090", ["batch_size=8", "seeds=2"])
    assert recorded_step_seconds(other, tmp_path / "league") == {}
    chosen = with_keys(CONFIG, {"kernels.logits_at_a_time": 2**26})  # as a calibration at its start
    _earlier_league(tmp_path / "second", chosen, field=field)
    assert recorded_step_seconds(CONFIG, tmp_path / "second") == seconds
    smaller = load_config("rtx3090", ["size.divide=2", "size.min_head_size=16"])
    assert recorded_step_seconds(smaller, tmp_path / "league") == {}


@pytest.mark.parametrize(
    ("noise", "field", "line"),
    [
        ((0.03, 0.02), {"spread": 0.1, "drift": [0.0, 0.0]}, "2 rounds are decided, the plan has 3"),
        ((0.03, None, 0.01), {"spread": 0.1, "drift": [0.0] * 3}, "seed noise is not known in every round"),
        ((0.03, 0.02, 0.01), None, "seed noise is not known in every round"),
    ],
)
def test_a_league_that_does_not_know_its_noise_is_refused(tmp_path, noise, field, line):
    _earlier_league(tmp_path / "league", CONFIG, noise=noise, field=field)
    with pytest.raises(BadInput, match=line):
        like_field(CONFIG, tmp_path / "league")


def test_the_command_prints_a_table_within_five_seconds(capsys):
    began = time.process_time()
    assert main(["--config", "rtx3090", "--plan", "--simulate", "seeds=3"]) == 0
    assert time.process_time() - began < 5
    text = capsys.readouterr().out
    assert "5 → 3 → 1 *" in text and "P(best) at 2" in text and "at no more steps: keep=[4,2,1]" in text


def test_equal_seconds_take_the_hours_that_they_say(capsys):
    words = ["--config", "laptop", "--plan", "budget=seconds", "seconds=[3600,3600,3600]", "seeds=1", "threads=1"]
    assert main(words) == 0  # 10, 5 and 3 contestants
    hours = re.search(r"the rounds: about ([\d.]+) hours, (\d+) runs? at a time", capsys.readouterr().out)
    assert float(hours[1]) * int(hours[2]) == pytest.approx(18, rel=0.05)


def test_the_command_prints_hours_and_nats_like_an_earlier_league(tmp_path, capsys):
    folder = tmp_path / "tournament" / "first"
    _earlier_league(folder, CONFIG, field={"spread": 0.05, "drift": [0.0] * 3})
    words = ["--config", "rtx3090", "--results", str(tmp_path), "--plan", "--like", "first", "seeds=2"]
    assert main([*words, "--simulate", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (own,) = (row for row in rows if row["is_own"])
    assert own["hours"] == pytest.approx(own["steps"] * 8192 / 900 / 3600) and 0 < own["regret_nats"] < 0.05
    assert main([*words, "--simulate"]) == 0 and "field as in first" in capsys.readouterr().out
    assert main(words) == 0 and "about 81 hours" in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    *contestants, last = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert len(contestants) == 10 and last["league"]["rounds_hours"] == pytest.approx(81, abs=0.5)
    tries = len(FIRST_POWERS) + MAX_MOVES  # of 500 steps each, as round 1 has
    assert last["league"]["probe_hours"] == pytest.approx(tries * 500 * 10 * 8192 / 900 / 3600)


def test_hours_of_a_card_are_marked_as_computed_and_add_up_to_the_whole_league(tmp_path, capsys):
    words = ["--config", "rtx3090", "--results", str(tmp_path), "--plan"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "computed from the data sheet of an RTX 3090 (71 TFLOP/s, 936 GB/s), not measured" in text
    rounds, probe, whole = (
        float(re.search(rf"{name}: [a-z ]+ ([\d.]+) hours", text)[1])
        for name in ("the rounds", "learning-rate round", "the whole league")
    )
    assert whole == pytest.approx(1.25 * (rounds + probe), rel=0.03) and 4 < whole < 6  # README
    assert main([*words, "--json"]) == 0
    *rows, last = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert {row["seconds_from"] for row in rows} == {"computed"}
    assert last["league"]["rounds_hours"] == pytest.approx(rounds, rel=0.05)


def test_hours_come_from_this_machines_calibration_and_without_one_the_plan_says_how(tmp_path, capsys):
    words = ["--config", "laptop", "--results", str(tmp_path), "--plan"]
    assert main(words) == 0 and "`tournament doctor --calibrate` once" in capsys.readouterr().out
    laptop = load_config("laptop")
    kinds = ("dense", "differential", "experts", "differential, experts", "head", "update")
    measured = {"choices": {}, "rows": (), "layouts": (), "speed": dict.fromkeys(kinds, 1e10)}
    write(tmp_path, new_entry(machine_facts("cpu"), conditions(laptop, "tournament"), 9.0, **measured))
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "seconds of a step from the calibration of this machine" in text and "the whole league: up to" in text
    assert main([*words, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[0]["seconds_from"] == "calibration" and 0.05 < rows[0]["seconds_per_step"] < 5


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--simulate"], "--simulate goes with --plan"),
        (["--measure"], "--measure goes with --plan"),
        (["--like", "first"], "--like goes with --plan"),
        (["--plan", "--like", "first", "--measure"], "choose one"),
        (["--plan", "--like", "first"], "no tournament of this name has decided a round"),
    ],
)
def test_what_makes_no_sense_is_one_line(tmp_path, capsys, words, line):
    assert main(["--config", "smoke", "--results", str(tmp_path), *words]) == 2
    assert line in capsys.readouterr().err


def test_ten_steps_are_measured_here_and_equal_models_once():
    words = ['league=[{name="a",base="v01_dense_small"},{name="b",base="v01_dense_small",seeds=[4]}]', "keep=[1]"]
    seconds = measured_step_seconds(load_config("smoke", [*words, "steps=[10]"]))
    assert seconds["a"] == seconds["b"] and 1e-4 < seconds["a"] < 5
