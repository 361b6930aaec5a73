"""A league read from its files, whole or not: running, killed, of an older version, with a file that is broken.

In: RUN/config.json and whatever else is there: the ledger, standings.json, winner.json, timing.json, mixes.json,
resume.jsonl, metrics.csv of runs. Out: LeagueFiles, in which what is missing is empty, and `problems` says what could
not be read. Without PyTorch and Ray. Nothing is decided or computed anew: the numbers are those of the files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from hamner.config.errors import BadInput
from hamner.config.formats import OtherFormat
from hamner.config.load import parse
from hamner.config.schema import Config
from hamner.runs.files import read_json_as
from hamner.runs.folders import FINISHED, STARTED
from hamner.runs.metrics import read_metrics
from hamner.runs.read_back import json_lines
from hamner.runs.safe_paths import path_below
from tournament.bracket import Round, Run, read_rounds
from tournament.entrants import Contestant, entrants, flops_per_token, run_name
from tournament.learning_curve import Point, curve_of_rounds
from tournament.ledger import LEDGER, read_ledger_as
from tournament.outcome import Outcome

T = TypeVar("T")
_Ledger = tuple[list[Round], Mapping[str, Any], Mapping[str, Any]]
PLACED_LAST = 1e9  # rank of a contestant that no round has ranked


@dataclass(frozen=True)
class LeagueFiles:
    """One league as its files tell it. Rounds are counted from 0, losses are held out, in nats per token."""

    folder: Path
    settings: Mapping[str, Any]  # the config as its file has it
    config: Config | None  # None where this version cannot read it
    started: str = ""  # UTC, ISO 8601
    standings: Mapping[str, Any] = field(default_factory=dict)
    winner: Mapping[str, Any] = field(default_factory=dict)
    timing: Mapping[str, Any] = field(default_factory=dict)
    mixes: Mapping[str, Any] = field(default_factory=dict)  # of a league of mixes
    rounds: list[Round] = field(default_factory=list)  # of the ledger
    seeds: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # contestant -> seed index -> first round
    rates: Mapping[str, Any] = field(default_factory=dict)  # contestant -> its learning-rate search
    resumes: list[Mapping[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def finished(self) -> str:
        return str(self.winner.get(FINISHED) or "")

    @property
    def decided(self) -> list[Mapping[str, Any]]:
        """The rounds of standings.json."""
        return list(self.standings.get("rounds") or [])

    @property
    def keep(self) -> list[int]:
        """How many each round keeps."""
        return list(self._tournament.get("keep") or [])

    @property
    def is_over(self) -> bool:
        """Whether there is a winner, or nobody left."""
        return bool(self.winner) or any(round_.is_decided and not round_.survivors for round_ in self.rounds)

    @property
    def _tournament(self) -> Mapping[str, Any]:
        return self.settings.get("tournament") or {}

    @cached_property
    def entered(self) -> Mapping[str, Contestant]:
        """The contestants as they are trained; empty where this version cannot tell."""
        try:
            return entrants(self.config) if self.config else {}
        except BadInput:
            return {}

    @cached_property
    def contestants(self) -> list[str]:
        """Names, the best first: by the round they came to, there by rank; before any is decided by loss so far."""
        places: dict[str, tuple[float, ...]] = {}
        for index, row in enumerate(self.decided):
            for standing in row["standings"]:
                places[standing["contestant"]] = (-index, standing["rank"])
        losses = {run.contestant: o.heldout_loss for round_ in self.rounds for run, o in round_.outcomes.items()}
        unplaced = (1.0, PLACED_LAST)
        names = [*places, *self.seeds, *self.entered, *losses]
        return sorted(
            dict.fromkeys(names), key=lambda name: (*places.get(name, unplaced), losses.get(name) or PLACED_LAST)
        )

    def standing(self, index: int, name: str) -> Mapping[str, Any] | None:
        """A contestant's row in a decided round."""
        if index >= len(self.decided):
            return None
        rows = self.decided[index]["standings"]
        return next((row for row in rows if row["contestant"] == name), None)

    def players(self, index: int) -> list[str]:
        """Who plays a round, as far as the ledger or the standings say, the best first."""
        if index == 0:
            return self.contestants
        if index - 1 < len(self.rounds):
            admitted = set(self.rounds[index - 1].survivors)
        else:
            rows = self.decided[index - 1]["standings"] if index <= len(self.decided) else []
            admitted = {row["contestant"] for row in rows if row["status"] in ("advanced", "winner")}
        return [name for name in self.contestants if name in admitted]

    def runs(self, name: str) -> list[Run]:
        """The runs of a contestant that have reported or may, by seed."""
        seeds = {int(seed) for seed in self.seeds.get(name, {})}
        seeds |= {run.seed for round_ in self.rounds for run in round_.outcomes if run.contestant == name}
        if not seeds and name in self.entered:
            seeds = {seed for seed, joins in self.entered[name].schedule.items() if joins == 0}
        return [Run(name, seed) for seed in sorted(seeds)]

    def outcomes(self, run: Run) -> list[Outcome]:
        """What a run reported, round after round."""
        return [round_.outcomes[run] for round_ in self.rounds if run in round_.outcomes]

    @cached_property
    def flops_per_token(self) -> dict[str, float]:
        """Training FLOPs per token of each contestant, as the standings or its runs say, else as the config does."""
        found = flops_per_token(self.config, self.entered) if self.config else {}
        for row in (row for round_row in self.decided for row in round_row["standings"]):
            if row.get("flops_per_token"):
                found[row["contestant"]] = float(row["flops_per_token"])
        for round_ in self.rounds:
            for run, outcome in round_.outcomes.items():
                if outcome.facts.get("tokens") and outcome.facts.get("flops"):
                    found[run.contestant] = outcome.facts["flops"] / outcome.facts["tokens"]
        return found

    def curve(self, run: Run) -> list[Point]:
        """The learning curve of a run, on the scale of the ranking; looks of an open round as they were measured."""
        per_token = self.flops_per_token.get(run.contestant)
        points = curve_of_rounds(self.rounds, run, per_token) if per_token else []
        return points + self._open_looks(run, points[-1] if points else None)

    def _open_looks(self, run: Run, last: Point | None) -> list[Point]:
        """Looks that a run has written to metrics.csv and not reported yet."""
        if self.is_over or run.contestant not in self.players(self._open_round):
            return []
        flops = self.flops_per_token.get(run.contestant, 0.0)
        try:
            rows = read_metrics(path_below(self.folder, self._folder_name(run), self.folder / LEDGER))
        except BadInput:  # the ledger names what is no folder of the league's
            return []
        looks = [
            Point(float(row["tokens_total"]), flops * float(row["tokens_total"]), 0.0, float(loss))
            for row in rows
            if (loss := row.get("heldout_loss_of_grid")) and row.get("tokens_total")
        ]
        return [look for look in looks if look.tokens > (last.tokens if last else 0)]

    @property
    def _open_round(self) -> int:
        return next((index for index, round_ in enumerate(self.rounds) if not round_.is_decided), 0)

    def _folder_name(self, run: Run) -> str:
        if run.contestant in self.entered:
            return run_name(run, self.entered)
        return run.contestant if run == self.runs(run.contestant)[0] else f"{run.contestant}-seed{run.seed}"


def read_league_files(folder: Path) -> LeagueFiles:
    """Raises BadInput where there is no config.json, one that cannot be read at all, or a file of a newer version."""
    settings, started = read_json_as(
        folder / "config.json", lambda document: (dict(document["config"]), str(document.get(STARTED, "")))
    )
    problems: list[str] = []
    config: Config | None = None
    try:
        config = parse(Config, settings, "config.json")
    except BadInput:
        problems.append("config.json is of another version: what depends on its keys is left out")

    def read(name: str, build: Callable[[Any], T], nothing: T) -> T:
        if not (folder / name).is_file():
            return nothing
        try:
            return read_ledger_as(folder, build) if name == LEDGER else read_json_as(folder / name, build)
        except OtherFormat:
            raise
        except BadInput as error:
            problems.append(f"{name} could not be read: {str(error).removeprefix(str(folder / name))}")
            return nothing

    nothing: _Ledger = ([], {}, {})
    rounds, seeds, rates = read(LEDGER, _ledger, nothing)
    return LeagueFiles(
        folder,
        settings,
        config,
        started,
        standings=read("standings.json", dict, {}),
        winner=read("winner.json", dict, {}),
        timing=read("timing.json", dict, {}),
        mixes=read("mixes.json", dict, {}),
        rounds=rounds,
        seeds=seeds,
        rates=rates,
        resumes=json_lines(folder / "resume.jsonl"),
        problems=problems,
    )


def _ledger(state: Mapping[str, Any]) -> _Ledger:
    """The rounds, the seeds of each contestant, the learning-rate searches."""
    return read_rounds(state), state.get("seeds", {}), state.get("learning_rates", {})
