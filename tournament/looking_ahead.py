"""Looking ahead in the standings: forecasts at the horizon, chances to catch up, compute multipliers, a backtest.

In: the bracket up to a round. Out: the section "ahead" of that round in standings.json, and the table printed of it. An
elimination says who is ahead after the round's tokens; a person asks who will be ahead after theirs (the horizon).
Nothing is decided here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import mean
from typing import Any

from rich.console import Console
from rich.table import Table

from hamner.config.horizon import read_horizon
from hamner.config.schema import Config
from hamner.runs.tables import Column, fitted_table
from tournament.bracket import Bracket, Run
from tournament.budget import budgets
from tournament.compute_multiplier import ComputeMultiplier, compute_multiplier
from tournament.learning_curve import Point, learning_curve

REFERENCE = "v02_dense_medium"  # the winner of the league that this project came from


def look_ahead(config: Config, bracket: Bracket, index: int, *, is_exclusive: bool) -> dict[str, Any]:
    """What the curves up to a round say of all contestants; empty where they have too few looks for anything.

    is_exclusive: whether each run has a slot of its own, so that seconds compare.
    """
    curves = _curves(bracket, index)
    if not curves:
        return {}
    horizon, rival = horizon_tokens(config, bracket, index), bracket.last_survivor(index)
    reference = _reference(config, [name for name in curves if not _has_failed(bracket, index, name)] or [*curves])
    multipliers = {
        cost: _multipliers(bracket, index, curves, reference, cost) if cost == "flops" or is_exclusive else {}
        for cost in ("flops", "seconds")
    }
    forecasts = _forecasts(config, curves)
    if not forecasts.names and not any(multipliers.values()):
        return {}
    rows: dict[str, Any] = {}
    for name in curves:
        if _has_failed(bracket, index, name):
            continue
        forecast = forecasts.at(name, horizon[name]) if name in forecasts.names else None
        chance = None
        is_behind = name not in bracket.rounds[index].survivors and _tokens(curves[name]) < 0.99 * horizon[name]
        if forecast and rival is not None and rival in forecasts.names and is_behind:
            chance = forecasts.probability_below(name, horizon[name], rival, horizon[rival])
        rows[name] = {
            "horizon_tokens": horizon[name],
            "forecast": None if forecast is None else vars(forecast),
            "could_catch_up": chance,
            **{
                f"multiplier_{cost}": vars(found[name]) if name in found else None
                for cost, found in multipliers.items()
            },
        }
    held = list(_backtest(config, bracket, index))
    return {
        "horizon": config.tournament.horizon or "the league's own end",
        "rival": rival,
        "reference": reference,
        "contestants": rows,
        "backtest": {"held": sum(held), "of": len(held)},
    }


def forecast_losses(config: Config, bracket: Bracket, index: int) -> dict[str, float]:
    """Each contestant's forecast loss at the horizon, from the curves up to a round: what judge = forecast ranks by."""
    curves = _curves(bracket, index, with_shadows=False)  # who trains on beside the league decides nothing
    forecasts, horizon = _forecasts(config, curves), horizon_tokens(config, bracket, index)
    return {name: forecasts.at(name, horizon[name]).loss for name in forecasts.names}


def horizon_tokens(config: Config, bracket: Bracket, index: int) -> dict[str, float]:
    """Tokens of each contestant at the horizon; hours at the speed it was measured at, in its latest round."""
    horizon, settings = read_horizon(config.tournament.horizon), config.tournament
    if horizon and horizon.tokens:
        return dict.fromkeys(bracket.flops, horizon.tokens)
    ends, speeds = budgets(config, bracket.flops), _speeds(bracket, index)
    tokens: dict[str, float] = {}
    for name in bracket.flops:
        seconds = 3600 * horizon.hours if horizon and horizon.hours else sum(settings.seconds)
        speed = speeds.get(name)
        at_end = float(ends[name].steps[-1] * settings.batch_size * settings.seq_len)
        tokens[name] = speed * seconds if speed and seconds else at_end
    return tokens


def _speeds(bracket: Bracket, index: int) -> dict[str, float]:
    """Tokens a second that each contestant trained at, the mean over its runs in its latest round."""
    speeds: dict[str, float] = {}
    for round_ in reversed(bracket.rounds[: index + 1]):
        of_round: dict[str, list[float]] = {}
        for run, outcome in round_.outcomes.items():
            if run.contestant not in speeds and (speed := outcome.facts.get("tokens_per_second")):
                of_round.setdefault(run.contestant, []).append(float(speed))
        speeds |= {name: sum(of_name) / len(of_name) for name, of_name in of_round.items()}
    return speeds


def _last_played(bracket: Bracket, index: int, name: str) -> int:
    """The last round up to this one that a contestant played in."""
    return max((place for place in range(index + 1) if bracket.plays(place, name)), default=0)


def _curves(bracket: Bracket, index: int, *, with_shadows: bool = True) -> dict[str, dict[Run, list[Point]]]:
    """The learning curves of all runs up to a round, by contestant in the order of entering.

    with_shadows: with what contestants that are out trained on beside the league.
    """
    # sorted: what is drawn and summed may not depend on who reported first
    runs: dict[str, list[Run]] = {}
    for run in sorted({run for round_ in bracket.rounds[: index + 1] for run in round_.outcomes}):
        runs.setdefault(run.contestant, []).append(run)
    curves: dict[str, dict[Run, list[Point]]] = {}
    for name in bracket.flops:
        last = index if with_shadows else _last_played(bracket, index, name)
        of_name = {run: learning_curve(bracket, last, run) for run in runs.get(name, ())}
        if any(of_name.values()):
            curves[name] = {run: points for run, points in of_name.items() if points}
    return curves


def _forecasts(config: Config, curves: Mapping[str, Mapping[Run, Sequence[Point]]]) -> Any:
    from tournament.forecast import Curve, Forecasts  # loads NumPy, for which Ray's start need not wait

    return Forecasts(
        {
            name: [Curve(tuple(p.tokens for p in points), tuple(p.loss for p in points)) for points in of_name.values()]
            for name, of_name in curves.items()
        },
        seed=config.seed,
    )


def _has_failed(bracket: Bracket, index: int, name: str) -> bool:
    """Whether a contestant failed in a round up to this one."""
    played = (place for place in range(index + 1) if bracket.plays(place, name))
    return any(bracket.failure(place, name) for place in played)


def _tokens(of_name: Mapping[Run, Sequence[Point]]) -> float:
    """How far a contestant has come."""
    return max(points[-1].tokens for points in of_name.values())


def _backtest(config: Config, bracket: Bracket, index: int) -> Iterator[bool]:
    """Of each forecast that an earlier round would have made of a later end up to this one: whether its interval held.

    All contestants that trained on, those included that were cut and trained on beside the league.
    """
    for earlier in range(index):
        forecasts = _forecasts(config, _curves(bracket, earlier))
        for later in range(earlier + 1, index + 1):
            ends: dict[str, list[tuple[float, float]]] = {}
            for run, outcome in bracket.rounds[later].outcomes.items():
                if outcome.heldout_loss is not None and "tokens" in outcome.facts:
                    ends.setdefault(run.contestant, []).append((outcome.heldout_loss, outcome.facts["tokens"]))
            for name in forecasts.names:
                if name in ends:
                    loss, tokens = (sum(column) / len(ends[name]) for column in zip(*ends[name], strict=True))
                    found = forecasts.at(name, tokens)
                    yield found.low <= loss <= found.high


# -- compute multipliers


def _reference(config: Config, names: Sequence[str]) -> str:
    """The contestant that the others are measured by: the config's, the seed's winner, else the first of these."""
    wanted = (config.tournament.reference, REFERENCE)
    return next((name for name in wanted if name in names), names[0])


def _multipliers(
    bracket: Bracket, index: int, curves: Mapping[str, Mapping[Run, list[Point]]], reference: str, cost: str
) -> dict[str, ComputeMultiplier]:
    """Of each contestant at the end of its curve: the reference's cost for that loss over its own."""
    of_reference = [[(getattr(p, cost), p.loss) for p in points] for points in curves[reference].values()]
    curve = _mean_curve(of_reference)
    if len(curve) < 2:
        return {}
    finished = [{name for name in bracket.ranking(at) if bracket.losses(at, name)} for at in range(index + 1)]
    found = {}
    for name, of_name in curves.items():
        ends = [points[-1] for points in _longest(of_name)]
        loss, spent = sum(p.loss for p in ends) / len(ends), sum(getattr(p, cost) for p in ends) / len(ends)
        error, df = _error(bracket, finished, name, reference)
        found[name] = compute_multiplier(curve, spent, loss, standard_error=error, df=df)
    return found


def _mean_curve(curves: Sequence[Sequence[tuple[float, float]]]) -> list[tuple[float, float]]:
    """The mean over seeds at the looks of the first, as far as all that reach the end have come."""
    import numpy as np

    longest = max(curve[-1][0] for curve in curves)
    whole = [curve for curve in curves if curve[-1][0] > 0.9 * longest]
    costs = [cost for cost, _ in whole[0] if cost > 0]
    columns = [np.array(curve, float).T for curve in whole]
    losses = np.mean([np.interp(costs, at, of_curve) for at, of_curve in columns], axis=0)
    pairs = list(zip(costs, losses.tolist(), strict=True))
    return [pair for place, pair in enumerate(pairs) if place == 0 or pair[0] > pairs[place - 1][0]]


def _longest(of_name: Mapping[Run, list[Point]]) -> list[list[Point]]:
    """The curves of the runs that came furthest."""
    most = _tokens(of_name)
    return [points for points in of_name.values() if points[-1].tokens > 0.9 * most]


def _error(bracket: Bracket, finished: Sequence[set[str]], name: str, reference: str) -> tuple[float | None, float]:
    """Standard error of the difference of two contestants in the last round that both finished, with df.

    finished: of each round up to now, the contestants that came to its end with a loss.
    """
    if name == reference:
        return None, 0
    for index in reversed(range(len(finished))):
        if {name, reference} <= finished[index]:
            label = bracket.compare(index, name, reference)
            return label.standard_error, label.df or bracket.seed_noise(index).df
    return None, 0


# -- what is printed

AHEAD_COLUMNS = (
    Column("contestant", justify="left", may_wrap=True),
    Column("loss then"),
    Column("90 % interval", 2),
    Column("could catch up"),
    Column("× compute", 1),
    Column("95 % interval", 3),
    Column("× seconds", 4),
)


def ahead_table(console: Console, ahead: Mapping[str, Any]) -> list[Table]:
    """The table below that of a round, from its section "ahead": by forecast loss; none where it is empty."""
    if not ahead:
        return []
    rows = sorted(ahead["contestants"].items(), key=lambda item: forecast_place(item[1]))
    table = fitted_table(
        console,
        AHEAD_COLUMNS,
        [ahead_cells(name, row) for name, row in rows],
        title=ahead_title(ahead),
        captions=ahead_captions(ahead),
        styles=["dim" if row["could_catch_up"] is not None else "" for _, row in rows],
    )
    return [table]


def forecast_place(row: Mapping[str, Any]) -> float:
    return float(row["forecast"]["loss"]) if row["forecast"] else math.inf


def ahead_cells(name: str, row: Mapping[str, Any]) -> list[str]:
    forecast, chance = row["forecast"], row["could_catch_up"]
    flops, seconds = row["multiplier_flops"], row["multiplier_seconds"]
    return [
        name,
        f"{forecast['loss']:.3f}" if forecast else "–",
        f"{forecast['low']:.3f} to {forecast['high']:.3f}" if forecast else "–",
        "" if chance is None else f"{chance:.0%}",
        _multiplier(flops),
        _interval(flops),
        _multiplier(seconds),
    ]


def _multiplier(found: Mapping[str, float | None] | None) -> str:
    value = found["value"] if found else None
    return "–" if value is None else f"{value:.2f}"


def _interval(found: Mapping[str, float | None] | None) -> str:
    if found is None or (found["low"] is None and found["high"] is None):
        return "–"
    low, high = ("…" if end is None else f"{end:.2f}" for end in (found["low"], found["high"]))
    return f"{low} to {high}"


def ahead_title(ahead: Mapping[str, Any]) -> str:
    tokens = sorted({round(row["horizon_tokens"]) for row in ahead["contestants"].values()})
    span = f"{tokens[0]:,}" + (f" to {tokens[-1]:,}" if len(tokens) > 1 else "")
    return f"looking ahead to {span} tokens ({ahead['horizon']})"


def ahead_captions(ahead: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = [
        ("could catch up", f"could catch up: chance that the loss is then below that of {ahead['rival']}"),
        (
            "× compute",
            f"× compute, × seconds: what {ahead['reference']} needs for the same loss as now, over its own (2: twice)",
        ),
    ]
    held, count = ahead["backtest"]["held"], ahead["backtest"]["of"]
    if count:
        lines.append(("", f"forecasts made in earlier rounds: {held} of {count} losses lay in the 90 % interval"))
    return lines


# -- what was cut too early


def cut_too_early(bracket: Bracket) -> str | None:
    """The first line of the result where a contestant that was cut and trained on ended better than the winner."""
    winner, last = bracket.winner(), len(bracket.rounds) - 1
    if winner is None:
        return None
    of_winner, played, told = _ends(bracket, last, winner), set(bracket.contestants(last)), []
    for name in bracket.flops:
        ends = _ends(bracket, last, name) if name not in played else {}
        common = ends.keys() & of_winner.keys()
        if common:  # another seed moves all contestants alike, so only the same seeds compare
            own, best = (mean(losses[seed] for seed in common) for losses in (ends, of_winner))
            of_winner_said = f"{winner}, on the same seeds, at {best:.4f}"
        else:
            own, best = min(ends.values(), default=math.inf), bracket.loss(last, winner)
            of_winner_said = f"{winner} at {best:.4f}"
        if own < best:
            text = _too_early(bracket, name, own, ends=None if common else list(ends.values()), best=best)
            told.append((own - best, f"{text}; the winner {of_winner_said}"))
    return "; ".join(text for _, text in sorted(told)) or None


def _ends(bracket: Bracket, index: int, name: str) -> dict[int, float]:
    """Held-out losses at a round's end of each seed of a contestant, whether it competed there or not."""
    outcomes = bracket.rounds[index].outcomes.items()
    return {run.seed: o.heldout_loss for run, o in outcomes if run.contestant == name and o.heldout_loss is not None}


def _too_early(bracket: Bracket, name: str, own: float, *, ends: Sequence[float] | None, best: float) -> str:
    """ends: losses of its runs where own is the least of them, not their mean."""
    out = _last_played(bracket, len(bracket.rounds) - 1, name) + 1
    if ends and mean(ends) >= best:
        return (
            f"cut too early, as one of its {len(ends)} runs says that trained on: {name}, out in round {out}, ended at "
            f"{own:.4f} nats/token (mean {mean(ends):.4f})"
        )
    ended = mean(ends) if ends else own
    return f"cut too early: {name}, out in round {out}, trained on and ended at {ended:.4f} nats/token"
