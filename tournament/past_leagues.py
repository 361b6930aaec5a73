"""History of leagues: of each its winner, how sure that is, and what it cost in hours, tokens and FLOPs.

Data in: config.json, standings.json, winner.json and the ledger of every league. Data out: a PastLeague each, the
newest first. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput
from hamner.runs.files import read_json, read_json_as
from hamner.runs.folders import FINISHED, STARTED, runs
from hamner.runs.inventory import state_of
from tournament.ledger import LEDGER

BROKEN = "broken"


@dataclass(frozen=True)
class Cost:
    """What all runs of a league took together, the learning-rate round included."""

    seconds: float  # of the runs, added up; side by side they took less
    tokens: int  # trained on
    flops: float


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
    cost = league_cost(folder, decided) if (folder / LEDGER).is_file() else None
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
        hours=_hours(facts.get(STARTED), won.get(FINISHED)),
        run_hours=cost.seconds / 3600 if cost else None,
        tokens=cost.tokens if cost else None,
        flops=cost.flops if cost else None,
    )


def _contestants(decided: Mapping[str, Any], league: Mapping[str, Any]) -> int:
    if decided["rounds"]:
        return len(decided["rounds"][0]["standings"])
    from hamner.config.presets import CONTESTANTS

    return len(league.get("league") or league.get("contestants") or CONTESTANTS)


def _hours(started: str | None, finished: str | None) -> float | None:
    if not (started and finished):
        return None
    return (datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds() / 3600


def league_cost(folder: Path, standings: Mapping[str, Any]) -> Cost:
    """What the runs of a league took so far, from its ledger. Raises BadInput for a broken one."""
    rates = (standings.get("learning_rate_round") or {}).get("standings", [])
    per_token = {
        row["contestant"]: row["flops_per_token"] for played in standings["rounds"][:1] for row in played["standings"]
    }
    probe_tokens = {row["contestant"]: row["tokens"] for row in rates}
    probe_flops = sum(tokens * per_token.get(name, 0.0) for name, tokens in probe_tokens.items())
    outcomes, probe_seconds = read_json_as(folder / LEDGER, _outcomes)
    furthest: dict[tuple[str, int], tuple[float, float]] = {}  # of each run, whose tokens and FLOPs add up over rounds
    for name, seed, facts in outcomes:
        spent = float(facts.get("tokens") or 0), float(facts.get("flops") or 0)
        furthest[name, seed] = max(furthest.get((name, seed), (0.0, 0.0)), spent)
    return Cost(
        sum(facts.get("busy_seconds") or 0.0 for _, _, facts in outcomes) + probe_seconds,
        int(sum(tokens for tokens, _ in furthest.values()) + sum(probe_tokens.values())),
        sum(flops for _, flops in furthest.values()) + probe_flops,
    )


def _outcomes(ledger: Mapping[str, Any]) -> tuple[list[tuple[str, int, Mapping[str, Any]]], float]:
    """(contestant, seed, facts) of each outcome of a ledger, and the seconds of its learning-rate round."""
    rows = [row for round_ in ledger["rounds"] for row in round_["outcomes"]]
    seconds = sum(search.get("busy_seconds") or 0.0 for search in (ledger.get("learning_rates") or {}).values())
    return [(row["contestant"], int(row["seed"]), row.get("facts") or {}) for row in rows], seconds
