"""A league on disk: its bracket, the ledger that remembers it, and what is said and written as it goes on.

bracket.json is written before any action it causes. A resume reads it and decides nothing again.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from rich.console import Console

from hamner.config.schema import Config
from hamner.evaluation.statistics import row_counts
from hamner.runs.files import read_json_as, write_json
from hamner.runs.folders import next_attempt
from tournament.bracket import Bracket, Outcome, Rules, Run
from tournament.entrants import entrants, flops_per_token, run_name, twins
from tournament.standings import show_round, standings, write_winner
from tournament.timing import shares

ORDERS = "orders.json"  # in the league's folder: held-out rows asked for, in those of the config


class League:
    """One tournament: config, contestants, bracket, folder."""

    def __init__(self, folder: Path, config: Config, console: Console) -> None:
        self.folder, self.config, self.console = folder, config, console
        self.contestants = entrants(config)
        settings = config.tournament
        rows = sum(row_counts(settings.mix, settings.eval_sequences).values())
        self.bracket = Bracket(
            Rules(
                settings.keep,
                settings.contested,
                settings.max_seeds,
                settings.mode,
                rows,
                max_factor=1 if settings.cooldown else 4,
            ),  # an annealed copy is gone when more rows are asked for
            flops_per_token(config, self.contestants),
            {n: c.seeds for n, c in self.contestants.items()},
            twins(config, self.contestants),
        )
        self._seeds_told = {name: len(seeds) for name, seeds in self.bracket.seeds.items()}
        self.attempt = 1  # of the Tuners that this start of the league opens, the first
        self.rates: dict[str, Any] = {}  # contestant -> what the learning-rate round found

    def describe(self) -> str:
        seeds = {len(c.seeds) for c in self.contestants.values()}
        told = f"{len(self.contestants)} contestants"
        if max(seeds) > 1:
            told += f", {min(seeds)}" + (f" to {max(seeds)}" if len(seeds) > 1 else "") + " seeds each"
        if self.bracket.twins:
            told += f", {len(self.bracket.twins)} twins of {self.bracket.twins[0].contestant}"
        idle = sum(keep >= len(self.contestants) for keep in self.config.tournament.keep)
        return told + (f" (too few for a cut in {'round 1' if idle == 1 else f'rounds 1 to {idle}'})" if idle else "")

    def open(self) -> None:
        """Read what the ledger remembers, and say where the league stands."""
        path = self.folder / "bracket.json"
        if path.is_file():
            read_json_as(path, self._load)
        self._orders()
        self._retire()
        self.attempt = next_attempt(self.folder)
        runs = self.bracket.runs(self.bracket.round)
        found = {
            self.name(run): max((self.folder / self.name(run) / "checkpoints").glob("step_*"), default=None)
            for run in runs
        }
        if not any(found.values()) and not self.rates and not path.is_file():
            self.console.print("starting at step 0")
            return
        steps = [f"{name} {int(path.name.removeprefix('step_')) if path else 0}" for name, path in found.items()]
        self.console.print(
            f"resuming in round {self.bracket.round + 1}; checkpoints at step: {', '.join(steps)}", soft_wrap=True
        )

    def _load(self, document: dict[str, Any]) -> None:
        self.bracket.load_state(document)
        self.rates = dict(document["learning_rates"])
        self._seeds_told = {name: len(seeds) for name, seeds in self.bracket.seeds.items()}

    def name(self, run: Run) -> str:
        return run_name(run, self.contestants)

    def rate(self, name: str) -> float:
        """What a contestant competes at, without lr_scale."""
        own = self.contestants[name].learning_rate
        return own or (self.rates.get(name) or {}).get("learning_rate") or self.config.tournament.learning_rate

    def unprobed(self) -> list[str]:
        """Whose learning rate has yet to be found."""
        if self.config.tournament.lr == "shared":
            return []
        failed = {run.contestant for run, outcome in self.bracket.rounds[0].outcomes.items() if outcome.failure}
        return [
            name
            for name, c in self.contestants.items()
            if c.learning_rate is None and name not in self.rates and name not in failed
        ]

    # -- what the scheduler reports, before it acts

    def record(self, run: Run, outcome: Outcome, decided: bool) -> None:
        """The ledger first, then everything that is told to others."""
        self._write()
        self._orders()
        told = (
            f"{outcome.failure}: {outcome.reason}"
            if outcome.failure
            else f"{outcome.heldout_loss:.4f} nats/token held out, "
            f"{outcome.facts.get('tokens_per_second') or 0:,.0f} tokens/s"
        )
        self.console.print(f"  {self.name(run):<26} {told}", highlight=False, soft_wrap=True)
        counts = {name: len(seeds) for name, seeds in self.bracket.seeds.items()}
        more = [f"{name} now {count}" for name, count in counts.items() if count > self._seeds_told[name]]
        if more:
            self.console.print(f"  contested, so further seeds: {', '.join(more)}", soft_wrap=True)
        self._seeds_told = counts
        if decided:
            document = self._standings()
            show_round(self.console, document, len(document["rounds"]) - 1)
            self._retire()

    def probed(self, run: Run, found: dict[str, Any]) -> None:
        """A contestant's learning rate is found."""
        self.rates[run.contestant] = found
        self._write()
        losses = ", ".join(
            f"{float(rate):.2g}: {loss:.3f}" if loss is not None else f"{float(rate):.2g}: diverged"
            for rate, loss in found["tried"].items()
        )
        self.console.print(
            f"  {run.contestant:<26} learning rate {found['learning_rate'] or 0:.2g} ({losses})",
            highlight=False,
            soft_wrap=True,
        )

    def _write(self) -> None:
        write_json(self.folder / "bracket.json", self.bracket.state() | {"learning_rates": self.rates})

    def _orders(self) -> None:
        factors = {str(i): played.factor for i, played in enumerate(self.bracket.rounds) if played.factor > 1}
        if factors:
            write_json(self.folder / ORDERS, factors)

    def _standings(self) -> dict[str, Any]:
        document = standings(self.folder.name, self.config, self.bracket, self.contestants, self.rates)
        write_json(self.folder / "standings.json", document)
        return document

    def _retire(self) -> None:
        """Of those that are out only the weights are kept, or nothing."""
        bracket = self.bracket
        still = {bracket.winner()} if bracket.over() else set(bracket.contestants(bracket.round))
        runs = [Run(name, seed) for name in bracket.flops if name not in still for seed in bracket.seeds[name]]
        if bracket.over():
            runs += [twin for twin in bracket.twins if twin.contestant not in still or twin not in runs]
        for run in runs:
            if run in bracket.twins and not bracket.over():
                continue
            for folder in (self.folder / self.name(run) / "checkpoints").glob("step_*"):
                if self.config.tournament.keep_eliminated == "nothing":
                    shutil.rmtree(folder, ignore_errors=True)
                else:
                    from hamner.training import checkpoint  # loads PyTorch, for which Ray's start need not wait

                    checkpoint.keep_weights(folder)

    # -- the end

    def close(self, tokenizer_sha256: str) -> bool:
        """Write the last word; False when there is no winner."""
        self._standings()
        if self.bracket.winner() is None:
            self.console.print(
                "[red]no winner: every contestant failed; the reasons stand in the table above[/red]"
                if self.bracket.over()
                else "[red]the league was stopped; --resume goes on with it[/red]"
            )
            return False
        self._retire()
        write_winner(self.folder, self.config, self.bracket, self.contestants, tokenizer_sha256)
        return True

    def show_time(self, wall: float, slots: int) -> None:
        """Where the time went, of a league played in one go."""
        rounds = [
            [o.facts["busy_seconds"] for o in played.outcomes.values() if "busy_seconds" in o.facts]
            for played in self.bracket.rounds
        ]
        rounds.append([found.get("busy_seconds", 0.0) for found in self.rates.values()])  # the learning-rate round
        told = shares(wall, rounds, slots)
        write_json(self.folder / "timing.json", told)
        self.console.print(
            f"{wall:.0f} s, of which the runs, packed at best on {slots} slots, need {told['best_packing']:.0f} s "
            f"({told['idle_at_round_ends']:.0f} slot-seconds idle at the ends of rounds); preparation and "
            f"orchestration: {told['orchestration']:.0f} s, {100 * told['orchestration_share']:.0f} %",
            soft_wrap=True,
            highlight=False,
        )
