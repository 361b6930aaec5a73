"""A league that trained all to the end, replayed as shorter ones: whom each plan would have chosen, at what regret.

    python tests/benchmarks/replayed.py RUN ...     folders of finished leagues in which all trained to the end:
    tournament --config laptop --only NAME ... (all ten) steps=[100,100,200] keep=[12,11,1] seeds=3 \\
        evaluations_per_round=8

A plan: how many stay after each round, after which share of the steps the rounds end, how many seeds. It is replayed
with every choice of that many seeds, the same for all contestants, as a league plays them ("paired"); and with seeds
drawn for each contestant by itself ("shuffled", 2,000 draws, by forecast 200), which takes away what a seed has in
common for all.
"By forecast": cuts before the last are of the losses forecast for the plan's end, as `judge = "forecast"` makes them.
Regret: the chosen one's loss at the end, mean over all seeds of the league, beyond the lowest such mean. "unseen": of
the paired ones, by the ends of those seeds alone that the plan did not look at.
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
from timing import show

from tournament.bracket import read_rounds
from tournament.forecast import Curve, Forecasts, Misfit
from tournament.learning_curve import Point, curve_of_rounds

DRAWS, FORECAST_DRAWS = 2000, 200
SHARES = (0.25, 0.5, 1.0)  # of the steps, at the rounds' ends
HALVED = tuple(share / 2 for share in SHARES)
PLANS = {  # name: kept after each round, ends of the rounds, seeds
    "one seed": ((5, 3, 1), SHARES, 1),
    "two seeds, half the steps": ((5, 3, 1), HALVED, 2),
    "one seed, four stay after round 1": ((4, 2, 1), SHARES, 1),
    "one seed, all to the end": ((10, 10, 1), SHARES, 1),
    "two seeds": ((5, 3, 1), SHARES, 2),
    "two seeds, seven stay after round 1": ((7, 3, 1), SHARES, 2),
    "two seeds, all to the end": ((10, 10, 1), SHARES, 2),
}

BY_FORECAST = ("one seed", "two seeds, half the steps", "one seed, four stay after round 1", "two seeds")


def league(document: dict) -> tuple[list[str], np.ndarray, list[list[list[Point]]]]:
    """Names; (contestants, seeds, looks) held-out losses at the ends of rounds and of halved rounds; all looks."""
    rounds = read_rounds(document)
    runs = sorted({run for round_ in rounds for run in round_.outcomes})
    names = list(dict.fromkeys(run.contestant for run in runs))
    curves = {}
    for run in runs:
        outcome = rounds[-1].outcomes.get(run)
        if outcome is not None and outcome.heldout_loss is not None:
            curves[run] = curve_of_rounds(rounds, run, outcome.facts["flops"] / outcome.facts["tokens"])
    whole = [name for name in names if any(run.contestant == name for run in curves)]
    seeds = min(sum(run.contestant == name for run in curves) for name in whole)
    ends = sorted({*SHARES, *HALVED})
    looks = [[curve for run, curve in sorted(curves.items()) if run.contestant == name][:seeds] for name in whole]
    table = [[[_at(curve, share) for share in ends] for curve in of_name] for of_name in looks]
    return whole, np.array(table), looks


def _at(curve: list[Point], share: float) -> float:
    """Loss after a share of a curve's tokens, straight over log tokens between the looks beside it."""
    tokens = np.log([point.tokens for point in curve])
    return float(np.interp(tokens[-1] + np.log(share), tokens, [point.loss for point in curve]))


def chosen(table: np.ndarray, keep: tuple[int, ...], ends: tuple[float, ...]) -> int:
    """Whom a plan chooses. table: (contestants, looks), means over its seeds."""
    places, left = sorted({*SHARES, *HALVED}), np.arange(len(table))
    for count, share in zip(keep, ends, strict=True):
        left = left[np.argsort(table[left, places.index(share)], kind="stable")][:count]
    return int(left[0])


def chosen_by_forecast(curves: list[list[list[Point]]], keep: tuple[int, ...], ends: tuple[float, ...]) -> int:
    """Whom a plan chooses that cuts by what is forecast for its end. curves: of each contestant its seeds' looks."""
    left, seen = list(range(len(curves))), {}
    for count, share in zip(keep, ends, strict=True):
        seen |= {str(place): [_until(curve, share) for curve in curves[place]] for place in left}
        forecasts, horizon = Forecasts(seen, misfit=Misfit()), ends[-1] * curves[0][0][-1].tokens
        left = sorted(left, key=lambda place: forecasts.at(str(place), horizon).loss)[:count]
    return left[0]


def _until(curve: list[Point], share: float) -> Curve:
    """A curve up to a share of its tokens, where it ends with the loss that is ranked there."""
    end = share * curve[-1].tokens
    before = [point for point in curve if point.tokens < 0.999 * end]
    return Curve((*(p.tokens for p in before), end), (*(p.loss for p in before), _at(curve, share)))


def cost(keep: tuple[int, ...], ends: tuple[float, ...], seeds: int, field: int) -> float:
    """Whole trainings that a plan takes."""
    entered, began = (field, *keep), (0.0, *ends)
    return seeds * sum(min(entered[i], field) * (ends[i] - began[i]) for i in range(len(ends)))


def replay(
    table: np.ndarray, plan, rng: np.random.Generator, looks: list[list[list[Point]]] | None = None
) -> tuple[list[float], list[float], list[float]]:
    """Regrets of a plan, paired, shuffled and paired on unseen seeds. looks: to cut by forecast."""
    (keep, ends, count), (field, seeds, _) = plan, table.shape
    keep = tuple(min(each, field) for each in keep)

    def winner_of(order: np.ndarray) -> int:
        """order: (contestants, seeds) indices of the seeds."""
        if looks is not None:
            return chosen_by_forecast([[looks[i][s] for s in order[i]] for i in range(field)], keep, ends)
        return chosen(np.take_along_axis(table, order[:, :, None], axis=1).mean(axis=1), keep, ends)

    truth = table[:, :, -1].mean(axis=1)
    paired, unseen = [], []
    for which in itertools.combinations(range(seeds), count):
        winner = winner_of(np.tile(which, (field, 1)))
        paired.append(truth[winner] - truth.min())
        rest = [seed for seed in range(seeds) if seed not in which]
        if rest:
            other = table[:, rest, -1].mean(axis=1)
            unseen.append(other[winner] - other.min())
    shuffled = []
    for _ in range(DRAWS if looks is None else FORECAST_DRAWS):
        order = rng.permuted(np.tile(np.arange(seeds), (field, 1)), axis=1)[:, :count]
        shuffled.append(truth[winner_of(order)] - truth.min())
    return paired, shuffled, unseen


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("runs", nargs="+", type=Path)
    for folder in options.parse_args().runs:
        names, table, looks = league(json.loads((folder / "bracket.json").read_text()))
        ends = table[:, :, -1]
        noise = np.sqrt(ends.var(axis=1, ddof=1).mean())
        print(f"{folder.name}: {ends.shape[1]} seeds, seed sd at the end {noise:.4f} nats; at the end:")
        for place in np.argsort(ends.mean(axis=1)):
            print(f"  {names[place]:<22}{ends[place].mean():.4f}   " + "  ".join(f"{loss:.4f}" for loss in ends[place]))
        rng, rows = np.random.default_rng(0), []
        judged = [(name, plan, None) for name, plan in PLANS.items()]
        judged += [(f"{name}, by forecast", PLANS[name], looks) for name in BY_FORECAST]
        for name, plan, curves in judged:
            paired, shuffled, unseen = replay(table, plan, rng, curves)
            told = f"{np.mean(unseen):.4f}" if unseen else ""
            best = f"{np.mean(np.array(shuffled) == 0):.0%}"
            trainings = f"{cost(*plan, len(names)):.1f}"
            rows.append([name, trainings, f"{np.mean(paired):.4f}", f"{np.mean(shuffled):.4f}", best, told])
        columns = ["plan", "trainings", "regret, paired", "shuffled", "best found", "unseen"]
        show(f"{folder.name}, nats per token", columns, rows)


if __name__ == "__main__":
    main()
