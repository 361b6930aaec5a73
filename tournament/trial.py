"""Ray Tune trial: open one run, advance it, report it. What a run does stands in training.py.

Tune is given a note of the round as its checkpoint: weights, optimizer and data position are in our own format in
RUN/<contestant>/, so that a league can be resumed from its folder alone.
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
from hamner.runs.cluster import threads_here
from hamner.runs.files import read_json, write_json
from hamner.runs.stopping import STOP
from hamner.training.trainer import Diverged
from tournament.bracket import Run
from tournament.budget import Budget, budgets, probe_steps
from tournament.entrants import entrants, flops_per_token, run_name
from tournament.league import EVAL_ROWS
from tournament.learning_rate_probe import PROBE_ROUND, RATE_FACTOR, best_power, next_power
from tournament.memory_fallbacks import FILE_NAME, NeedsMoreOfTheCard, fallback_names, needed_share
from tournament.training import OUT_OF_MEMORY, Stopped, Training

PROBE_LOSSES = "learning_rate.json"  # in the contestant's folder: power of RATE_FACTOR -> held-out loss


class Trial(tune.Trainable):
    """config: {"row": {run, contestant, seed, round, waiting, learning_rate, attempt}}.

    round: 0-based, the one to begin with. waiting: the run stands at that round's end and its result is known.
    """

    training = Training

    def setup(self, config: dict[str, Any]) -> None:
        row = config["row"]
        self._league, self._name = Path(row["run"]), row["contestant"]
        self._config = parse(Config, read_json(self._league / "config.json")["config"], "config.json")
        torch.set_num_threads(threads_here(self._config.compute.threads, self._config.compute.device))
        self._row, self._round, self._is_reported = row, int(row["round"]), bool(row["waiting"])
        self._is_waiting, self._probe_seconds = self._is_reported, 0.0
        contestants = entrants(self._config)
        self._contestant = contestants[self._name]
        self._folder = self._league / run_name(Run(self._name, int(row["seed"])), contestants)
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
        if self._is_waiting:  # nothing to do until its round is decided
            self._is_waiting = False
            return facts
        try:
            facts |= self._probe() if self._round == PROBE_ROUND else self._train()
            facts |= self._saved_for_a_stop(facts)
        except Stopped:
            facts |= {"stopped": True}
        except Diverged as error:
            facts |= {"failure": "diverged", "reason": str(error)}
        except NeedsMoreOfTheCard:
            facts |= {"wants_share": needed_share(self._folder / FILE_NAME)}
        except OUT_OF_MEMORY as error:
            facts |= {"failure": "oom", "reason": self._out_of_memory(str(error))}
            if self._round == PROBE_ROUND:
                facts["probed"] = json.dumps({"tried": {}, "learning_rate": None})
        facts["round"] = self._round
        if self._training and self._training.is_open:
            facts["step"] = self._training.trainer.step_count
        return facts

    def _saved_for_a_stop(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Where the league was asked to stop just after a checkpoint was begun: wait until it is on disk."""
        if facts["round_done"] or not (self._league / STOP).exists():
            return {}
        if self._training:
            self._training.session.wait()
        return {"stopped": True}

    def _out_of_memory(self, message: str) -> str:
        """Return one line: the allocator's message, the peak, and what had been tried."""
        peak = [f"peak {self._training.peak_gib():.2f} GiB"] if self._training else []
        tried = [f"tried {name}" for name in fallback_names(self._folder / FILE_NAME)]
        return "; ".join([(message.splitlines() or [""])[0][:200], *peak, *tried])

    def _train(self) -> dict[str, Any]:
        if self._training is None:
            budget = budgets(self._config, flops_per_token(self._config, entrants(self._config)))[self._name]
            self._training = self._open(self._folder, budget, self._row["learning_rate"])
        training, reached = self._training, self._training.progress.round
        if reached is not None and reached > self._round:  # Tune's note, or the driver's, may be older than the run
            self._round, self._is_reported = reached, False
        if self._is_reported and training.progress.latest.factor >= self._requested_factor():
            self._round, self._is_reported = self._round + 1, False  # Tune calls again only when the run continues
        is_over = training.advance(self._round)
        if is_over:
            training.evaluate_on_more_rows(self._requested_factor())
        self._is_reported = is_over
        # as text: Tune flattens what is nested
        return {"round_done": is_over} | ({"outcome": json.dumps(training.result())} if is_over else {})

    def _open(self, folder: Path, budget: Budget, rate: float) -> Training:
        return self.training(
            self._config,
            self._league,
            folder,
            self._contestant,
            int(self._row["seed"]),
            budget,
            rate * self._config.lr_scale,
            int(self._row["attempt"]),
            self._folder / FILE_NAME,
        )

    def _requested_factor(self) -> int:
        """Return how many times the config's held-out rows this round's end is evaluated on."""
        requests = self._league / EVAL_ROWS
        return int(read_json(requests).get(str(self._round), 1)) if requests.is_file() else 1

    def _probe(self) -> dict[str, Any]:
        """Train a short while at the next learning rate; report the best when there is none left to try."""
        path = self._folder / PROBE_LOSSES
        losses = {int(power): loss for power, loss in read_json(path).items()} if path.is_file() else {}
        power = next_power(losses)
        if power is None:
            return self._probe_result(losses)
        folder, began = self._folder / f"probe{power:+}", time.perf_counter()
        try:
            training = self._open(folder, Budget((probe_steps(self._config),)), self._rate(power))
            try:
                while not training.advance(0):
                    pass
            except Stopped:
                training.close()
                raise
            losses[power] = training.progress.latest.loss
            training.close()
        except Diverged:
            losses[power] = None
        self._probe_seconds += time.perf_counter() - began
        write_json(path, {str(power): loss for power, loss in losses.items()})
        shutil.rmtree(folder, ignore_errors=True)
        return {"step": len(losses)}

    def _probe_result(self, losses: dict[int, float | None]) -> dict[str, Any]:
        for leftover in self._folder.glob("probe*"):  # of a kill just after its loss was written
            shutil.rmtree(leftover, ignore_errors=True)
        best = best_power(losses)
        result = {
            "tried": {str(self._rate(power)): loss for power, loss in sorted(losses.items())},
            "learning_rate": None if best is None else self._rate(best),
            "busy_seconds": self._probe_seconds,
        }
        failure = {"failure": "diverged", "reason": "at every learning rate tried"} if best is None else {}
        return {"round_done": True, "probed": json.dumps(result), "step": probe_steps(self._config)} | failure

    def _rate(self, power: int) -> float:
        """Return a learning rate in the config's units, without lr_scale."""
        return float(self._config.tournament.learning_rate * RATE_FACTOR**power)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        note = {"round": self._round, "reported": self._is_reported}
        (Path(checkpoint_dir) / "round.json").write_text(json.dumps(note), encoding="utf-8")

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        note = json.loads((Path(checkpoint_dir) / "round.json").read_text(encoding="utf-8"))
        self._round, self._is_reported, self._is_waiting = note["round"], note["reported"], False

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
