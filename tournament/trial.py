"""Ray Tune trial: open one run, advance it, report it. What a run does stands in training.py.

Tune is given a note as its checkpoint, which nothing reads: weights, optimizer and data position are in our format in
RUN/<contestant>/, so that a league can be resumed from its folder alone.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from ray import tune

from hamner.config.load import parse
from hamner.config.schema import Config
from hamner.evaluation.heldout import Stretch
from hamner.runs.cluster import threads_here
from hamner.runs.compile_check import as_started
from hamner.runs.files import read_json, write_json
from hamner.runs.heartbeat import mark_at_work
from hamner.runs.lock import only_worker
from hamner.runs.stopping import STOP
from hamner.runs.watchdog import HANG_FILE, Watchdog
from hamner.training.out_of_memory import OUT_OF_MEMORY
from hamner.training.trainer import Diverged
from tournament.bracket import Run
from tournament.budget import Budget, budgets, probe_steps
from tournament.entrants import Contestant, entrants, flops_per_token, run_name
from tournament.evaluation import probe_stretch
from tournament.learning_rate_probe import PROBE_ROUND, RATE_FACTOR, next_power
from tournament.memory_fallbacks import FILE_NAME, NeedsMoreOfTheCard, fallback_names, needed_share
from tournament.rate_parabola import rate_minimum
from tournament.training import Stopped, Training

PROBE_LOSSES = "learning_rate.json"  # in the contestant's folder: power of RATE_FACTOR -> held-out loss
FOR_TRACKERS = ("heldout_loss", "train_loss", "tokens_per_second", "tokens", "flops")


class Trial(tune.Trainable):
    """config: {"row": {run, contestant, seed, round, factor, waiting, learning_rate, attempt}}.

    round: 0-based, the one to begin with. factor: times the config's held-out rows that its end is evaluated on.
    waiting: the run stands at that round's end and its result is known.
    """

    training = Training

    def setup(self, config: dict[str, Any]) -> None:
        row = config["row"]
        self._league, self._name = Path(row["run"]), row["contestant"]
        document = read_json(self._league / "config.json")
        self._config = as_started(parse(Config, document["config"], "config.json"), document)
        torch.set_num_threads(threads_here(self._config.compute.threads, self._config.compute.device))
        self._row, self._round, self._is_waiting = row, int(row["round"]), bool(row["waiting"])
        self._is_reported, self._probe_seconds = False, 0.0
        contestants = self.read_contestants(self._league, self._config)
        self._contestant = contestants[self._name]
        self._folder = self._league / run_name(Run(self._name, int(row["seed"])), contestants)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = ExitStack()
        # an orphan of a killed driver, or of a node that is cut off, may still be writing
        self._lock.enter_context(only_worker(self._folder / ".lock"))
        self._training: Training | None = None
        self._watchdog = Watchdog(self._folder / HANG_FILE, self._config.compute.hang_minutes)

    def read_contestants(self, league: Path, config: Config) -> Mapping[str, Contestant]:
        """All contestants of the league in a folder."""
        return entrants(config)

    def step(self) -> dict[str, Any]:
        """Run to the next checkpoint or the end of the round. Divergence and lack of memory are results.

        Anything else is raised: Tune starts the run again from its newest checkpoint.
        """
        facts: dict[str, Any] = {"round": self._round, "step": 0, "round_done": False}
        if self._is_waiting:  # nothing to do until its round is decided
            self._is_waiting = False
            return facts
        mark_at_work(self._folder, is_at_work=True)
        try:
            with self._watchdog:
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
        if self._training and (lines := self._training.take_lines()):
            facts["said"] = "\n".join(lines)
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
        if self._is_reported:
            self._round += 1  # Tune calls again only when the run continues; for anything else it starts it
        elif reached is not None and reached > self._round:  # what Tune was last told may be older than the run
            self._round = reached
        is_over = training.advance(self._round)
        if is_over:
            training.evaluate_on_more_rows(self._requested_factor())
        self._is_reported = is_over
        if not is_over:
            return {"round_done": False}
        result = training.result()
        # as text: Tune flattens what is nested; as numbers for the user's callbacks (tuner.CALLBACKS)
        values = result["facts"] | {"heldout_loss": result["heldout_loss"]}
        numbers = {key: values[key] for key in FOR_TRACKERS if values.get(key) is not None}
        return {"round_done": True, "outcome": json.dumps(result)} | numbers

    def _open(self, folder: Path, budget: Budget, rate: float, stretch: Stretch | None = None) -> Training:
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
            stretch=stretch,
        )

    def _requested_factor(self) -> int:
        """Return how many times the config's held-out rows this round's end is evaluated on."""
        return int(self._row["factor"]) if self._round == self._row["round"] else 1

    def _probe(self) -> dict[str, Any]:
        """Train a short while at the next learning rate; report the best when there is none left to try."""
        path = self._folder / PROBE_LOSSES
        losses = {int(power): loss for power, loss in read_json(path).items()} if path.is_file() else {}
        power = next_power(losses)
        if power is None:
            return self._probe_result(losses)
        folder, began = self._folder / f"probe{power:+}", time.perf_counter()
        try:
            length = Budget((probe_steps(self._config),))
            training = self._open(folder, length, self._rate(power), probe_stretch(self._config))
            try:
                while not training.advance(0) and training.progress.annealed is None:
                    pass  # where the league ranks annealed copies, so does the search
            except Stopped:
                training.close()
                raise
            losses[power] = training.result()["heldout_loss"]
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
        minimum = rate_minimum(losses)
        result = {
            "tried": {str(self._rate(power)): loss for power, loss in sorted(losses.items())},
            "learning_rate": None if minimum is None else self._rate(minimum.power),
            "notch_cost": minimum.notch_cost if minimum else None,
            "busy_seconds": self._probe_seconds,
        }
        failure = {"failure": "diverged", "reason": "at every learning rate tried"} if minimum is None else {}
        return {"round_done": True, "probed": json.dumps(result), "step": probe_steps(self._config)} | failure

    def _rate(self, power: float) -> float:
        """Return a learning rate in the config's units, without lr_scale, by the power of the factor from its start.

        Of twelve digits: a rate that two searches reach from different starts is then the same number.
        """
        start = self._contestant.learning_rate or self._config.tournament.learning_rate
        return float(f"{start * RATE_FACTOR**power:.12g}")

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        (Path(checkpoint_dir) / "round.json").write_text(json.dumps({"round": self._round}), encoding="utf-8")

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing to load: the row says which round comes, the run's own folder where it stands."""

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
            mark_at_work(self._folder, is_at_work=False)
            self._lock.close()
