"""Cost of a league (compute spent): runs, seconds, tokens and FLOPs of all its runs, learning-rate searches included.

In: what runs reported, and standings.json. Out: plain numbers, so far or in all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Spent:
    """What all runs of a league took together."""

    runs: int  # that reported
    seconds: float  # added up; side by side they took less
    tokens: int  # trained on
    flops: float  # of training


def league_spent(
    reports: Iterable[tuple[str, int, Mapping[str, Any]]],
    standings: Mapping[str, Any],
    searches: Mapping[str, Mapping[str, Any]],
) -> Spent:
    """The cost so far.

    reports: (contestant, seed, facts) of each outcome. searches: those for a learning rate, by contestant.
    """
    per_token = {
        row["contestant"]: row.get("flops_per_token") or 0.0
        for played in (standings.get("rounds") or [])[:1]
        for row in played["standings"]
    }
    probes = (standings.get("learning_rate_round") or {}).get("standings", [])
    seconds = sum(float(search.get("busy_seconds") or 0.0) for search in searches.values())
    furthest: dict[tuple[str, int], tuple[float, float]] = {}  # of each run, whose tokens and FLOPs add up over rounds
    for name, seed, facts in reports:
        seconds += float(facts.get("busy_seconds") or 0.0)
        if facts:
            spent = float(facts.get("tokens") or 0), float(facts.get("flops") or 0)
            furthest[name, seed] = max(furthest.get((name, seed), (0.0, 0.0)), spent)
    return Spent(
        len(furthest),
        seconds,
        int(sum(tokens for tokens, _ in furthest.values()) + sum(row.get("tokens") or 0 for row in probes)),
        sum(flops for _, flops in furthest.values())
        + sum((row.get("tokens") or 0) * per_token.get(row["contestant"], 0.0) for row in probes),
    )
