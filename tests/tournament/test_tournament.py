"""The smoke league through the real command: what it leaves, what a kill costs, what it refuses."""

import csv
import json
import math
import os
import re
import shutil
import signal
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from hamner.config.presets import CONTESTANTS
from hamner.runs.files import write_json
from hamner.training import checkpoint

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from kills import children


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
    facts = {"run", "finished", "contestant", "model", "tokenizer", "data", "heldout_loss", "verdict", "checkpoint"}
    assert set(winner) == facts | {
        "format",
        "groups",
        "learning_rate_factor",
        "p_best",
        "best_of",
        "regret",
        "checksum",
    }
    assert (winner["groups"], winner["learning_rate_factor"]) == ([], 1.0)
    assert winner["verdict"] == standings["winner_verdict"] == last["verdict"]


def test_a_league_writes_its_report_by_itself(league):
    page, winner = (league / "report.html").read_text(encoding="utf-8"), _read(league / "winner.json")
    assert f"{winner['contestant']} won; " in page and f"{winner['heldout_loss']:.4f} nats/token held out" in page
    assert "tournament/" in (league.parents[1] / "index.html").read_text(encoding="utf-8")
    assert len(list(league.glob("report_*.png"))) > 5 and len(page) < 1_000_000


def test_every_number_of_a_row_belongs_to_the_others(league):
    """Against each other and against what the run itself wrote."""
    text = _read(league / "data" / "manifest.json")["sources"]["fineweb_edu"]
    for played in _read(league / "standings.json")["rounds"]:
        rows, keep = played["standings"], played["keep"]
        last = rows[keep - 1]
        assert played["seed_df"] == len(rows) - 1
        for place, row in enumerate(rows):
            assert row["difference"] == pytest.approx(row["heldout_loss"] - last["heldout_loss"], abs=1e-12)
            assert (row["verdict"] is None) == (place < keep and row["status"] != "winner")
            if row is not last:
                noise = (row["seed_sd"] ** 2 + last["seed_sd"] ** 2) / 2  # two seeds each
                assert row["standard_error"] ** 2 == pytest.approx(row["evaluation_se"] ** 2 + noise)
            assert row["flops"] == row["flops_per_token"] * row["tokens"] == row["flops_per_token"] * played["tokens"]
            assert row["bits_per_byte"] == pytest.approx(
                row["heldout_loss"] / math.log(2) * text["heldout_tokens"] / text["heldout_bytes"]
            )
            assert row["seconds"] > 0 and row["peak_gib"] > 0.1 and row["learning_rate"] == pytest.approx(3e-3)
            assert set(row["other_sources"]) == {"tinystories", "synthetic", "sft", "personal"}
        steps = [row["runs"][1]["heldout_loss"] - row["runs"][0]["heldout_loss"] for row in rows]
        assert played["seed_sd"] == pytest.approx(statistics.stdev(steps) / math.sqrt(2))


def test_the_loss_is_looked_at_on_a_grid_and_compared_at_equal_cost(league):
    played = _read(league / "standings.json")["rounds"][0]
    cheapest = min(played["standings"], key=lambda row: row["flops"])
    assert played["equal_flops"] == cheapest["flops"]
    assert sorted(row["rank_at_equal_flops"] for row in played["standings"]) == list(range(1, 11))
    assert sorted(row["rank_at_equal_seconds"] for row in played["standings"]) == list(range(1, 11))
    ledger = _read(league / "bracket.json")["rounds"][0]["outcomes"]
    assert len(ledger) == 20
    for outcome in ledger:
        assert [point[0] for point in outcome["facts"]["grid"]] == [0, 1, 2, 3, 5, 8, 10, 13, 15, 18, 20]


def test_only_the_winner_keeps_what_training_needs(league):
    winner = _read(league / "winner.json")["contestant"]
    for name in CONTESTANTS:
        folders = list((league / name / "checkpoints").iterdir())
        assert len(folders) == 1
        files = {path.name for path in folders[0].iterdir()}
        assert ("optimizer.safetensors" in files) == (name == winner)
        checkpoint.load(folders[0]).build()


def test_a_survivors_weights_are_those_of_the_same_contestant_trained_alone(league):
    """Bit for bit, over two cuts."""
    from hamner.config.load import parse
    from hamner.config.schema import Config
    from tournament.budget import Budget
    from tournament.entrants import entrants
    from tournament.training import Training

    torch.set_num_threads(1)
    config = parse(Config, _read(league / "config.json")["config"], "config.json")
    winner = _read(league / "winner.json")
    contestant = entrants(config)[winner["contestant"]]
    alone = Training(config, league, league / "alone", contestant, 0, Budget((140,)), 3e-3)
    while not alone.advance(0):
        pass
    alone.close()
    kept = checkpoint.load(Path(winner["checkpoint"])).tensors("model")
    trained = alone.trainer.hamner.state_dict()
    assert set(kept) == set(trained) and all(torch.equal(kept[name], trained[name]) for name in kept)
    last = _read(league / "standings.json")["rounds"][-1]["standings"][0]
    assert alone.progress.latest.loss == last["runs"][0]["heldout_loss"]
    shutil.rmtree(league / "alone")


def test_the_ranked_loss_of_a_mixture_of_experts_is_cross_entropy_alone(league):
    """Against one computed here from its logits; the balance loss, trained on, is not in it."""
    from hamner.data.corpus import Corpus

    standings = _read(league / "standings.json")
    name, played = next(
        (row["contestant"], p)
        for p in reversed(standings["rounds"])
        for row in p["standings"]
        if "moe" in row["contestant"] or "hybrid" in row["contestant"]
    )
    found = checkpoint.newest(league / name / "checkpoints")
    hamner = found.build().eval()
    tokens = torch.from_numpy(Corpus(league / "data", found.tokenizer().sha256).heldout("fineweb_edu").astype("int64"))
    rows = tokens[: len(tokens) // 64 * 64].view(-1, 64)
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, 32).astype(int))]
    with torch.no_grad():
        out = hamner(chosen)
    chances = out.logits[:, :-1].double().log_softmax(-1).gather(-1, chosen[:, 1:, None])
    ranked = next(row["runs"][0]["heldout_loss"] for row in played["standings"] if row["contestant"] == name)
    assert ranked == pytest.approx(-chances.mean().item(), abs=1e-6)
    assert out.balance_loss > 0.01


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
        assert rates == pytest.approx([1.5e-3] + [3e-3] * (steps - 1))  # warmup, then constant over all rounds


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
    return [
        [(row["contestant"], row["heldout_loss"], row["train_loss"], row["status"]) for row in played["standings"]]
        for played in _read(folder / "standings.json")["rounds"]
    ]


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
    resumed = folder / "resume.jsonl"
    assert resumed.is_file() == (moment != "config.json")
    for line in resumed.read_text().splitlines() if resumed.is_file() else []:
        note = json.loads(line)
        assert set(note) == {"time", "contestant", "step_found", "steps_redone"}
        assert 0 <= note["steps_redone"] <= 5 and note["step_found"] % 5 == 0


@pytest.mark.slow
def test_a_killed_trial_is_started_again_from_its_checkpoint(league, commands):
    process = commands.start("tournament", "--config", "smoke", "--name", "orphaned")
    folder = commands.results / "tournament" / "orphaned"
    while not list(folder.glob("*/checkpoints/step_*")):
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(children(process.pid, "ray::ResourceTrainable")[0], signal.SIGKILL)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    assert _losses(folder) == _losses(league)


def _crippled(league, name):
    """A league like this one, not begun, in which v05 cannot start: a folder stands where its metrics should be."""
    folder = league.parent / name
    for run in ("v05_moe_small", "v05_moe_small-seed1"):
        (folder / run / "metrics.csv").mkdir(parents=True)
    shutil.copytree(league / "data", folder / "data")
    write_json(folder / "config.json", _read(league / "config.json") | {"run": name})
    return folder


@pytest.mark.slow
def test_a_contestant_that_cannot_start_is_a_result_of_its_own(league, commands):
    folder = _crippled(league, "crippled")
    done = commands.run("tournament", "--resume", "--name", "crippled")
    assert done.returncode == 0, done.stdout + done.stderr
    first = _read(folder / "standings.json")["rounds"][0]["standings"]
    assert (first[-1]["contestant"], first[-1]["status"], first[-1]["heldout_loss"]) == ("v05_moe_small", "error", None)
    assert first[-1]["reason"].startswith("crash: ") and "IsADirectoryError" in first[-1]["reason"]
    assert [r for r in _losses(folder)[0] if r[0] != "v05_moe_small"] == [
        r for r in _losses(league)[0] if r[0] != "v05_moe_small"
    ]


@pytest.mark.slow
def test_a_crash_in_the_last_round_is_played_again_on_request(commands):
    three = [word for name in ("v01_dense_small", "v03_diffattn_small", "v05_moe_small") for word in ("--only", name)]
    words = ("--config", "smoke", "steps=[20]", "keep=[1]", *three)
    assert commands.run("tournament", *words, "--name", "whole").returncode == 0
    whole = commands.results / "tournament" / "whole"
    folder = _crippled(whole, "retried")
    done = commands.run("tournament", "--resume", "--name", "retried")
    assert done.returncode == 0 and "--retry-errors" in done.stdout, done.stdout + done.stderr
    assert _read(folder / "standings.json")["rounds"][0]["standings"][-1]["status"] == "error"
    for path in folder.glob("v05_moe_small*/metrics.csv"):
        path.rmdir()
    done = commands.run("tournament", "--resume", "--retry-errors", "--name", "retried")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ended with an error, so played again: v05_moe_small" in done.stdout
    assert _losses(folder) == _losses(whole)
    assert _read(folder / "winner.json")["contestant"] == _read(whole / "winner.json")["contestant"]


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
    "results in a file": (["--results", "file"], "is not a writable folder"),
    "no card": (["device=cuda"], "has no CUDA card"),
    "word": (["reprot"], "'reprot' is not key=value"),
    "nobody of that name": (["--only", "v01_dense_smal"], "did you mean 'v01_dense_small'"),
    "several names at once": (["--only", "v3,v01_dense_small"], "repeat --only for each name"),
    "sweep of nothing": (["--sweep", "lrate=1"], "learning_rate"),
    "sweep of a word": (["--sweep", "learning_rate=fast"], "must be a number"),
    "league and sweep": (["--league", "x.toml", "--sweep", "lr=1"], "choose one"),
    "no league": (["--league", "x.toml"], "'x.toml' cannot be read"),
    "async and patient": (["mode=async", "contested=keep"], "contested=cut or mode=sync"),
    "no seconds": (["budget=seconds"], "one positive number a round"),
    "short probe": (["lr=probe", "lr_probe_steps=5"], "three times"),
    "unknown report": (['report=["fineweb"]'], "did you mean 'fineweb_edu'"),
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


@pytest.mark.parametrize(
    ("address", "message"),
    [("http://elsewhere.example:8265", "ray job submit"), ("ray://127.0.0.1:10001", "ray job submit")],
)
def test_an_address_of_ray_that_a_driver_cannot_use_is_refused(address, message, tmp_path, capsys, monkeypatch):
    from tournament.run import main

    monkeypatch.setenv("RAY_ADDRESS", address)
    assert main(["--config", "smoke", "--results", str(tmp_path / "results")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.json", "{"),
        ("config.json", "[]"),
        ("config.json", '{"config": {"tournament": {"keep": []}}}'),
        ("bracket.json", '{"outcomes": []}'),
        ("bracket.json", '{"outcomes": [{"v01_dense_small": {"x": 1}}]}'),
        ("winner.json", "{}"),
    ],
)
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

    assert (
        main(
            [
                "--config",
                "smoke",
                "--results",
                str(tmp_path),
                "--name",
                "../x",
                "--data",
                "nowhere",
                "steps=[0,1]",
                "keep=[1,2]",
                "foo=1",
                "lr_scale=fast",
            ]
        )
        == 2
    )
    err = capsys.readouterr().err
    for part in ("'foo'", "'lr_scale'", "at least 1 step", "keep fewer"):
        assert part in err
    assert (
        main(
            [
                "--config",
                "smoke",
                "--results",
                str(tmp_path),
                "--name",
                "../x",
                "--data",
                "nowhere",
                'contestants=["v1"]',
            ]
        )
        == 2
    )
    err = capsys.readouterr().err
    for part in ("would leave", "no data folder", "unknown contestant 'v1'"):
        assert part in err


def test_an_existing_name_is_refused_and_changed_settings_are_listed(league, commands):
    again = commands.run("tournament", "--config", "smoke", "--name", "league")
    assert again.returncode == 2 and "exists already" in again.stderr
    changed = commands.run("tournament", "--resume", "--name", "league", "seed=5", "batch_size=8", "threads=2")
    assert changed.returncode == 2
    assert "compute.threads: the run has 1, now 2" in changed.stderr
    assert "seed: the run has 0, now 5" in changed.stderr
    assert "tournament.batch_size: the run has 4, now 8" in changed.stderr


# of a contestant's row in the plan: sizes of its model, and its rate
MODEL_KEYS = (
    "num_layers",
    "hidden_size",
    "num_heads",
    "num_kv_heads",
    "intermediate_size",
    "num_experts",
    "learning_rate",
)


def test_the_plan_needs_nothing_but_the_config(commands, tmp_path):
    done = commands.run("tournament", "--config", "rtx3090", "--plan", "--json", "--results", str(tmp_path / "none"))
    assert done.returncode == 0, done.stderr
    *rows, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["contestant"] for row in rows] == list(CONTESTANTS)
    assert set(last["league"]) == {"rounds_hours", "probe_hours"} and {row["seconds_from"] for row in rows} == {
        "computed"
    }
    assert set(rows[0]) == {
        "contestant",
        *MODEL_KEYS,
        "parameters",
        "active_parameters",
        "tokens",
        "flops",
        "memory_gib",
        "memory_terms_gib",
        "memory_moment",
        "gpu_share",
        "disk_gib",
        "seconds_per_step",
        "seconds_from",
    }
    assert rows[7]["parameters"] == 528_611_072 and rows[7]["active_parameters"] == 188_872_448
    assert rows[0]["tokens"] == 3500 * 16 * 512
    assert all(0 < row["gpu_share"] <= 1 and row["memory_gib"] < 24 for row in rows)
    small = sorted(row["gpu_share"] for row in rows)[:2]
    assert sum(small) <= 1  # two small ones at a time
    assert not (tmp_path / "none").exists()


def _planned(capsys, *words):
    from tournament.run import main

    assert main(["--config", "smoke", "--plan", "--json", *words]) == 0
    return {
        row["contestant"]: row
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("{")
        for row in [json.loads(line)]
    }


def test_a_league_file_and_a_sweep_say_who_enters(tmp_path, capsys):
    league = tmp_path / "mine.toml"
    league.write_text("""
        [[contestant]]
        name = "deep"
        base = "v01_dense_small"
        overrides = { num_layers = 32 }
        [[contestant]]
        name = "plain"
        base = "v01_dense_small"
        parameter_groups = [{ middle_layers = 1, learning_rate_scale = 0.2 }]
    """)
    rows = _planned(capsys, "--league", str(league))
    assert list(rows) == ["deep", "plain"]
    block = 2 * 64**2 + 2 * 64 * 32 + 3 * 64 * 192 + 2 * 64
    assert rows["deep"]["parameters"] - rows["plain"]["parameters"] == 2 * block
    assert list(_planned(capsys, "--league", str(league), "--only", "plain")) == ["plain"]
    assert list(_planned(capsys, "--sweep", "learning_rate=1e-4,3e-4", "--only", "v10_wide_shallow")) == [
        "v10_wide_shallow-learning_rate=1e-4",
        "v10_wide_shallow-learning_rate=3e-4",
    ]
    assert len(_planned(capsys, "--sweep", "learning_rate=1e-4,3e-4", "--sweep", "num_layers=1,2")) == 40


@pytest.mark.mended("newcomer: --only X alone")
@pytest.mark.parametrize("names", [["v10_wide_shallow"], ["v01_dense_small", "v02_dense_medium"]])
def test_few_contestants_that_are_named_one_by_one_play(names, capsys):
    words = [word for name in names for word in ("--only", name)]
    assert list(_planned(capsys, *words)) == sorted(names)


def test_the_plan_shows_what_each_row_of_a_league_is_after_shrinking(tmp_path, capsys):
    from tournament.run import main

    league = tmp_path / "mine.toml"
    league.write_text("""
        contestant = [
            { name = "deep", base = "v01_dense_small", overrides = { num_layers = 32 }, learning_rate = 1e-4 },
            { name = "plain", base = "v05_moe_small" },
            { name = "plainer", base = "v05_moe_small", overrides = { num_layers = 13 } },
        ]
    """)
    rows = {
        name: tuple(row[key] for key in MODEL_KEYS) for name, row in _planned(capsys, "--league", str(league)).items()
    }
    assert rows["deep"] == (4, 64, 4, 2, 192, 1, pytest.approx(1e-3))  # lr_scale is 10
    assert rows["plain"] == rows["plainer"] == (2, 64, 4, 2, 128, 8, pytest.approx(3e-3))
    assert main(["--config", "smoke", "--plan", "--league", str(league)]) == 0
    told = capsys.readouterr().out
    cells = next(line for line in told.splitlines() if "deep" in line).split("│")
    assert [cell.strip() for cell in cells[1:-1]] == ["deep", "4", "64", "4 / 2", "192", "1", "0.001"]
    assert "plain, plainer: the same model and rate after size.divide = 8" in told


@pytest.mark.mended("--plan of three contestants prints rounds of ten")
def test_the_plan_of_three_contestants_has_rounds_of_three(tmp_path, capsys):
    from tournament.run import main

    names = ("v01_dense_small", "v02_dense_medium", "v03_diffattn_small")
    assert main(["--config", "smoke", "--plan", *(word for name in names for word in ("--only", name))]) == 0
    assert "3 contestants, rounds of 20 / +40 / +80 steps of 4 × 64 tokens, 3 → 3 → 3 → 1" in capsys.readouterr().out


def test_the_plan_says_what_certainty_costs(capsys):
    from tournament.run import main

    assert main(["--config", "rtx3090", "--plan"]) == 0
    told = capsys.readouterr().out
    for words in (
        "learning-rate round, 500 steps a try",
        "round 1: 10 contestants × 2 seeds, 10,000 steps in all, about ",
        "round 2: 5 contestants × 3 seeds, 17,500 steps in all, about ",  # the third from step 0
        "round 3: 3 contestants × 4 seeds, 28,500 steps in all, about ",
        "the rounds: 56,000 steps, about ",
        "disk: up to",
    ):
        assert words in told
