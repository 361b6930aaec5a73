"""Backtest of forecasts on real leagues: error, coverage, order of pairs, and what a cut by forecast would have cost.

python tests/benchmarks/forecasts.py RUN ...     folders of finished leagues, best such as train all to the end:
    tournament --config laptop --only NAME ... (all ten) steps=[100,100,200] keep=[12,11,1] evaluations_per_round=8

From each round's end the loss at each later one is forecast, by the project's method and by four others beside it.
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np

from tournament.bracket import read_rounds
from tournament.forecast import Course, Curve, Forecasts
from tournament.learning_curve import curve_of_rounds

HALF = 0.25  # of the tokens: looks before are not fitted


def curves(document: dict, upto: int) -> dict[str, list[Curve]]:
    """The curves of a league's ledger up to a round."""
    rounds = read_rounds(document)
    outcomes = [pair for round_ in rounds for pair in round_.outcomes.items()]
    per_token = {run.contestant: o.facts["flops"] / o.facts["tokens"] for run, o in outcomes if o.facts}
    found: dict[str, list[Curve]] = {}
    for run in dict.fromkeys(run for round_ in rounds[: upto + 1] for run in round_.outcomes):
        points = curve_of_rounds(rounds[: upto + 1], run, per_token.get(run.contestant, 1.0))
        if points:
            found.setdefault(run.contestant, []).append(
                Curve(tuple(p.tokens for p in points), tuple(p.loss for p in points))
            )
    return found


def truths(document: dict, index: int) -> dict[str, tuple[float, float]]:
    """Contestant -> (tokens, ranked loss) at a round's end, means over seeds."""
    ends: dict[str, list[tuple[float, float]]] = {}
    for row in document["rounds"][index]["outcomes"]:
        if row["heldout_loss"] is not None:
            ends.setdefault(row["contestant"], []).append((row["facts"]["tokens"], row["heldout_loss"]))
    return {name: tuple(np.mean(pairs, axis=0)) for name, pairs in ends.items()}


def project(found, tokens):
    forecasts = Forecasts(found)
    return {name: forecasts.at(name, tokens).loss for name in forecasts.names}


def same_difference(found, tokens):
    forecast = project(found, tokens)
    drop = np.mean([_last(found, name) - loss for name, loss in forecast.items()])
    return {name: _last(found, name) - drop for name in forecast}


def same_ratio(found, tokens):
    course = Course([curve for of_name in found.values() for curve in of_name])
    return {
        name: _last(found, name) * np.exp(course.log(tokens) - course.log(of[0].tokens[-1]))
        for name, of in found.items()
    }


def own_slope(found, tokens):
    def one(curve):
        at, losses = np.log(curve.tokens), np.log(curve.losses)
        late = at >= at[-1] + np.log(HALF) - 1e-9
        return curve.losses[-1] * np.exp(np.polyfit(at[late], losses[late], 1)[0] * (np.log(tokens) - at[-1]))

    return {name: float(np.mean([one(curve) for curve in of_name])) for name, of_name in found.items()}


def own_law(found, tokens):
    return {name: project({name: of_name}, tokens)[name] for name, of_name in found.items()}


METHODS = {
    "project": project,
    "same difference": same_difference,
    "same ratio": same_ratio,
    "own power law": own_slope,
    "own law with offset": own_law,
}


def _last(found, name):
    return float(np.mean([curve.losses[-1] for curve in found[name]]))


def _order(predicted, real):
    pairs = list(itertools.combinations(real, 2))
    return np.mean([(predicted[a] < predicted[b]) == (real[a] < real[b]) for a, b in pairs])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("runs", nargs="+", type=Path)
    rows, inside, brier = {}, [], []
    for folder in options.parse_args().runs:
        document = json.loads((folder / "bracket.json").read_text())
        count = len(document["rounds"])
        for earlier, later in itertools.combinations(range(count), 2):
            found, ends = curves(document, earlier), truths(document, later)
            ends = {name: end for name, end in ends.items() if name in truths(document, earlier)}
            found = {name: of_name for name, of_name in found.items() if name in truths(document, earlier)}
            if len(ends) < 3:
                continue
            tokens = next(iter(ends.values()))[0]
            real = {name: loss for name, (_, loss) in ends.items()}
            for method, forecast in METHODS.items():
                predicted = forecast(found, tokens)
                gaps = np.array([np.log(predicted[name] / loss) for name, loss in real.items()])
                regret = real[min(real, key=predicted.__getitem__)] - min(real.values())
                rows.setdefault(method, []).append((gaps.mean(), gaps.std(ddof=1), _order(predicted, real), regret))
            forecasts = Forecasts(found)
            for name, loss in real.items():
                at = forecasts.at(name, tokens)
                inside.append(at.low <= loss <= at.high)
            for a, b in itertools.combinations(real, 2):
                brier.append((forecasts.probability_below(a, tokens, b, tokens), real[a] < real[b]))
    print(f"{'method':<22}{'common error':>14}{'own error':>12}{'pairs in order':>16}{'regret of best':>16}")
    for method, cells in rows.items():
        common, own, order, regret = np.array(cells).T
        rms = [np.sqrt(np.mean(column**2)) for column in (common, own)]
        print(f"{method:<22}{rms[0]:>14.4f}{rms[1]:>12.4f}{order.mean():>16.3f}{regret.mean():>16.4f}")
    print(f"90 % intervals of the project's method: {sum(inside)} of {len(inside)} ({np.mean(inside):.1%})")
    told, happened = np.array(brier).T
    for low in (0.0, 0.1, 0.3, 0.5, 0.7, 0.9):
        chosen = (told >= low) & (told < (low + 0.2 if 0 < low < 0.9 else low + 0.1 + 1e-9))
        if chosen.any():
            print(f"told {told[chosen].mean():.2f}: happened {happened[chosen].mean():.2f} ({chosen.sum()} pairs)")


if __name__ == "__main__":
    main()
