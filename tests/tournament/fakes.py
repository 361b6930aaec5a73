"""Contestants whose losses are known, for playing the real scheduler and the real Tuner: no torch, quick steps."""

import json
import os
import signal
from pathlib import Path

from ray import tune
from ray.tune.schedulers import TrialScheduler

ENDS = (2, 4, 6)  # steps at which the rounds end


def fake_trial():
    """A class made inside a function: Ray sends it by value, so workers need not import this file."""

    class Fake(tune.Trainable):
        """row: losses of the rounds (NaN as "nan"), die: step at which the process is killed once."""

        def setup(self, config):
            self.row = config["row"]
            self.name = f"{self.row['contestant']}-{self.row['seed']}"
            self.step_count, self.round, self.reported = 0, self.row["round"], False

        def step(self):
            if self.reported:
                self.round, self.reported = self.round + 1, False
            self.step_count += 1
            folder = Path(self.row["folder"])
            note = folder / f"killed-{self.name}"
            if self.row.get("die") == self.step_count and not note.exists():
                note.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            with (folder / f"steps-{self.name}").open("a") as file:
                file.write(f"{self.step_count}\n")
            self.reported = self.step_count == ENDS[self.round]
            facts = {"step": self.step_count, "round": self.round, "round_done": self.reported}
            if not self.reported:
                return facts
            loss = float(self.row["losses"][self.round])
            outcome = {"heldout_loss": loss, "factor": 1, "rows": 1, "facts": {}}
            if loss != loss:
                return facts | {"failure": "diverged", "reason": "NaN"}
            return facts | {"outcome": json.dumps(outcome)}

        def save_checkpoint(self, checkpoint_dir):
            Path(checkpoint_dir, "s.json").write_text(json.dumps([self.step_count, self.round, self.reported]))

        def load_checkpoint(self, checkpoint_dir):
            self.step_count, self.round, self.reported = json.loads(Path(checkpoint_dir, "s.json").read_text())

        def reset_config(self, new_config):
            self.setup(new_config)
            return True

    return Fake


class Together(TrialScheduler):
    """Several brackets in one Tuner, each with a scheduler of its own: their rows say "league"."""

    def __init__(self, schedulers):
        super().__init__()
        self.of = schedulers

    def _scheduler(self, trial):
        return self.of[trial.config["row"].get("league", 0)]

    def __getstate__(self):
        return {}

    def set_search_properties(self, metric, mode, **spec):
        return True

    def on_trial_add(self, controller, trial):
        self._scheduler(trial).on_trial_add(controller, trial)

    def on_trial_result(self, controller, trial, result):
        return self._scheduler(trial).on_trial_result(controller, trial, result)

    def on_trial_error(self, controller, trial):
        self._scheduler(trial).on_trial_error(controller, trial)

    def on_trial_complete(self, controller, trial, result):
        pass

    def on_trial_remove(self, controller, trial):
        pass

    def choose_trial_to_run(self, controller):
        return next((t for s in self.of if (t := s.choose_trial_to_run(controller)) is not None), None)

    def debug_string(self):
        return ""


def play(brackets, rows, folder, *, reuse=True, told=None, cpus=1.0):
    """The rows' runs, starting in their order, through a real Tuner with the project's scheduler."""
    from tournament.bracket import Bracket, Run
    from tournament.scheduler import EliminationScheduler, Plan

    brackets = [brackets] if isinstance(brackets, Bracket) else brackets
    plans = [
        Plan(
            {Run(r["contestant"], r["seed"]): -float(i) for i, r in enumerate(rows) if r.get("league", 0) == league},
            lambda run, share: {"CPU": cpus},
            lambda *facts: told.append(facts) if told is not None else None,
            lambda *facts: None,
        )
        for league in range(len(brackets))
    ]
    tune.Tuner(
        tune.with_resources(fake_trial(), {"cpu": cpus}),
        param_space={"row": tune.grid_search(rows)},
        tune_config=tune.TuneConfig(
            scheduler=Together([EliminationScheduler(*pair) for pair in zip(brackets, plans, strict=True)]),
            metric="step",
            mode="max",
            reuse_actors=reuse,
        ),
        run_config=tune.RunConfig(
            storage_path=str(folder / "ray"),
            name="x",
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=1),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=None),
        ),
    ).fit()
