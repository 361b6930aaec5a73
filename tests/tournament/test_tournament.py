"""The smoke league through the real command: what it leaves, what a kill costs, what it refuses."""

import csv
import json
import math
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from hamner import checkpoint
from hamner.contestants import CONTESTANTS


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_ten_contestants_one_winner(league):
    standings, winner = _read(league / "standings.json"), _read(league / "winner.json")
    assert [len(r["standings"]) for r in standings["rounds"]] == [10, 5, 3]
    assert [r["steps"] for r in standings["rounds"]] == [20, 60, 140]
    assert [r["tokens"] for r in standings["rounds"]] == [20 * 256, 60 * 256, 140 * 256]
    assert {row["contestant"] for row in standings["rounds"][0]["standings"]} == set(CONTESTANTS)
    for played in standings["rounds"]:
        losses = [row["heldout_loss"] for row in played["standings"]]
        assert losses == sorted(losses)
        assert all(row["heldout_loss"] < row["heldout_loss_start"] for row in played["standings"])
        statuses = [row["status"] for row in played["standings"]]
        kept = played["keep"]
        good = "winner" if kept == 1 else "advanced"
        assert statuses == [good] * kept + ["eliminated"] * (len(statuses) - kept)
    last = standings["rounds"][-1]["standings"][0]
    assert standings["winner"] == winner["contestant"] == last["contestant"]
    assert winner["heldout_loss"] == last["heldout_loss"]
    assert set(winner) == {"run", "contestant", "model", "tokenizer", "data", "heldout_loss", "checkpoint"}


def test_the_first_loss_is_that_of_knowing_nothing(league):
    for row in _read(league / "standings.json")["rounds"][0]["standings"]:
        assert row["heldout_loss_start"] == pytest.approx(math.log(2048), abs=0.3)


def test_everybody_read_the_same_tokens_and_survivors_went_on(league):
    standings = _read(league / "standings.json")
    reached = {row["contestant"]: played["steps"] for played in standings["rounds"] for row in played["standings"]}
    for name, steps in reached.items():
        with (league / name / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [int(row["step"]) for row in rows] == list(range(1, steps + 1))
        assert int(rows[-1]["tokens_total"]) == steps * 4 * 64
        rates = [float(row["learning_rate"]) for row in rows]
        assert rates == pytest.approx([1.5e-3] + [3e-3] * (steps - 1))    # warmup, then constant over all rounds


def test_the_winners_checkpoint_is_whole_and_runs(league):
    winner = _read(league / "winner.json")
    found = checkpoint.load(league / winner["contestant"] / "checkpoints" / "step_000000140")
    assert str(found.path) == winner["checkpoint"]
    assert found.model.model_dump() == winner["model"]
    assert found.tokenizer().sha256 == winner["tokenizer"]["sha256"]
    assert found.build().embedding.weight.shape == (2048, found.model.hidden_size)


def test_resume_of_a_finished_run_prints_the_result(league, commands):
    done = commands.run("tournament", "--resume", "--name", "league")
    assert done.returncode == 0
    assert "winner: " + _read(league / "winner.json")["contestant"] in done.stdout


def _losses(folder):
    return [[(row["contestant"], row["heldout_loss"], row["train_loss"], row["status"]) for row in played["standings"]]
            for played in _read(folder / "standings.json")["rounds"]]


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["config.json", "v05_moe_small/checkpoints", "standings.json"])
def test_kill_and_resume_give_the_same_standings(league, commands, moment):
    """kill -9 of the driver once `moment` exists: in the preparation, in round 1, in round 2."""
    name = "killed-" + re.sub(r"\W", "_", moment)
    process = commands.start("tournament", "--config", "smoke", "--name", name)
    folder = commands.results / "tournament" / name
    while not (folder / moment).exists():
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = commands.run("tournament", "--resume", "--name", name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("starting at step 0" in done.stdout) == (moment == "config.json")
    assert _losses(folder) == _losses(league)


@pytest.mark.slow
def test_a_killed_trial_is_started_again_from_its_checkpoint(league, commands):
    process = commands.start("tournament", "--config", "smoke", "--name", "orphaned")
    folder = commands.results / "tournament" / "orphaned"
    while not list(folder.glob("*/checkpoints/step_*")):
        assert process.poll() is None
        time.sleep(0.05)
    found = subprocess.run(["pgrep", "-f", "ray::ResourceTrainable"], capture_output=True, text=True, check=True)
    os.kill(int(found.stdout.split()[0]), signal.SIGKILL)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    assert _losses(folder) == _losses(league)


@pytest.mark.slow
def test_a_contestant_that_cannot_start_is_a_result_of_its_own(league, commands):
    folder = commands.results / "tournament" / "crippled"
    (folder / "v05_moe_small" / "metrics.csv").mkdir(parents=True)    # a folder where its file should be
    shutil.copytree(league / "data", folder / "data")
    (folder / "config.json").write_text((league / "config.json").read_text().replace('"league"', '"crippled"'))
    done = commands.run("tournament", "--resume", "--name", "crippled")
    assert done.returncode == 0, done.stdout + done.stderr
    first = _read(folder / "standings.json")["rounds"][0]["standings"]
    assert (first[-1]["contestant"], first[-1]["status"], first[-1]["heldout_loss"]) == ("v05_moe_small", "error", None)
    assert "IsADirectoryError" in first[-1]["reason"]
    assert [r for r in _losses(folder)[0] if r[0] != "v05_moe_small"] == [
        r for r in _losses(league)[0] if r[0] != "v05_moe_small"]


REFUSED = {
    "unknown config": (["--config", "smok"], "did you mean 'smoke'"),
    "unknown key": (["warmup_stesp=3"], "did you mean 'warmup_steps'"),
    "unknown section key": (["tournament.stepz=[1]"], "did you mean 'tournament.steps'"),
    "unknown contestant": (['contestants=["v01_dense_smal"]'], "did you mean 'v01_dense_small'"),
    "wrong type": (["batch_size=many"], "'tournament.batch_size' = 'many'"),
    "ratios": (["mix={fineweb_edu=0.7,sft=0.2}"], "ratios sum to 0.9, not 1"),
    "unknown source": (["mix={fineweb=1.0}"], "did you mean 'fineweb_edu'"),
    "steps": (["steps=[10,0,10]"], "at least 1 step"),
    "keep": (["keep=[5,5,1]"], "keep fewer than the one before"),
    "keep too many": (["keep=[10,3,1]"], "must cut at least one"),
    "missing folder": (["--data", "nowhere"], "no data folder"),
    "run name": (["--name", "../../x"], "would leave"),
    "too many threads": (["threads=4096"], "this machine has"),
    "not a number": (["lr_scale=inf"], "finite"),
    "a value for a section": (["tournament=3"], "unknown key 'tournament'"),
    "too long for the model": (["seq_len=4096"], "max_seq_len 2048"),
    "heads that cannot be": (["min_head_size=17"], "head size 17 is odd"),
    "results in a file": (["--results", "file"], "no folder one can write to"),
    "no card": (["device=cuda"], "no CUDA card here"),
    "subcommand": (["reprot"], "neither key=value nor a subcommand"),
    "resume of nothing": (["--resume", "--name", "nobody"], "to resume"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_gets_one_message_and_starts_nothing(case, tmp_path, capsys, monkeypatch):
    from tournament.run import main

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    arguments, message = REFUSED[case]
    base = [] if "--config" in arguments else ["--config", "smoke"]
    assert main([*base, "--results", str(tmp_path / "results"), *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(("address", "message"), [
    ("http://elsewhere.example:8265", "ray job submit"), ("ray://127.0.0.1:10001", "ray job submit")])
def test_an_address_of_ray_that_a_driver_cannot_use_is_refused(address, message, tmp_path, capsys, monkeypatch):
    from tournament.run import main

    monkeypatch.setenv("RAY_ADDRESS", address)
    assert main(["--config", "smoke", "--results", str(tmp_path / "results")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(("name", "text"), [
    ("config.json", "{"), ("config.json", "[]"), ("config.json", '{"config": {"tournament": {"keep": []}}}'),
    ("bracket.json", '{"outcomes": []}'), ("bracket.json", '{"outcomes": [{"v01_dense_small": {"x": 1}}]}'),
    ("winner.json", "{}")])
def test_a_broken_file_of_a_run_is_named(name, text, league, tmp_path, capsys):
    from tournament.run import main

    folder = tmp_path / "tournament" / "broken"
    shutil.copytree(league / "data", folder / "data")
    for good in ("config.json", "standings.json"):
        shutil.copy(league / good, folder)
    (folder / name).write_text(text)
    assert main(["--resume", "--name", "broken", "--results", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert str(folder / name) in err and "Traceback" not in err


def test_all_problems_come_at_once(tmp_path, capsys):
    from tournament.run import main

    assert main(["--config", "smoke", "--results", str(tmp_path), "--name", "../x", "--data", "nowhere",
                 "steps=[0,1]", "keep=[1,2]", "foo=1", "lr_scale=fast"]) == 2
    err = capsys.readouterr().err
    for part in ("'foo'", "'lr_scale'", "at least 1 step", "keep fewer"):
        assert part in err
    assert main(["--config", "smoke", "--results", str(tmp_path), "--name", "../x", "--data", "nowhere",
                 'contestants=["v1"]']) == 2
    err = capsys.readouterr().err
    for part in ("would leave", "no data folder", "unknown contestant 'v1'"):
        assert part in err


def test_an_existing_name_is_refused_and_changed_settings_are_listed(league, commands):
    again = commands.run("tournament", "--config", "smoke", "--name", "league")
    assert again.returncode == 2 and "exists already" in again.stderr
    changed = commands.run("tournament", "--resume", "--name", "league", "seed=5", "batch_size=8")
    assert changed.returncode == 2
    assert "seed: the run has 0, now 5" in changed.stderr
    assert "tournament.batch_size: the run has 4, now 8" in changed.stderr


def test_the_plan_needs_nothing_but_the_config(commands, tmp_path):
    done = commands.run("tournament", "--config", "rtx3090", "--plan", "--json", "--results", str(tmp_path / "none"))
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["contestant"] for row in rows] == list(CONTESTANTS)
    assert set(rows[0]) == {"contestant", "parameters", "active_parameters", "tokens", "flops", "memory_gib",
                            "gpu_share"}
    assert rows[7]["parameters"] == 528_611_072 and rows[7]["active_parameters"] == 188_872_448
    assert rows[0]["tokens"] == 3500 * 16 * 512
    assert all(0 < row["gpu_share"] <= 1 and row["memory_gib"] < 24 for row in rows)
    small = sorted(row["gpu_share"] for row in rows)[:3]
    assert sum(small) <= 1    # at least three small ones at a time
    assert not (tmp_path / "none").exists()
