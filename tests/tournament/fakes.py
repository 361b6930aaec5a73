"""Contestants whose losses are known, for playing the real scheduler and the real Tuner: no torch, quick steps.

play        through a real Tuner, in processes
play_fake   through the real scheduler with a stand-in for Tune, in this process
"""

import json
import os
import signal
from collections import deque
from contextlib import nullcontext
from pathlib import Path

from ray import tune
from ray.tune import PlacementGroupFactory
from ray.tune.schedulers import TrialScheduler

from tournament.bracket import Bracket, Outcome, Run
from tournament.scheduler import EliminationScheduler, Hooks
from tournament.tuner import first_rounds

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
            (folder / f"process-{self.name}").write_text(str(os.getpid()))
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


class FakeTrial:
    """As much of a Tune trial as the scheduler looks at."""

    def __init__(self, run, status="PENDING", gpu=0.0, retries=0):
        self.run, self.status, self.is_saving, self.retries = run, status, False, retries
        self.config = {"row": {"contestant": run.contestant, "seed": run.seed}}
        self.placement_group_factory = PlacementGroupFactory([{"CPU": 1} | ({"GPU": gpu} if gpu else {})])

    def set_config(self, config):
        self.config = config

    def should_recover(self):
        return self.retries > 0

    def get_pickled_error(self):
        return KeyError("x")


class FakeTune:
    """As much of Tune's controller as the scheduler sees: slots, statuses, one result at a time in random order."""

    STATUS = {"CONTINUE": "RUNNING", "PAUSE": "PAUSED", "STOP": "TERMINATED"}  # noqa: RUF012 (never altered)

    def __init__(self):
        self.stopped = []  # contestants
        self.pending = 0

    def stop_trial(self, trial):
        self.pending -= trial.status == "PENDING"
        trial.status = "TERMINATED"
        self.stopped.append(trial.run.contestant)

    def play(self, scheduler, trials, result, rng, *, slots=2, most_pending=200, measure=nullcontext):
        """result: what a trial reports. measure: a context around each call of the scheduler.

        most_pending: trials that wait to be started; as Tune does, others are added as these start.
        """
        to_come, place = deque(trials), {trial.run: number for number, trial in enumerate(trials)}
        running = []
        while True:
            running = sorted((t for t in running if t.status == "RUNNING"), key=lambda trial: place[trial.run])
            while to_come and self.pending < most_pending:
                self.pending += 1
                scheduler.on_trial_add(self, to_come.popleft())
            while len(running) < slots:
                with measure():
                    trial = scheduler.choose_trial_to_run(self)
                if trial is None:
                    break
                self.pending -= trial.status == "PENDING"
                trial.status = "RUNNING"
                running.append(trial)
            if not running:
                return
            trial = rng.choice(running)
            report = result(trial)
            with measure():
                answer = scheduler.on_trial_result(self, trial, report)
            trial.status = self.STATUS[answer]


def play_fake(bracket, outcome, rng, *, slots=2, measure=nullcontext, record=lambda *facts: None):
    """A whole league, one stand-in for a Tuner after the other; returns how many there were.

    outcome(run, round): what it reports there. record: as of Hooks.
    """
    tuners = 0

    def result(trial):
        index = bracket.next_round(trial.run)
        if index is None:  # Tune lets it run until it reports
            return {"round": 0}
        return {"round": index, "round_done": True, "outcome": json.dumps(vars(outcome(trial.run, index)))}

    while not bracket.is_over():
        with measure():
            rounds = first_rounds(bracket)
        cost = {run: bracket.flops[run.contestant] for run in rounds}
        hooks = Hooks(cost, lambda run, share: {}, record, lambda *facts: None)
        trials = [FakeTrial(run) for run in rounds]
        tuners += 1
        FakeTune().play(EliminationScheduler(bracket, hooks), trials, result, rng, slots=slots, measure=measure)
    return tuners


def documents(rng, loss, count):
    """Held-out losses of so many documents of two sources."""
    shares = {"fineweb_edu": (0.7, 60), "sft": (0.3, 20)}  # of the mix, tokens of a document
    return {
        source: {
            "share": share,
            "nats": [tokens * rng.gauss(loss, 0.3) for _ in range(count)],
            "tokens": [tokens] * count,
        }
        for source, (share, tokens) in shares.items()
    }


def random_outcome(bracket, rng, *, worse=0.0, seed_sd=0.03, count=0):
    """Outcomes for play_fake: each contestant worse than the one before, documents of so many a source."""
    place = {name: number for number, name in enumerate(bracket.flops)}

    def outcome(run, index):
        loss, factor = (
            5 - 0.5 * index + worse * place[run.contestant] + rng.gauss(0, seed_sd),
            bracket.rounds[index].factor,
        )
        rows = bracket.rules.rows * factor
        return Outcome(loss, factor=factor, rows=rows, documents=documents(rng, loss, count * factor) if count else {})

    return outcome


def play(brackets, rows, folder, *, reuse=True, record=None, cpus=1.0):
    """The rows' runs, starting in their order, through a real Tuner with the project's scheduler."""
    brackets = [brackets] if isinstance(brackets, Bracket) else brackets
    hooks = [
        Hooks(
            {Run(r["contestant"], r["seed"]): -float(i) for i, r in enumerate(rows) if r.get("league", 0) == league},
            lambda run, share: {"CPU": cpus},
            record or (lambda *facts: None),
            lambda *facts: None,
        )
        for league in range(len(brackets))
    ]
    tune.Tuner(
        tune.with_resources(fake_trial(), {"cpu": cpus}),
        param_space={"row": tune.grid_search(rows)},
        tune_config=tune.TuneConfig(
            scheduler=Together([EliminationScheduler(*pair) for pair in zip(brackets, hooks, strict=True)]),
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
