"""`doctor --calibrate` as it is typed: what it prints and keeps, how long it takes, the league that begins with it."""

import json
import subprocess
import sys
import time

import pytest

from tournament.doctor import main

SMOKE = ["--config", "smoke", "use_calibration=true"]


def _run(*words):
    return subprocess.run([sys.executable, "-m", "tournament", *words], capture_output=True, text=True, check=False)


def test_a_config_that_cannot_be_is_refused_before_anything_is_timed(tmp_path, capsys):
    words = ["--calibrate", "--config", "smoke", "--results", str(tmp_path)]
    assert main([*words, "threads=999"]) == 2 and "999" in capsys.readouterr().err
    assert main([*words, "keep=[3,5,1]"]) == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_calibration_takes_two_minutes_at_most_and_the_next_league_begins_with_it(tmp_path):
    place = ["--results", str(tmp_path)]
    began = time.monotonic()
    calibration = _run("doctor", "--calibrate", *SMOKE, *place)
    assert calibration.returncode == 0, calibration.stderr
    assert time.monotonic() - began < 120
    assert "calibrating: about " in calibration.stdout and "trials side by side" in calibration.stdout
    path = tmp_path / "calibration.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    (entry,) = document["entries"]
    assert {"dense", "differential", "experts", "differential, experts", "head", "update"} == entry["speed"].keys()
    assert len(entry["layouts"]) >= 1 and all(layout["tokens_per_second"] > 0 for layout in entry["layouts"])
    assert all(row["rounds"] >= 7 or row["ratio"] > 2 for row in entry["rows"])
    plan = _run("--plan", *SMOKE, *place)
    assert "from the calibration of this machine" in plan.stdout

    entry["choices"] = {"kernels.grouped_experts": "always"}  # planted, whatever has won
    path.write_text(json.dumps(document), encoding="utf-8")
    league = [*SMOKE, *place, "--name", "mine", "--only", "v05_moe_small", "steps=[4]", "keep=[1]", "seeds=1"]
    first = _run(*league)
    assert first.returncode == 0, first.stderr
    assert "as calibrated here" in first.stdout and "grouped_experts=always" in first.stdout
    stored = json.loads((tmp_path / "tournament" / "mine" / "config.json").read_text(encoding="utf-8"))
    assert stored["config"]["compute"]["kernels"]["grouped_experts"] == "always"
    assert stored["calibration"]["choices"] == entry["choices"]
    again = _run(*league, "--resume")  # with the options of the first start, which say auto
    assert again.returncode == 0 and "winner: v05_moe_small" in again.stdout, again.stderr
