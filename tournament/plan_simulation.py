"""Alternatives of a league's plan, `tournament --plan --simulate`: other survivors and seeds, what they cost and find.

Data in: the config; with --like, the seed noise, the field's spread and the drift of ranks of an earlier league, from
its standings.json. Data out: a table, or one JSON object a plan. Only plans that no cheaper one beats are shown, and
the config's own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from hamner.config.errors import BadInput
from hamner.config.schema import Config
from hamner.runs.files import read_json_as
from hamner.runs.tables import Column, fitted_table
from tournament.entrants import entrants
from tournament.simulation import Field, Leagues, Odds, Plan
from tournament.step_timing import hours

SPREADS = (1.0, 2.0, 4.0)  # of the field, in seed noises: simulated where no earlier league says


@dataclass(frozen=True)
class Alternative:
    """A plan with what it costs and how it does. odds: one for each simulated field."""

    plan: Plan
    steps: int
    hours: float | None
    odds: tuple[Odds, ...]
    is_own: bool


def own_plan(config: Config) -> Plan:
    """The plan that a config says."""
    league, count = config.tournament, len(entrants(config))
    seeds = tuple(league.seeds_in_round(index) for index in range(len(league.keep)))
    return Plan(tuple(min(keep, count) for keep in league.keep), seeds)


def alternatives(own: Plan, contestants: int) -> list[Plan]:
    """The config's plan first, then narrower and wider ones with even and growing numbers of seeds."""
    rounds = range(len(own.keep))
    keeps = [own.keep, *(tuple(_scaled(own.keep, factor)) for factor in (0.8, 1.35))]
    seeds = [tuple(count for _ in rounds) for count in (1, 2, 3)]
    seeds += [tuple(2 + r for r in rounds), tuple(2**r for r in rounds), tuple(round(2 * 1.6**r) for r in rounds)]
    seeds.append(tuple(4 if r == rounds[-1] else 2 for r in rounds))
    plans = [own] + [
        Plan(keep, count) for keep in keeps if keep == own.keep or _is_playable(keep, contestants) for count in seeds
    ]
    return list(dict.fromkeys(plans))


def _scaled(keep: Sequence[int], factor: float) -> list[int]:
    """So many times the survivors, but for the last round's."""
    turn = math.floor if factor < 1 else math.ceil
    return [*(turn(factor * count) for count in keep[:-1]), keep[-1]]


def _is_playable(keep: Sequence[int], contestants: int) -> bool:
    """Whether each round keeps fewer than play it."""
    return all(after < before for before, after in zip((contestants, *keep), keep, strict=False))


def usual_fields(config: Config) -> list[Field]:
    """Fields of several spreads, in units of the seed noise, where no earlier league says."""
    return [Field(spread, (1.0,) * len(config.tournament.keep)) for spread in SPREADS]


def like_field(config: Config, folder: Path) -> Field:
    """The field that an earlier league has measured, in nats. Raises BadInput where it has not, or has other rounds."""
    noise, field = read_json_as(folder / "standings.json", lambda document: (_noise(document), document.get("field")))
    rounds = len(config.tournament.keep)
    if len(noise) != rounds:
        raise BadInput(
            f"--like {folder.name}: {len(noise)} rounds are decided, the plan has {rounds}. Use another league"
        )
    if None in noise or not field:
        raise BadInput(
            f"--like {folder.name}: its seed noise is not known in every round. Leave out --like, or use a league with "
            "two seeds or more"
        )
    return Field(field["spread"], noise, tuple(field["drift"]))


def _noise(document: Mapping[str, Any]) -> tuple[float, ...]:
    """Seed noise of each round."""
    return tuple(row["seed_sd"] for row in document["rounds"])


def simulated(
    config: Config, fields: Sequence[Field], step_seconds: Mapping[str, float], slots: int
) -> list[Alternative]:
    """Every alternative that no cheaper one beats in the middle field, and the config's own; the cheapest first."""
    own, count, steps = own_plan(config), len(entrants(config)), config.tournament.steps
    plans = alternatives(own, count)
    leagues = Leagues(count, len(own.keep), {count for plan in plans for count in plan.seeds})
    rows = [
        Alternative(
            plan,
            plan.training_steps(steps, count),
            hours(plan.training_steps(steps, count), step_seconds, count, slots),
            tuple(leagues.odds(plan, field) for field in fields),
            plan == own,
        )
        for plan in plans
    ]
    middle, shown, best = len(fields) // 2, [], -1.0
    for row in sorted(rows, key=lambda row: (row.steps, -row.odds[middle].chance)):
        if row.odds[middle].chance > best or row.is_own:
            shown.append(row)
        best = max(best, row.odds[middle].chance)
    return shown


def print_alternatives(
    screen: Console, config: Config, rows: Sequence[Alternative], like: str | None, *, as_json: bool
) -> None:
    """Print the plans on `screen`, or on stdout as JSON."""
    unit, in_words = ("nats", "nats") if like else ("seed_noise", "seed noises")
    names = ["" if like else f"_{spread:g}" for spread in SPREADS][: len(rows[0].odds)]
    if as_json:
        for row in rows:
            odds = {
                key: value
                for name, odds in zip(names, row.odds, strict=True)
                for key, value in ((f"p_best{name}", odds.chance), (f"regret_{unit}{name}", odds.regret))
            }
            plan = {"keep": row.plan.keep, "seeds": row.plan.seeds, "is_own": row.is_own}
            print(json.dumps(plan | {"steps": row.steps, "hours": row.hours} | odds))
        return
    spreads = [""] if like else [f" at {spread:g}" for spread in SPREADS]
    columns = [Column("survivors", justify="left"), Column("seeds", justify="left"), Column("steps", 3)]
    columns += [Column("hours", 2)] if any(row.hours is not None for row in rows) else []
    columns += [Column(f"P(best){spread}") for spread in spreads]
    columns += [Column(f"regret{spread}", 1) for spread in spreads]
    captions = [("", "P(best): share of simulated leagues that the true best of all contestants wins")]
    captions += [("", f"regret: true loss of the winner less the best's, {in_words} on average")]
    captions += [("", f"field as in {like}" if like else "at 1, 2, 4: spread of true losses in seed noises")]
    captions += [("", "not simulated: rows with seeds of their own, contested = keep, mode = async")]
    captions += [("", "*: this plan")]
    screen.print(
        fitted_table(
            screen,
            columns,
            [_cells(row, len(columns)) for row in rows],
            title=f"plans for {len(entrants(config))} contestants, rounds of "
            + " + ".join(map(str, config.tournament.steps))
            + " steps",
            captions=captions,
            styles=["bold" if row.is_own else "" for row in rows],
        )
    )
    screen.print(_advice(rows), soft_wrap=True)


def _cells(row: Alternative, columns: int) -> list[str]:
    numbers = [f"{100 * odds.chance:.0f} %" for odds in row.odds] + [f"{odds.regret:.3g}" for odds in row.odds]
    survivors = " → ".join(map(str, row.plan.keep)) + (" *" if row.is_own else "")
    cells = [survivors, ", ".join(map(str, row.plan.seeds)), f"{row.steps:,}"]
    if columns > len(cells) + len(numbers):
        cells.append("–" if row.hours is None else f"{row.hours:,.2g}")
    return cells + numbers


def _advice(rows: Sequence[Alternative]) -> str:
    """The best plan at no more steps than the config's."""
    own = next(row for row in rows if row.is_own)
    middle = len(own.odds) // 2
    best = max((row for row in rows if row.steps <= own.steps), key=lambda row: row.odds[middle].chance)
    if best is own or best.odds[middle].chance < own.odds[middle].chance + 0.01:
        return "at no more steps no other of these plans is better by a point or more"
    return (
        f"at no more steps: keep={_list(best.plan.keep)} seeds={_list(best.plan.seeds)} finds the best in "
        f"{100 * best.odds[middle].chance:.0f} % instead of {100 * own.odds[middle].chance:.0f} %"
    )


def _list(numbers: Sequence[int]) -> str:
    return f"[{','.join(map(str, numbers))}]"
