"""The scheduler through the real Tuner, with contestants whose losses are known: no torch, milliseconds a step."""

import json
import os
import signal
from pathlib import Path

import pytest
import ray
from ray import tune

from tournament.rounds import Bracket
from tournament.scheduler import EliminationScheduler

ENDS = (2, 4, 6)    # steps at which the rounds end


def fake_contestant():
    """A class made inside a function: Ray sends it by value, so workers need not import this file."""

    class Fake(tune.Trainable):
        """Loss = its number; number 7 dies once, by kill -9; number 0 reports NaN."""

        def setup(self, config):
            self.number, self.folder = int(config["contestant"][1:]), Path(config["folder"])
            self.step_count, self.round, self.reported = 0, 0, False

        def step(self):
            if self.reported:
                self.round, self.reported = self.round + 1, False
            self.step_count += 1
            note = self.folder / f"killed{self.number}"
            if self.number == 7 and self.step_count == 2 and not note.exists():
                note.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            with (self.folder / f"steps{self.number}").open("a") as file:
                file.write(f"{self.step_count}\n")
            done = self.step_count == ENDS[self.round]
            self.reported = done
            loss = float("nan") if self.number == 0 else float(self.number)
            return {"step": self.step_count, "round": self.round, "round_done": done, "heldout_loss": loss}

        def save_checkpoint(self, checkpoint_dir):
            Path(checkpoint_dir, "s.json").write_text(json.dumps([self.step_count, self.round, self.reported]))

        def load_checkpoint(self, checkpoint_dir):
            self.step_count, self.round, self.reported = json.loads(Path(checkpoint_dir, "s.json").read_text())

        def reset_config(self, new_config):
            self.setup(new_config)
            return True

    return Fake


@pytest.fixture(scope="module")
def cluster():
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.mark.parametrize("reuse", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_ten_five_three_one_with_a_killed_process_and_a_nan(cluster, tmp_path, monkeypatch, reuse):
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "0")
    names = [f"v{i}" for i in range(10)]
    keep = [5, 3, 1] if reuse else [3, 2, 1]
    bracket, told = Bracket(names, keep, dict.fromkeys(names, 1.0)), []
    tune.Tuner(
        tune.with_resources(fake_contestant(), {"cpu": 1}),
        param_space={"contestant": tune.grid_search(names), "folder": str(tmp_path)},
        tune_config=tune.TuneConfig(
            scheduler=EliminationScheduler(bracket, lambda n, o, d: told.append((n, d))), metric="step",
            mode="max", reuse_actors=reuse),
        run_config=tune.RunConfig(
            storage_path=str(tmp_path / "ray"), name="x", verbose=0,
            failure_config=tune.FailureConfig(max_failures=1),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1)),
    ).fit()
    assert (tmp_path / "killed7").exists()
    assert [sorted(played) for played in bracket.outcomes] == [
        names, [f"v{i}" for i in range(1, keep[0] + 1)], [f"v{i}" for i in range(1, keep[1] + 1)]]
    assert bracket.outcomes[0]["v0"].failure == "diverged"
    assert bracket.winner() == "v1"
    assert len(told) == 10 + keep[0] + keep[1]
    # nobody trained a step twice, survivors trained all and the cut stopped at their round's end
    assert (tmp_path / "steps1").read_text().split() == list("123456")
    assert (tmp_path / "steps9").read_text().split() == list("12")
