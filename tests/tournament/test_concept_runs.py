"""Concept experiments as they run: bad input, an arm that is stopped and continued, the command killed and resumed."""

import contextlib
import json
import os
import signal
import time

import pytest

from hamner.config.load import load_config
from hamner.data.concepts import training_items
from hamner.data.tokenizer import Tokenizer
from hamner.inference.find_model import open_model
from hamner.inference.huggingface import write_folder
from hamner.runs.stopping import STOP
from tournament.concept_arms import arms_of
from tournament.concept_base import keep_base, open_base
from tournament.concept_training import ConceptTraining
from tournament.ledger import LEDGER, read_ledger_as
from tournament.run import main
from tournament.training import Stopped

SMOKE = load_config("smoke", section="concepts")
ARMS = {arm.name: arm for arm in arms_of(("all",))}


@pytest.fixture(scope="module")
def experiments(tmp_path_factory):
    """A folder with a fresh base."""
    folder = tmp_path_factory.mktemp("experiments")
    keep_base(open_base("v3", SMOKE, folder), folder)
    return folder


def _open(experiments, arm, name, attempt=1):
    return ConceptTraining(SMOKE, experiments, experiments / name, ARMS[arm], 1, 1e-3, attempt)


def _trained(training):
    while not training.advance():
        pass
    training.close()
    return training


def _weights(training):
    return {name: tensor.clone() for name, tensor in training.trainer.hamner.state_dict().items()}


def test_an_arm_that_is_stopped_after_every_step_ends_as_one_that_is_not(experiments):
    whole = _trained(_open(experiments, "replay30", "whole"))
    (experiments / STOP).touch()
    starts = 0
    try:
        while True:
            starts += 1
            training = _open(experiments, "replay30", "stopped", starts)
            with contextlib.suppress(Stopped):
                while not training.advance():
                    pass
                break
            training.close()
    finally:
        (experiments / STOP).unlink()
        training.close()
    assert starts >= 14 and training.trainer.step_count == whole.trainer.step_count == 16
    assert training.measured == whole.measured and len(whole.measured) == 2
    one, other = _weights(whole), _weights(training)
    assert all(one[name].equal(other[name]) for name in one)
    assert whole.result()["heldout_loss"] == training.result()["heldout_loss"]
    steps = [line.split(",")[0] for line in (experiments / "stopped" / "metrics.csv").read_text().splitlines()[1:]]
    assert steps == sorted(set(steps), key=int)


def test_the_base_arm_trains_nothing_and_the_losses_differ(experiments):
    base = _trained(_open(experiments, "untrained", "untrained"))
    assert base.trainer.step_count == 0 and set(base.measured[0]) == set(ARMS["untrained"].cells)
    masked, packed = (_trained(_open(experiments, f"compare-{loss}", loss)) for loss in ("masked", "packed"))
    assert not _weights(masked)["embedding.weight"].equal(_weights(packed)["embedding.weight"])
    slow = _open(experiments, "seven-slow", "slow")
    assert {group["rate_scale"] for group in slow.trainer.optimizer.param_groups} == {1.0, 0.2}
    slow.close()


def _fails(capsys, *words):
    code = main(["concepts", "--config", "smoke", *words])
    lines = capsys.readouterr().err.strip().splitlines()
    assert code == 2 and all(line.startswith("error: ") for line in lines), lines
    return lines


def test_an_unknown_suite_and_an_unknown_base_are_said_at_once(tmp_path, capsys):
    lines = _fails(capsys, "--suite", "retian", "--model", "v33", "--results", str(tmp_path / "results"))
    assert "retain" in lines[0] and any("v33" in line for line in lines[1:]) and any("v3" in line for line in lines)
    assert not (tmp_path / "results").exists()
    assert "--resume" in _fails(capsys, "--plan", "--resume", "--results", str(tmp_path))[0]


def test_a_base_with_another_tokenizer_is_refused(experiments, tmp_path, capsys):
    folder, base = tmp_path / "export", open_model(experiments / "base")
    write_folder(folder, base.model, base.tokenizer)
    assert open_base(str(folder), SMOKE, tmp_path).model.vocab_size == 2048
    Tokenizer.train([item.text for item in training_items("qa")], 400).save(folder)
    lines = _fails(capsys, "--model", str(folder), "--results", str(tmp_path / "results"))
    assert len(lines) == 1 and "another tokenizer" in lines[0] and "2048" in lines[0]
    assert not (tmp_path / "results").exists()


def test_a_plan_names_arms_steps_and_hours(experiments, tmp_path, capsys):
    words = ["--plan", "--suite", "retain", "--model", str(experiments / "base"), "--seeds", "3"]
    assert main(["concepts", "--config", "smoke", *words, "--results", str(tmp_path / "none")]) == 0
    out = capsys.readouterr().out
    assert "replay30" in out and "6 + 10" in out and "282 steps" in out and "nothing was started" in out
    assert not (tmp_path / "none").exists()


WORDS = ("concepts", "--config", "smoke", "--model", "v3", "--suite", "retain", "--seeds", "2")


def test_the_command_writes_numbers_tables_and_a_page(commands):
    words = ("--config", "smoke", "--model", "v3", "--suite", "compose", "--seeds", "2", "--name", "small")
    done = commands.run("tournament", "concepts", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = commands.results / "concepts" / "small"
    document = json.loads((folder / "concepts.json").read_text())
    assert [arm["arm"] for arm in document["arms"]] == [arm.name for arm in arms_of(("compose",))]
    assert all(len(arm["stages"]) == max(1, len(ARMS[arm["arm"]].stages)) for arm in document["arms"])
    assert [group["group"] for group in document["comparisons"]] == ["compose"] and len(document["claims"]) == 3
    assert "The hard questions" in done.stdout and "composition jointly" in (folder / "report.html").read_text()
    lines = commands.run("hamner", "runs").stdout.splitlines()
    assert any("concepts" in line and "small" in line for line in lines)
    page = commands.run("hamner", "report", "concepts/small")
    assert page.returncode == 0 and str(folder / "report.html") in page.stdout, page.stderr


@pytest.mark.slow
def test_experiments_that_are_killed_three_times_have_the_same_table(commands):
    whole = commands.run("tournament", *WORDS, "--name", "whole", timeout=900)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    killed = commands.results / "concepts" / "killed"
    words = ("tournament", *WORDS, "--name", "killed")
    for finished in (2, 5, 9):
        process = commands.start(*words, start_new_session=True)
        _wait_for(lambda n=finished: _outcomes(killed) >= n, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        words = ("tournament", "concepts", "--resume", "--name", "killed")
    ended = commands.run(*words, timeout=900)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    tables = [_table(commands.results / "concepts" / name) for name in ("whole", "killed")]
    assert tables[0] == tables[1] and len(tables[0]["claims"]) == 5
    assert (killed / "report.html").is_file() and not list(killed.glob("*/checkpoints/step_*"))
    again = commands.run(*words)  # finished: it prints the tables and trains nothing
    assert again.returncode == 0 and "verdict" in again.stdout
    other = commands.run("tournament", "concepts", "--resume", "--name", "killed", "--model", "v2")
    assert other.returncode == 2 and "v2" in other.stderr


def _outcomes(folder):
    if not (folder / LEDGER).is_file():
        return 0
    return read_ledger_as(folder, lambda ledger: len(ledger["rounds"][0]["outcomes"]))


def _wait_for(is_there, process, seconds=600):
    end = time.monotonic() + seconds
    while not is_there():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.1)


def _table(folder):
    """concepts.json without what another run has otherwise: its name, and seconds."""
    document = json.loads((folder / "concepts.json").read_text())
    document.pop("run")
    for arm in document["arms"]:
        arm.pop("seconds")
    return document
