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
from tournament import training as trial_training
from tournament.trial import Trial

NAME = "v01_dense_small"
WORDS = ["report=[]", "steps=[10, 10]", "keep=[5, 1]", "checkpoint_every=5"]


@pytest.fixture
def start(league, tmp_path):
    """Opens a trial of NAME, as Tune starts it with this row."""

    def opened(round_index=0, *words, waiting=False, factor=1):
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
                    "factor": factor,
                    "learning_rate": 3e-4,
                    "attempt": 1,
                }
            }
        )
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
    told = waiting.step()  # it is only called again when it goes on, and says once more where it stands
    assert (told["round"], told["round_done"], told["step"]) == (0, True, 10)
    assert waiting.step()["round"] == 1
    waiting.cleanup()


def test_a_run_started_for_more_rows_looks_at_them_and_stays_in_its_round(start):
    trial = start()
    first = json.loads(_to_the_end(trial)["outcome"])
    trial.cleanup()
    again = start(0, factor=2)
    told = again.step()
    outcome = json.loads(told["outcome"])
    assert (told["round"], told["step"], told["round_done"]) == (0, 10, True)
    assert (outcome["factor"], outcome["rows"]) == (2, 2 * first["rows"])
    assert outcome["heldout_loss"] != first["heldout_loss"]
    told = again.step()
    assert (told["round"], json.loads(_to_the_end(again)["outcome"])["factor"]) == (1, 1)
    again.cleanup()


def test_a_second_look_that_fails_leaves_the_first_one_standing(start, monkeypatch):
    trial = start()
    first = json.loads(_to_the_end(trial)["outcome"])
    trial.cleanup()

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    again = start(0, factor=2)
    monkeypatch.setattr(again.training, "evaluate", full)
    told = json.loads(again.step()["outcome"])
    assert (told["factor"], told["rows"], told["heldout_loss"]) == (2, first["rows"], first["heldout_loss"])
    monkeypatch.undo()
    assert again.step()["round"] == 1  # and is not tried for ever
    again.cleanup()


def test_memory_that_ends_in_the_probe_is_a_result(start, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    trial = start(-1)
    monkeypatch.setattr(trial, "training", full)
    told = trial.step()
    assert told["failure"] == "oom" and "2 GiB" in told["reason"]
    assert json.loads(told["probed"]) == {"tried": {}, "learning_rate": None}
    trial.cleanup()


@pytest.mark.slow
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


def _probed(trial):
    while "probed" not in (told := trial.step()):
        pass
    trial.cleanup()
    return json.loads(told["probed"])


@pytest.mark.mended("rates were chosen on the ranking's own held-out text")
def test_rates_are_chosen_on_held_out_documents_that_the_ranking_does_not_read(start, monkeypatch):
    read = {}
    for evaluator, name in ((trial_training.Evaluator, "evaluate"),):
        whole = getattr(evaluator, name)

        def noted(self, hamner, step, factor=1, whole=whole):
            rows = {tuple(row.tolist()) for count in (16, 64) for row in self.text("fineweb_edu", count).rows}
            read.setdefault(stage[0], set()).update(rows)
            return whole(self, hamner, step, factor)

        monkeypatch.setattr(evaluator, name, noted)
    stage = ["probe"]
    _probed(start(-1, "lr=probe"))
    stage[0] = "ranking"
    trial = start()
    _to_the_end(trial)
    trial.cleanup()
    assert len(read["probe"]) >= 8 and len(read["ranking"]) >= 16
    assert not read["probe"] & read["ranking"]


@pytest.mark.mended("the search trained an annealed copy and ranked by the loss before it")
def test_the_search_ranks_annealed_copies_where_the_league_does(start, monkeypatch):
    annealed, evaluate = [], trial_training.Training.evaluate

    def noted(self, factor=1):
        result = evaluate(self, factor)
        annealed.append((self.trainer.step_count, result.loss))
        return result

    monkeypatch.setattr(trial_training.Training, "evaluate", noted)
    search = _probed(start(-1, "lr=probe", "cooldown=0.2"))
    ends = [loss for step, loss in annealed if step == 10]  # the copies' ends; the runs themselves stop at the fork
    assert sorted(search["tried"].values()) == sorted(ends) and len(ends) == len(search["tried"])


@pytest.mark.mended("the rate was one of a grid of threes")
def test_a_search_ends_at_the_minimum_of_a_parabola_and_at_the_same_from_a_start_three_times_away(start, tmp_path):
    losses = {"-2": 6.0, "-1": 5.1, "0": 5.0, "1": 5.3, "2": 7.0}
    trial = start(-1, "lr=probe")
    (tmp_path / NAME / "learning_rate.json").write_text(json.dumps(losses))
    search = _probed(trial)
    assert search["learning_rate"] == pytest.approx(3e-4 * 3 ** (-0.2 / 0.8))
    assert search["notch_cost"] == pytest.approx(0.2)
    shifted = {"-1": 6.0, "0": 5.1, "1": 5.0, "2": 5.3}
    rows = [{"name": NAME, "base": NAME, "learning_rate": 1e-4}]
    write_config(tmp_path, load_config("smoke", [*WORDS, "lr=probe"], extra={"league": rows}), {"kind": "tournament"})
    other = start(-1)
    (tmp_path / NAME / "learning_rate.json").write_text(json.dumps(shifted))
    assert _probed(other)["learning_rate"] == search["learning_rate"]  # to the last digit


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
