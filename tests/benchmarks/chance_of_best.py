"""Calibration of P(best of ten): what is stated of a league's winner beside how often it is the best.

    python tests/benchmarks/chance_of_best.py [--leagues 4000] [--seeds 2 3 4] [--keep 5 3 1]
        [--spread 1 2 4] [--common 0 .3 .7] [--drift 0 0 0] [--persistence 0] [--noise 1 1 1]

A league is simulated here, without the tournament's code: ten true losses N(0, spread²) in units of the seed noise;
each seed of each round adds noise, of which `common` is the same for all contestants; a round's true losses may be off
the last round's by `drift`, a run's noise may last from round to round (persistence), and fall: `noise` are its sizes.
The best mean losses go on.
"""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # matrices are small; several cells side by side

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tournament.chance_of_best import RoundEvidence, best_of_all

TEN = [f"v{i:02}" for i in range(10)]
RECORDED_SEED_SD = 0.03  # nats


def league(rng, *, keep, seeds, spread, common, drift, persistence, noise=(1, 1, 1)):
    """True losses of ten, and the evidence of each round: means, covariance, degrees of freedom, and losses of runs."""
    truth = rng.normal(0, spread, 10)
    most, alive, rounds = max(seeds), np.arange(10), []
    lasting_own, lasting_shared = rng.normal(size=(10, most)), rng.normal(size=most)
    for count, n, off, size in zip(keep, seeds, drift, noise, strict=True):
        own = persistence**0.5 * lasting_own[:, :n] + (1 - persistence) ** 0.5 * rng.normal(size=(10, n))
        shared = persistence**0.5 * lasting_shared[:n] + (1 - persistence) ** 0.5 * rng.normal(size=n)
        here = truth + rng.normal(0, off, 10) if off else truth
        luck = size * ((1 - common) ** 0.5 * own + common**0.5 * shared)
        losses = 5 + RECORDED_SEED_SD * (here[:, None] + luck)
        rows = losses[alive]
        means, df = rows.mean(axis=1), (len(alive) - 1) * (n - 1)
        rest = rows - means[:, None] - rows.mean(axis=0) + rows.mean()
        variance = (rest**2).sum() / df if df else 0.0
        of_means = variance / n * np.eye(len(alive))
        names, of_runs = [TEN[i] for i in alive], [dict(enumerate(row)) for row in rows]
        spreads, counts = np.full(len(alive), variance**0.5), [n] * len(alive)
        evidence = RoundEvidence(names, means, of_means, df, spreads, counts)
        rounds.append(replace(evidence, losses=dict(zip(names, of_runs, strict=True))))
        alive = alive[np.argsort(means)[:count]]
    return truth, rounds, alive[0]


def calibrate(leagues, draws, seed=0, **settings):
    """(leagues, 4): stated P(best) of the winner, whether it is the best, stated and true regret in seed_sd."""
    rng, rows = np.random.default_rng(seed), []
    for _ in range(leagues):
        truth, rounds, winner = league(rng, **settings)
        stated = best_of_all(rounds, draws=draws).chances[TEN[winner]]
        rows.append(
            (stated.best, winner == truth.argmin(), stated.regret / RECORDED_SEED_SD, truth[winner] - truth.min())
        )
    return np.array(rows, dtype=float)


def in_bins(rows):
    """Stated → true: mean P(best) and regret, then each bin of the stated P(best) that 50 leagues or more fall in."""
    cells = []
    for low in np.arange(0, 10) / 10:
        inside = rows[(rows[:, 0] >= low) & (rows[:, 0] < low + 0.1 + (low == 0.9))]
        if len(inside) >= 50:
            cells.append(f"{inside[:, 0].mean():.2f} → {inside[:, 1].mean():.2f} ({len(inside)})")
    means = rows.mean(axis=0)
    return f"all {means[0]:.3f} → {means[1]:.3f}, regret {means[2]:.3f} → {means[3]:.3f}; " + ", ".join(cells)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--leagues", type=int, default=4000)
    parser.add_argument("--draws", type=int, default=1024)
    parser.add_argument("--keep", type=int, nargs="+", default=[5, 3, 1])
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--spread", type=float, nargs="+", default=[1, 2, 4])
    parser.add_argument("--common", type=float, nargs="+", default=[0, 0.3, 0.7])
    parser.add_argument("--drift", type=float, nargs="+", default=[0, 0, 0])
    parser.add_argument("--persistence", type=float, default=0.0)
    parser.add_argument("--noise", type=float, nargs="+", default=[1, 1, 1])
    options = parser.parse_args()
    fixed = {name: getattr(options, name) for name in ("keep", "seeds", "drift", "persistence", "noise")}
    print(f"{options.leagues} leagues a line; {fixed}; in each bin of the stated P(best): stated → true (leagues)")
    together = []
    for spread in options.spread:
        for common in options.common:
            rows = calibrate(options.leagues, options.draws, spread=spread, common=common, **fixed)
            together.append(rows)
            print(f"τ = {spread:g}, common {common:g}: {in_bins(rows)}", flush=True)
    print(f"all of them: {in_bins(np.concatenate(together))}")


if __name__ == "__main__":
    main()
