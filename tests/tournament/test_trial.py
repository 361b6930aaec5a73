"""A run under Tune at awkward moments: notes older than the run, failures, a second look; no Ray is started."""

import copy
import json
import time

import pandas
import pytest
import torch

from hamner.config.load import load_config
from hamner.runs.folders import write_config
from hamner.training import checkpoint
from hamner.training.trainer import Diverged
from tournament.trial import EVAL_ROWS, Trial

NAME = "v01_dense_small"
WORDS = ["report=[]", "steps=[10, 10]", "keep=[5, 1]", "checkpoint_every=5"]


@pytest.fixture
def start(league, tmp_path):
    """Opens a trial of NAME, with Tune's note of an earlier one or without."""

    def opened(round_index=0, *words, note=None, waiting=False):
        if not (tmp_path / "config.json").exists():
            (tmp_path / "data").symlink_to(league / "data")
            write_config(tmp_path, load_config("smoke", [*WORDS, *words]), {"kind": "tournament"})
        trial = Trial(
            {
                "row": {
                    "run": str(tmp_path),
                    "contestant": NAME,
                    "seed": 0,
                    "round": round_index,
                    "waiting": waiting,
                    "learning_rate": 3e-4,
                    "attempt": 1,
                }
            }
        )
        if note:
            trial.load_checkpoint(str(note))
        return trial

    return opened


def _to_the_end(trial):
    while not (told := trial.step())["round_done"]:
        pass
    return told


def test_a_run_started_again_from_an_old_note_goes_on_in_the_round_it_is_in(start):
    trial = start()
    _to_the_end(trial)
    trial.step()  # five steps into round 2
    progress = copy.deepcopy(trial._training.progress)
    trial.cleanup()
    again = start()  # as Tune starts it when it has no note: in round 1
    told = again.step()
    assert (told["round"], told["step"], told["round_done"]) == (1, 20, True)
    after = again._training.progress
    assert after.start_loss == progress.start_loss and after.grid[: len(progress.grid)] == [
        (step, pytest.approx(seconds), loss) for step, seconds, loss in progress.grid
    ]
    outcome = json.loads(told["outcome"])
    assert outcome["facts"]["steps"] == 20 and len(after.losses) == 10
    again.cleanup()


def test_a_failure_belongs_to_the_round_it_happens_in(start, monkeypatch):
    trial = start()
    assert _to_the_end(trial)["round"] == 0

    def diverge(*_):
        raise Diverged("the loss is nan")

    monkeypatch.setattr(trial._training.trainer, "step", diverge)
    told = trial.step()
    assert (told["failure"], told["round"]) == ("diverged", 1)
    trial.cleanup()


def test_a_run_that_waits_does_nothing_until_it_goes_on(start, tmp_path):
    trial = start()
    _to_the_end(trial)
    trial.cleanup()
    waiting = start(0, waiting=True)
    assert waiting.step() == {"round": 0, "step": 0, "round_done": False}
    assert waiting._training is None
    assert waiting.step()["round"] == 1  # it is only called again when it goes on
    waiting.cleanup()


def test_a_second_look_that_fails_leaves_the_first_one_standing(start, tmp_path, monkeypatch):
    trial = start()
    first = json.loads(_to_the_end(trial)["outcome"])
    (tmp_path / EVAL_ROWS).write_text('{"0": 2}')

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(trial._training, "evaluate", full)
    told = json.loads(trial.step()["outcome"])
    assert (told["factor"], told["rows"], told["heldout_loss"]) == (2, first["rows"], first["heldout_loss"])
    monkeypatch.undo()
    assert trial.step()["round"] == 1  # and is not tried for ever
    trial.cleanup()


def test_memory_that_ends_in_the_probe_is_a_result(start, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    trial = start(-1)
    monkeypatch.setattr(trial, "training", full)
    told = trial.step()
    assert told["failure"] == "oom" and "2 GiB" in told["reason"]
    assert json.loads(told["probed"]) == {"tried": {}, "learning_rate": None}
    trial.cleanup()


def test_a_killed_probe_goes_on_with_the_rate_it_was_at(start, tmp_path):
    whole = start(-1)
    while "probed" not in (told := whole.step()):
        pass
    wanted = json.loads(told["probed"])
    whole.cleanup()
    noted = tmp_path / NAME / "learning_rate.json"
    losses = json.loads(noted.read_text())
    noted.write_text(json.dumps({"0": losses["0"]}))  # killed just after the first rate
    again = start(-1)
    while "probed" not in (told := again.step()):
        pass
    found = json.loads(told["probed"])
    assert found["tried"] == wanted["tried"] and found["learning_rate"] == wanted["learning_rate"]
    assert len(found["tried"]) >= 3 and found["busy_seconds"] > 0
    assert not list((tmp_path / NAME).glob("probe*"))
    again.cleanup()


def test_weights_are_kept_and_what_a_killed_prune_left_is_removed(start, tmp_path):
    trial = start()
    _to_the_end(trial)
    trial.cleanup()
    folder = checkpoint.newest(tmp_path / NAME / "checkpoints").path
    checkpoint.keep_weights(folder)
    checkpoint.keep_weights(folder)
    tokenizer_files = {"tokenizer.json", "tokenizer_config.json"}
    assert {p.name for p in folder.iterdir()} == {"model.safetensors", "state.json", *tokenizer_files}
    checkpoint.load(folder).build()
    (folder / "state.json").unlink()
    checkpoint.keep_weights(folder)
    assert not folder.exists()


def test_a_write_that_failed_does_not_keep_the_run_locked(start, monkeypatch):
    trial = start(0, "checkpoint_every=20")
    trial.step()

    def full(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint, "save", full)
    trial._training.save()
    with pytest.raises(OSError, match="disk full"):
        trial.cleanup()
    start().cleanup()  # at once, not after a minute of waiting for the lock


def test_the_speed_of_a_row_is_that_of_its_training_steps(start, monkeypatch, tmp_path):
    trial = start(0, "log_every=1", "cooldown=0.2")
    looks = trial.training.evaluate

    def slowly(self, factor=1):
        time.sleep(1.0)
        return looks(self, factor)

    monkeypatch.setattr(trial.training, "evaluate", slowly)
    _to_the_end(trial)
    time.sleep(1.0)  # for the others
    _to_the_end(trial)
    trial.cleanup()
    rows = pandas.read_csv(tmp_path / NAME / "metrics.csv")
    speeds = rows["tokens_per_second"][1:]  # without the first step
    assert len(rows) == 20 and speeds.min() > speeds.median() / 8  # a second of waiting would make it a hundredth
