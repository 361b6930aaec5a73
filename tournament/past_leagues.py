"""History of leagues: of each its winner, how sure that is, and what it cost in hours, tokens and FLOPs.

Data in: config.json, standings.json, winner.json and the ledger of every league. Data out: a PastLeague each, the
newest first. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput
from hamner.runs.durations import seconds_between
from hamner.runs.files import read_json, read_json_as
from hamner.runs.folders import FINISHED, STARTED, runs
from hamner.runs.inventory import state_of
from tournament.league_cost import Spent, league_spent
from tournament.ledger import LEDGER, read_ledger_as

BROKEN = "broken"


@dataclass(frozen=True)
class PastLeague:
    """One league as a row; None for what is not known, or not yet."""

    run: str
    started: str | None  # ISO date-time, UTC
    finished: str | None
    state: str  # running, finished, unfinished, broken
    rounds_decided: int
    rounds: int
    contestants: int
    winner: str | None
    heldout_loss: float | None  # of the winner, nats per token
    verdict: str | None  # settled, contested, unknown
    p_best: float | None
    best_of: int | None
    regret: float | None  # expected, nats per token
    hours: float | None  # from start to end, pauses included
    run_hours: float | None  # of all runs, added up
    tokens: int | None
    flops: float | None


def past_leagues(results: Path) -> list[PastLeague]:
    """All leagues of a results folder, the newest first."""
    return [past_league(folder) for folder in runs(results, "tournament")]


def past_league(folder: Path) -> PastLeague:
    """The league of a folder, as far as its files can be read."""
    try:
        return read_json_as(folder / "config.json", lambda facts: _summary(folder, facts))
    except BadInput:
        nothing = dict.fromkeys(PastLeague.__dataclass_fields__)
        return PastLeague(**nothing | {"run": folder.name, "state": BROKEN, "rounds_decided": 0, "rounds": 0})  # type: ignore[arg-type]


def _summary(folder: Path, facts: Mapping[str, Any]) -> PastLeague:
    league, standings, winner = facts["config"]["tournament"], folder / "standings.json", folder / "winner.json"
    decided: Mapping[str, Any] = read_json(standings) if standings.is_file() else {"rounds": []}
    won: Mapping[str, Any] = read_json(winner) if winner.is_file() else {}
    cost = _spent(folder, decided) if (folder / LEDGER).is_file() else None
    seconds = seconds_between(facts.get(STARTED), won.get(FINISHED))
    return PastLeague(
        run=folder.name,
        started=facts.get(STARTED),
        finished=won.get(FINISHED),
        state=state_of("tournament", folder),
        rounds_decided=len(decided["rounds"]),
        rounds=len(league["keep"]),
        contestants=_contestants(decided, league),
        winner=won.get("contestant"),
        heldout_loss=won.get("heldout_loss"),
        verdict=won.get("verdict"),
        p_best=won.get("p_best"),
        best_of=won.get("best_of"),
        regret=won.get("regret"),
        hours=None if seconds is None else seconds / 3600,
        run_hours=cost.seconds / 3600 if cost else None,
        tokens=cost.tokens if cost else None,
        flops=cost.flops if cost else None,
    )


def _contestants(decided: Mapping[str, Any], league: Mapping[str, Any]) -> int:
    if decided["rounds"]:
        return len(decided["rounds"][0]["standings"])
    from hamner.config.presets import CONTESTANTS

    return len(league.get("league") or league.get("contestants") or CONTESTANTS)


def _spent(folder: Path, standings: Mapping[str, Any]) -> Spent:
    """Raises BadInput for a broken ledger."""

    def build(ledger: Mapping[str, Any]) -> Spent:
        rows = [row for round_ in ledger["rounds"] for row in round_["outcomes"]]
        reports = [(row["contestant"], int(row["seed"]), row.get("facts") or {}) for row in rows]
        return league_spent(reports, standings, ledger.get("learning_rates") or {})

    return read_ledger_as(folder, build)
