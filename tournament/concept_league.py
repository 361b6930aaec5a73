"""Concept experiments as a league on disk: arms as contestants of one round without a cut, their ledger and result.

In: config, folder, arms. Out: the ledger, concepts.json. The runner is the tournament's: trials packed by Ray, a ledger
that is written before anything follows from it, resumed without deciding anything again.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from rich.console import Console

from hamner.config.cost import training_flops_per_token
from hamner.config.schema import Config, ModelConfig
from hamner.evaluation.statistics import accuracy
from hamner.runs.files import write_json
from hamner.runs.folders import step_folders
from hamner.training import checkpoint
from tournament.bracket import Bracket, Outcome, Rules, Run
from tournament.concept_arms import Arm
from tournament.concept_base import FOLDER
from tournament.concept_results import concept_results
from tournament.concept_trial import contestants
from tournament.entrants import Contestant
from tournament.league import League

RESULT = "concepts.json"


def runner_config(config: Config) -> Config:
    """The config as the tournament's runner reads it: batches of the size that the arms have, one shared rate."""
    own = config.concepts
    league = {"batch_size": own.batch_size, "seq_len": own.seq_len, "learning_rate": own.rate, "lr": "shared"}
    more = {"steps": (1,), "keep": (1,), "seconds": (), "budget": "tokens", "gradient_accumulation_steps": 1}
    return config.model_copy(update={"tournament": config.tournament.model_copy(update=league | more)})


def arm_flops(arm: Arm, config: Config, model: ModelConfig) -> float:
    """Training FLOPs of an arm: the runner starts the longest first."""
    tokens = sum(arm.steps(config)) * config.concepts.batch_size * config.concepts.seq_len
    return training_flops_per_token(model, config.concepts.seq_len) * tokens


def new_round(arms: tuple[Arm, ...], players: dict[str, Contestant], config: Config, model: ModelConfig) -> Bracket:
    """One round in which every arm plays to its end."""
    flops = {arm.name: arm_flops(arm, config, model) for arm in arms}
    return Bracket(Rules(keep=(1,)), flops, {name: player.schedule for name, player in players.items()})


class ConceptLeague(League):
    """The arms of some suites, in one folder."""

    def __init__(
        self, folder: Path, config: Config, console: Console, arms: tuple[Arm, ...], seeds: int, base: dict[str, object]
    ) -> None:
        """base: facts of the base model, for the result."""
        saved = checkpoint.load(folder / FOLDER)
        players = contestants(arms, config, saved, seeds)
        super().__init__(folder, runner_config(config), console, players, new_round(arms, players, config, saved.model))
        self.arms, self.seeds, self.base = {arm.name: arm for arm in arms}, seeds, base

    def describe(self) -> str:
        suites = dict.fromkeys(arm.suite for arm in self.arms.values() if arm.stages)
        count = len(self.arms) - 1
        return f"{count} arms of {', '.join(suites)}, {self.seeds} seed{'s' * (self.seeds > 1)} each"

    def open(self, *, retry_errors: bool = False) -> None:
        self.read_ledger(retry_errors=retry_errors)
        done, total = len(self.bracket.rounds[0].outcomes), len(self.bracket.runs(0))
        if done or self.attempt > 1:
            self.console.print(f"resuming: {done} of {total} runs are over, the others go on from their checkpoints")

    def record(self, run: Run, outcome: Outcome, is_decided: bool) -> None:
        """Write the ledger, then everything that follows from it."""
        self._write()
        arm, done = self.arms[run.contestant], len(self.bracket.rounds[0].outcomes)
        line = f"{outcome.failure}: {outcome.reason}"
        if outcome.failure is None:
            last = outcome.facts["measured"][-1]
            line = f"{arm.main} {accuracy(last[arm.main]):.0%}, {outcome.facts['seconds']:.0f} s"
        total = len(self.bracket.runs(0))
        text = f"  {self.name(run):<26} {line}  ({done} of {total})"
        self.console.print(text, highlight=False, soft_wrap=True)
        self.tell(f"{self.name(run)}{' failed' if outcome.failure else ''}: {line}")
        self._prune_checkpoints()

    def _prune_checkpoints(self) -> None:
        """Remove the checkpoints of runs whose result is in the ledger: nothing is read of them any more."""
        for run, outcome in self.bracket.rounds[0].outcomes.items():
            if outcome.failure != "error":
                for folder in step_folders(self.folder / self.name(run) / "checkpoints"):
                    shutil.rmtree(folder, ignore_errors=True)

    def close(self, tokenizer_sha256: str = "") -> bool:
        """Write concepts.json; False while an arm is still to come."""
        if not self.bracket.is_over():
            return False
        document = concept_results(self.folder.name, self.config, tuple(self.arms.values()), self.bracket, self.seeds)
        write_json(self.folder / RESULT, document | {"base": self.base})
        return True
