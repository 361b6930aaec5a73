"""The smoke curriculum through the real command: what it leaves, what a kill costs, what it refuses."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from run_files import rows_of as _rows

from curriculum.stages import FLAT
from hamner.training import checkpoint

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from kills import children


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_eight_stages_and_the_decay_end_for_a_recorded_reason(raised):
    stages = _read(raised / "stages.json")["stages"]
    assert [s["number"] for s in stages] == list(range(1, 10))
    assert [s["stage"] for s in stages] == [stage.name for stage in FLAT]
    for record in stages[:8]:
        assert record["reason"] in ("plateau", "worse", "cap")
        assert 0 < record["steps"] <= 15
    assert (stages[8]["reason"], stages[8]["steps"]) == ("steps", round(sum(s["steps"] for s in stages[:8]) / 4))
    for record in stages:
        assert record["tokens"] == record["steps"] * 4 * 64
        assert (
            set(record["started_at"])
            == set(record["heldout_loss"])
            == {"synthetic", "tinystories", "fineweb_edu", "sft", "personal"}
        )
    assert stages[0]["heldout_loss"]["tinystories"] < stages[0]["started_at"]["tinystories"] - 0.5


def test_metrics_have_every_step_and_the_rate_is_flat_until_the_decay(raised):
    rows, stages = _rows(raised), _read(raised / "stages.json")["stages"]
    assert [int(r["step"]) for r in rows] == list(range(1, sum(s["steps"] for s in stages) + 1))
    assert {
        "run",
        "timestamp",
        "step",
        "loss",
        "perplexity",
        "learning_rate",
        "tokens_per_second",
        "tokens_total",
        "tokens_billions",
        "elapsed_hours",
        "phase",
    } <= set(rows[0])
    for number, stage in enumerate(FLAT):
        mine = [r for r in rows if r["phase"] == stage.name]
        losses = [float(r["loss"]) for r in mine]
        assert float(mine[-1]["mean_loss"]) == pytest.approx(sum(losses) / len(losses))  # of this stage alone
        rates = [float(row["learning_rate"]) for row in mine]
        if stage.name == "anneal":
            assert rates == pytest.approx([3e-3 * (1 - step / len(mine)) for step in range(len(mine))])
        else:
            assert rates == pytest.approx([1.5e-3 if number == 0 else 3e-3] + [3e-3] * (len(mine) - 1))
    assert float(rows[0]["loss"]) == pytest.approx(7.6, abs=0.3)


def test_samples_curves_and_final_are_there(raised):
    lines = [json.loads(line) for line in (raised / "samples.jsonl").read_text().splitlines()]
    assert all(len(line["samples"]) == 7 for line in lines)
    assert {line["stage"] for line in lines} == {stage.name for stage in FLAT}
    assert all(path.is_file() for path in (raised / "tensorboard").iterdir())  # one run, not one a stage
    final = checkpoint.load(raised / "final")
    assert {path.name for path in final.path.iterdir()} == {
        "model.safetensors",
        "state.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert final.state["step"] == sum(s["steps"] for s in _read(raised / "stages.json")["stages"])


def test_the_report_was_written_with_the_run(raised):
    text = (raised / "report.html").read_text()
    assert "was trained through 9 stages (flat)" in text and "9 anneal" in text
    assert f"curriculum/{raised.name}/report.html" in (raised.parents[1] / "index.html").read_text()


def test_it_answers_on_a_pipe(raised, commands):
    done = commands.run("hamner.chat", "raised", stdin="Hello")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert commands.run("hamner.chat", str(raised / "final"), stdin="Hello").stdout == done.stdout


def test_resume_of_a_finished_run_prints_the_result(raised, commands):
    done = commands.run("curriculum.run", "winner", "--resume", "--name", "raised")
    assert done.returncode == 0
    assert "8 voice" in done.stdout


def test_a_config_changed_on_resume_is_refused(raised, commands):
    before = {path: path.stat().st_mtime_ns for path in raised.iterdir()}
    done = commands.run("curriculum.run", "winner", "--resume", "--name", "raised", "max_epochs=2.0", "strikes=5")
    assert done.returncode == 2
    assert "curriculum.max_epochs: the run has 4.0, now 2.0" in done.stderr
    assert "curriculum.plateau.strikes: the run has 2, now 5" in done.stderr
    other = commands.run("curriculum.run", "v3", "--resume", "--name", "raised")
    assert other.returncode == 2 and "who: the run has 'winner', now 'v3'" in other.stderr
    assert {path: path.stat().st_mtime_ns for path in raised.iterdir()} == before


@pytest.mark.slow  # the same without Ray: test_train_loop.py
def test_a_checkpoint_cut_short_is_named_and_the_run_goes_on_from_the_one_before(raised, commands):
    folder = commands.results / "curriculum" / "torn"
    shutil.copytree(raised, folder)
    shutil.rmtree(folder / "final")
    newest = sorted((folder / "checkpoints").glob("step_*"))[-1]
    (newest / "model.safetensors").write_bytes(b"cut")
    done = commands.run("curriculum.run", "winner", "--resume", "--name", "torn")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{newest.name}: model.safetensors is missing or was altered; using the one before" in done.stdout
    assert [r["loss"] for r in _rows(folder)] == [r["loss"] for r in _rows(raised)]


def _wait_for_step(folder, process, step):
    while not (folder / "checkpoints").is_dir() or not any(
        int(p.name[5:]) >= step for p in (folder / "checkpoints").glob("step_*")
    ):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.mark.slow  # a minute each; the same without Ray: test_train_loop.py, test_resume.py
@pytest.mark.parametrize("victim", ["driver", "worker"])
def test_a_kill_costs_at_most_one_interval_and_changes_no_loss(raised, commands, victim):
    process = commands.start("curriculum.run", "winner", "--config", "smoke", "--name", f"killed-{victim}")
    folder = commands.results / "curriculum" / f"killed-{victim}"
    _wait_for_step(folder, process, 33)
    if victim == "driver":
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        process = commands.start("curriculum.run", "winner", "--resume", "--name", folder.name)
    else:
        os.kill(children(process.pid, "RayTrainWorker")[0], signal.SIGKILL)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    same = ("step", "phase", "loss", "mean_loss", "heldout_loss", "gradient_norm", "learning_rate", "tokens_total")
    assert [[r[k] for k in same] for r in _rows(folder)] == [[r[k] for k in same] for r in _rows(raised)]
    assert _read(folder / "stages.json")["stages"] == _read(raised / "stages.json")["stages"]
    assert _read(folder / "skills.json")["stages"] == _read(raised / "skills.json")["stages"]
    notes = [json.loads(line) for line in (folder / "resume.jsonl").read_text().splitlines()]
    assert all(note["step_found"] >= 28 and note["steps_redone"] <= 5 for note in notes) and notes


@pytest.mark.slow  # the same without Ray and signals is quick: test_train_loop.py, runs/test_stopping.py
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_saves_and_leaves_within_ten_seconds(raised, commands, number):
    process = commands.start("curriculum.run", "winner", "--config", "smoke", "--name", f"told{number}")
    folder = commands.results / "curriculum" / f"told{number}"
    _wait_for_step(folder, process, 20)
    began = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 10, out + err
    assert process.returncode == 128 + number and "use --resume to continue" in out
    step = int((folder / "run.log").read_text().split("stopped at step ")[1].split(";")[0])
    assert checkpoint.newest(folder / "checkpoints").state["step"] == step >= 20
    assert not (folder / "final").exists() and not (folder / ".stop").exists()
    done = commands.run("curriculum.run", "winner", "--resume", "--name", folder.name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [r["loss"] for r in _rows(folder)] == [r["loss"] for r in _rows(raised)]
    (note,) = [json.loads(line) for line in (folder / "resume.jsonl").read_text().splitlines()]
    assert (note["step_found"], note["steps_redone"]) == (step, 0)


@pytest.mark.slow
def test_another_stage_can_be_begun(raised, commands):
    """--resume --stage goes back in the same run; --stage --from starts a new one there."""
    done = commands.run(
        "curriculum.run",
        "winner",
        "--config",
        "smoke",
        "--name",
        "late",
        "--stage",
        "voice",
        "--from",
        str(raised / "final"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folder = commands.results / "curriculum" / "late"
    assert [s["number"] for s in _read(folder / "stages.json")["stages"]] == [8, 9]
    before, after = _read(raised / "stages.json")["final"], _read(folder / "stages.json")["stages"][0]
    assert after["started_at"]["sft"] == pytest.approx(before["heldout_loss"]["sft"], abs=0.3)
    done = commands.run("curriculum.run", "winner", "--resume", "--name", "late", "--stage", "7")
    assert done.returncode == 2 and "add --keep-weights" in done.stderr
    done = commands.run("curriculum.run", "winner", "--resume", "--name", "late", "--stage", "7", "--keep-weights")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [s["number"] for s in _read(folder / "stages.json")["stages"]] == [8, 9, 7, 8, 9]


@pytest.mark.slow
def test_two_workers_lose_like_one(raised, commands):
    """The smoke winner is a mixture of experts, whose balance loss must be that of the whole batch."""
    done = commands.run("curriculum.run", "winner", "--config", "smoke", "--name", "two", "workers=2")
    assert done.returncode == 0, done.stdout + done.stderr
    one, two = (_rows(f)[:15] for f in (raised, commands.results / "curriculum" / "two"))
    for a, b in zip(one, two, strict=True):
        assert float(a["loss"]) == pytest.approx(float(b["loss"]), abs=1e-4)
        assert float(a["heldout_loss"]) == pytest.approx(float(b["heldout_loss"]), abs=1e-4)


@pytest.mark.slow
def test_two_workers_lose_like_one_over_200_steps(commands, tmp_path):
    """fp32, a dense model, equal global batch: the order of additions is all that differs."""
    (tmp_path / "long.toml").write_text(
        '[[stages]]\nname = "long"\nmix = {synthetic = 0.5, tinystories = 0.5}\nlevels = [0.5, 0.5]\n'
        "learning_rate = 3e-4\nsteps = 200\nexact = true\n"
    )
    for workers in (1, 2):
        done = commands.run(
            "curriculum.run",
            "v3",
            "--config",
            "smoke",
            "--name",
            f"long{workers}",
            "--curriculum",
            str(tmp_path / "long.toml"),
            f"workers={workers}",
        )
        assert done.returncode == 0, done.stdout + done.stderr
    one, two = (_rows(commands.results / "curriculum" / f"long{workers}") for workers in (1, 2))
    gaps = [abs(float(a["loss"]) - float(b["loss"])) for a, b in zip(one, two, strict=True)]
    assert len(gaps) == 200 and max(gaps) <= 1e-5
    skills = [_read(commands.results / "curriculum" / f"long{workers}" / "skills.json")["stages"] for workers in (1, 2)]
    for name, loss in skills[0][0]["heldout_loss"].items():
        assert skills[1][0]["heldout_loss"][name] == pytest.approx(loss, abs=1e-4)


@pytest.mark.slow
def test_a_control_reads_as_many_tokens_as_its_run(raised, commands):
    done = commands.run(
        "curriculum.run", "winner", "--config", "smoke", "--name", "joint", "--curriculum", "joint", "--like", "raised"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    joint, like = (
        _read(commands.results / "curriculum" / name / "stages.json")["stages"] for name in ("joint", "raised")
    )
    assert [s["stage"] for s in joint] == ["joint", "anneal"] and {s["reason"] for s in joint} == {"steps"}
    assert sum(s["tokens"] for s in joint) == sum(s["tokens"] for s in like)
    assert joint[1]["tokens"] == like[-1]["tokens"]  # the same decay
    for name in joint[0]["rows"]:
        assert abs(sum(s["rows"][name] for s in joint) - sum(s["rows"][name] for s in like)) <= 2
    done = commands.run("curriculum.compare", "raised", "joint")
    assert done.returncode == 0 and "cannot tell" in done.stdout and "1 seed(s)" in done.stdout


REFUSED = {
    "stranger": (["v99_dense"], "neither a contestant"),
    "no winner yet": (["winner"], "run `tournament` first"),
    "no such tournament": (["winner", "--tournament", "x"], "run `tournament` first"),
    "stage without weights": (["v3", "--stage", "3"], "--from CHECKPOINT"),
    "decay alone": (["v3", "--stage", "anneal", "--from", "."], "no stage comes before it"),
    "control of a part": (["--curriculum", "joint", "--like", "x", "--stage", "2", "--from", "."], "leave out --stage"),
    "unknown stage": (["v3", "--stage", "10", "--from", "."], "unknown stage '10'"),
    "unknown stage name": (["v3", "--stage", "voise", "--from", "."], "did you mean 'voice'"),
    "skipping without resume": (["v3", "--skip-batches", "3"], "use it with --resume"),
    "a rate scaled by nothing": (["v3", "--resume", "--learning-rate-scale", "0"], "'0' must be a number from 1e-06"),
    "weights kept of no stage": (["v3", "--resume", "--keep-weights"], "use it with --stage N"),
    "skipping and another stage": (
        ["v3", "--resume", "--stage", "2", "--skip-batches", "3"],
        "leave out --skip-batches",
    ),
    "resume without a source": (["v3", "--resume", "--without", "sft"], "leave out --without"),
    "a control without a source": (["--curriculum", "joint", "--like", "x", "--without", "sft"], "leave out --without"),
    "resume of other weights": (["v3", "--resume", "--from", "."], "leave out --from"),
    "no checkpoint": (["v3", "--from", "nowhere"], "there is no checkpoint"),
    "unknown key": (["v3", "window_stpes=3"], "did you mean 'window_steps'"),
    "steps": (["v3", "max_steps=0"], "greater than 0"),
    "missing folder": (["v3", "--data", "nowhere"], "no data folder"),
    "run name": (["v3", "--name", "a/b"], "would leave"),
    "broken model": (["broken.json"], "is broken"),
    "model of another vocabulary": (["model.json"], "vocab_size 300"),
    "model without the mask asked for": (["unmasked.json", "document_mask=true"], "write it into the model"),
    "model with a slip": (["slip.json"], "did you mean 'hidden_size'"),
    "resume of nothing": (["v3", "--resume", "--name", "x"], "to resume"),
    "epoch cap of nothing": (["v3", "max_epochs=0"], "'curriculum.max_epochs' = 0: it must be a number greater than 0"),
    "unknown curriculum": (["v3", "--curriculum", "sede"], "did you mean 'seed'"),
    "ratios": (["v3", "--curriculum", "bad.toml"], "stage 'a': ratios sum to 0.9, not 1"),
    "control of nothing": (["v3", "--curriculum", "joint"], "name it with --like RUN"),
    "control of a stranger": (["v3", "--curriculum", "joint", "--like", "x"], "no finished curriculum 'x'"),
    "stage beyond the last": (["v3", "--curriculum", "v3", "--stage", "5", "--from", "."], "unknown stage '5'"),
    "another curriculum on resume": (["v3", "--resume", "--curriculum", "v3"], "leave out"),
    "decay longer than a stage": (["v3", "decay=run", "decay_steps=15"], "leaves nothing of a stage of at most"),
    "a rule nobody knows": (["v3", "rule=confirmd"], "plateau.rule"),
    "more disk than there is": (["v2", "divide=1", "keep_every=1", "max_steps=100000"], "GiB free: make room"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_gets_one_message_and_starts_nothing(case, tmp_path, capsys, monkeypatch):
    from curriculum.run import main

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.chdir(tmp_path)
    sizes = {"hidden_size": 64, "num_layers": 1, "num_heads": 4, "num_kv_heads": 2, "intermediate_size": 64}
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "bad.toml").write_text('[[stages]]\nname = "a"\nmix = {sft = 0.9}\nlearning_rate = 1e-3\n')
    (tmp_path / "model.json").write_text(json.dumps(sizes | {"vocab_size": 300}))
    (tmp_path / "unmasked.json").write_text(json.dumps(sizes | {"vocab_size": 2048}))
    (tmp_path / "slip.json").write_text(json.dumps(sizes | {"hiden_size": 64}))
    arguments, message = REFUSED[case]
    base = [] if "--resume" in arguments else ["--config", "smoke"]
    assert main([*arguments, *base, "--results", str(tmp_path / "results")]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "results").exists()


def test_a_broken_file_of_stages_is_not_asked_for_the_sources_of_others(tmp_path, capsys, monkeypatch):
    from curriculum.run import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "wiki").mkdir(parents=True)
    (tmp_path / "data" / "wiki" / "a.txt").write_text("x")
    (tmp_path / "bad.toml").write_text('[[stages]]\nname = "a"\nmix = {wiki = 1.1}\nlearning_rate = 1e-3\n')
    words = ["v3", "--config", "smoke", "--data", "data", "--curriculum", "bad.toml", "--results", "results"]
    assert main(words) == 2
    assert capsys.readouterr().err == "error: bad.toml: stage 'a': ratios sum to 1.1, not 1; divide each by 1.1\n"


def test_a_winner_of_another_size_or_tokenizer_is_refused(raised, league, commands, tmp_path):
    other = commands.run("curriculum.run", "winner", "--config", "laptop", "--name", "other")
    assert other.returncode == 2
    assert "--config" in other.stderr and "run `tournament` again" in other.stderr
    winner = _read(league / "winner.json")
    winner["tokenizer"]["sha256"] = "0" * 64
    (tmp_path / "forged.json").write_text(json.dumps(winner))
    forged = commands.run("curriculum.run", str(tmp_path / "forged.json"), "--config", "smoke", "--name", "other")
    assert forged.returncode == 2 and "is not the one" in forged.stderr
    assert not (commands.results / "curriculum" / "other").exists()


@pytest.mark.slow
def test_the_loop_runs_without_ray_too(raised, commands):
    """The same loop in a bare process: no Ray is needed to debug a stage, and the numbers are the same."""
    code = (
        "import sys, pathlib, shutil; from curriculum.train_loop import CurriculumRun; "
        "old, new = map(pathlib.Path, sys.argv[1:]); new.mkdir(); shutil.copy(old / 'config.json', new); "
        "(new / 'data').symlink_to(old / 'data'); CurriculumRun(new).run()"
    )
    new = commands.results / "curriculum" / "bare"
    env = commands.environment | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code, str(raised), str(new)], check=True, env=env, timeout=120)
    assert [r["loss"] for r in _rows(new)] == [r["loss"] for r in _rows(raised)]
