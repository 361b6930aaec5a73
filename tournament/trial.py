"""One run under Ray Tune: open it, advance it, report it. What a run does stands in training.py.

What Tune is given as a checkpoint is only a note of the round: weights, optimizer and data position are in our
own format in RUN/<contestant>/, so a league can be resumed by anybody who finds the folder.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from ray import tune

from hamner.config.load import parse
from hamner.config.schema import Config
from hamner.runs.files import read_json, write_json
from hamner.training.trainer import Diverged
from tournament.bracket import Run
from tournament.budget import Budget, budgets, probe_steps
from tournament.entrants import entrants, flops_per_token, run_name
from tournament.league import EVAL_ROWS
from tournament.learning_rate_probe import PROBE_ROUND, RATE_FACTOR, best_power, next_power
from tournament.training import LADDER, NeedsMoreOfTheCard, Training

PROBED = "learning_rate.json"  # in the contestant's folder: power of STEP -> held-out loss


class Trial(tune.Trainable):
    """config: {"row": {run, contestant, seed, round, waiting, learning_rate, attempt}}.

    round: the 0-based one to begin with. waiting: it stands at that round's end, and what it brought is known.
    """

    training = Training

    def setup(self, config: dict[str, Any]) -> None:
        config = config["row"]
        self._league, self._name = Path(config["run"]), config["contestant"]
        self._config = parse(Config, read_json(self._league / "config.json")["config"], "config.json")
        torch.set_num_threads(self._config.compute.threads)
        self._given, self._round, self._reported = config, int(config["round"]), bool(config["waiting"])
        self._waiting, self._probing = self._reported, 0.0
        contestants = entrants(self._config)
        self._contestant = contestants[self._name]
        self._folder = self._league / run_name(Run(self._name, int(config["seed"])), contestants)
        # an orphan of a killed driver may still be writing
        self._lock = FileLock(self._folder / ".lock", thread_local=False)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock.acquire(timeout=60)
        self._training: Training | None = None

    def step(self) -> dict[str, Any]:
        """Run to the next checkpoint or the end of the round. Divergence and lack of memory are results.

        Anything else is raised: Tune starts the run again from its newest checkpoint.
        """
        facts: dict[str, Any] = {"round": self._round, "step": 0, "round_done": False}
        if self._waiting:  # nothing to do until its round is decided
            self._waiting = False
            return facts
        try:
            facts |= self._probe() if self._round == PROBE_ROUND else self._train()
        except Diverged as error:
            facts |= {"failure": "diverged", "reason": str(error)}
        except NeedsMoreOfTheCard:
            facts |= {"wants_share": read_json(self._folder / LADDER)["rung"]["share"]}
        except (torch.OutOfMemoryError, MemoryError) as error:
            facts |= {"failure": "oom", "reason": self._out_of_memory(str(error))}
            if self._round == PROBE_ROUND:
                facts["probed"] = json.dumps({"tried": {}, "learning_rate": None})
        facts["round"] = self._round
        if self._training and self._training.trainer:
            facts["step"] = self._training.trainer.step_count
        return facts

    def _out_of_memory(self, told: str) -> str:
        """One line: what the allocator said, the peak, and what had been tried."""
        ladder = read_json(self._folder / LADDER)["taken"] if (self._folder / LADDER).is_file() else []
        peak = [f"peak {self._training.peak_gib():.2f} GiB"] if self._training else []
        return "; ".join([(told.splitlines() or [""])[0][:200], *peak, *(f"tried {taken['then']}" for taken in ladder)])

    def _train(self) -> dict[str, Any]:
        if self._training is None:
            budget = budgets(self._config, flops_per_token(self._config, entrants(self._config)))[self._name]
            self._training = self._open(self._folder, budget, self._given["learning_rate"])
        training, reached = self._training, self._training.progress["round"]
        if reached is not None and reached > self._round:  # Tune's note, or the driver's, may be older than the run
            self._round, self._reported = reached, False
        if self._reported and training.progress["latest"]["factor"] >= self._asked():
            self._round, self._reported = self._round + 1, False  # Tune only calls again when the run goes on
        done = training.advance(self._round)
        if done:
            training.look_again(self._asked())
        self._reported = done
        # as text: Tune flattens what is nested
        return {"round_done": done} | ({"outcome": json.dumps(training.result())} if done else {})

    def _open(self, folder: Path, budget: Budget, rate: float) -> Training:
        return self.training(
            self._config,
            self._league,
            folder,
            self._contestant,
            int(self._given["seed"]),
            budget,
            rate * self._config.lr_scale,
            int(self._given["attempt"]),
            self._folder / LADDER,
        )

    def _asked(self) -> int:
        """Held-out rows to evaluate on at the end of this round, in those of the config."""
        orders = self._league / EVAL_ROWS
        return int(read_json(orders).get(str(self._round), 1)) if orders.is_file() else 1

    def _probe(self) -> dict[str, Any]:
        """Try one learning rate for a short while; say so when there is none left to try."""
        noted = self._folder / PROBED
        losses = {int(k): v for k, v in read_json(noted).items()} if noted.is_file() else {}
        power = next_power(losses)
        if power is None:
            for left in self._folder.glob("probe*"):  # of a kill just after its loss was noted
                shutil.rmtree(left, ignore_errors=True)
            best = best_power(losses)
            found = {
                "tried": {str(self._rate(p)): loss for p, loss in sorted(losses.items())},
                "learning_rate": None if best is None else self._rate(best),
                "busy_seconds": self._probing,
            }
            failure = {"failure": "diverged", "reason": "at every learning rate tried"} if best is None else {}
            return {"round_done": True, "probed": json.dumps(found), "step": probe_steps(self._config)} | failure
        folder, began = self._folder / f"probe{power:+}", time.perf_counter()
        try:
            training = self._open(folder, Budget((probe_steps(self._config),)), self._rate(power))
            while not training.advance(0):
                pass
            losses[power] = training.progress["latest"]["loss"]
            training.close()
        except Diverged:
            losses[power] = None
        self._probing += time.perf_counter() - began
        write_json(noted, {str(p): loss for p, loss in losses.items()})
        shutil.rmtree(folder, ignore_errors=True)
        return {"step": len(losses)}

    def _rate(self, power: int) -> float:
        """In the config's units, without lr_scale."""
        return float(self._config.tournament.learning_rate * RATE_FACTOR**power)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        note = {"round": self._round, "reported": self._reported}
        (Path(checkpoint_dir) / "round.json").write_text(json.dumps(note), encoding="utf-8")

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        note = json.loads((Path(checkpoint_dir) / "round.json").read_text(encoding="utf-8"))
        self._round, self._reported, self._waiting = note["round"], note["reported"], False

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Become another run (on the CPU, where processes are reused)."""
        self.cleanup()
        self.setup(new_config)
        return True

    def cleanup(self) -> None:
        try:
            if self._training:
                self._training.close()
        finally:
            self._lock.release()
