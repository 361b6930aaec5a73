"""False positives and power of the verdict (significance): simulations of the rule, without training.

    python tests/benchmarks/verdict.py [--only orders equals unequal sweep pair power position] [--leagues 4000]

All play the real bracket. A *settled cut* of a league is one anywhere, from the first round to the winner.

orders    the recorded first round in random orders of arrival: ours, and Ray's built-in ASHA beside it
equals    leagues of ten identical contestants, shipped plans, shares of the seed noise that all have in common
unequal   the same where seeds of the contestants do not spread alike
sweep     four equal settings with the spreads measured at a third, one, three and six times the rate
pair      two of ten contestants 4 seed_sd apart: how often their difference is called settled
power     five of ten worse by k seed_sd: share of their cuts that are called settled
position  leagues of identical contestants through the scheduler: does the order of entering win
"""

import argparse
import collections
import math
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tournament"))

from fakes import play_fake

from tournament.bracket import Bracket, Outcome, Rules, Run

RECORDED = {  # the recorded first round: training loss of the last 100 steps; two contestants never reported
    "v01_dense_small": 7.1641,
    "v02_dense_medium": 7.1108,
    "v03_diffattn_small": 7.1537,
    "v04_diffattn_medium": 7.0951,
    "v05_moe_small": 7.2867,
    "v06_moe_medium": 7.2870,
    "v07_hybrid_small": 7.2405,
    "v08_hybrid_medium": None,
    "v09_deep_narrow": 7.2687,
    "v10_wide_shallow": None,
}
TEN = [f"v{i:02}" for i in range(10)]
SD = 0.03  # nats, one seed of one contestant
# plans: of each round how many stay in and how many seeds each contestant has
PLANS = {"laptop, smoke": ((5, 3, 1), (2, 2, 2)), "rtx3090": ((5, 3, 1), (2, 3, 4))}
COMMON = (0.0, 0.3, 0.7)  # shares of the variance between seeds that all contestants have in common
MEASURED_SPREADS = (0.024, 0.060, 0.085, 0.248)  # nats, `smoke`, v10, 60 steps, four seeds a rate


def orders(count: int) -> None:
    rng, names, ours, asha = random.Random(0), list(RECORDED), collections.Counter(), collections.Counter()
    for _ in range(count):
        rng.shuffle(names)
        bracket = Bracket(Rules([5, 3, 1]), dict.fromkeys(sorted(RECORDED), 1.0))
        for name in names:
            loss = RECORDED[name]
            bracket.report(Run(name, 0), 0, Outcome(loss, failure=None if loss else "oom"))
        ours[tuple(sorted(bracket.rounds[0].survivors))] += 1
        asha[_asha(names)] += 1
    print(
        f"{count:,} orders of arrival: ours {len(ours)} outcome(s); ASHA (reduction 2) {len(asha)}, "
        f"{min(map(len, asha))} to {max(map(len, asha))} survivors, "
        f"the true best five in {100 * asha[next(iter(ours))] / count:.1f} %"
    )


def _asha(names: list[str]) -> tuple[str, ...]:
    """The survivors of Ray's AsyncHyperBand (ASHA) when they arrive in this order."""
    from ray.tune.schedulers.async_hyperband import _Bracket
    from ray.tune.schedulers.trial_scheduler import TrialScheduler

    rung = _Bracket(min_t=5, max_t=10, reduction_factor=2, s=0)

    class Trial:
        def __init__(self, name: str) -> None:
            self.trial_id = name

    kept = [
        name
        for name in names
        if RECORDED[name] is not None and rung.on_result(Trial(name), 5, -RECORDED[name]) != TrialScheduler.STOP
    ]
    return tuple(sorted(kept))


def play(
    rng: random.Random,
    plan: tuple[tuple[int, ...], tuple[int, ...]],
    spreads: Sequence[float],
    *,
    common: float = 0.0,
    worse: Sequence[float] = (),
) -> Bracket:
    """A league, each round with noise of its own. spreads: standard deviations of a seed, its own and the shared part.

    common: the share of a calm contestant's variance that all have in common. worse: nats, of each contestant.
    """
    keep, counts = plan
    names = [f"v{i:02}" for i in range(len(spreads))]
    joins = {seed: next(i for i, count in enumerate(counts) if count > seed) for seed in range(counts[-1])}
    bracket = Bracket(Rules(keep), dict.fromkeys(names, 1.0), dict.fromkeys(names, joins))
    own = {name: spread * math.sqrt(1 - common) for name, spread in zip(names, spreads, strict=True)}
    means = dict(zip(names, worse or [0.0] * len(names), strict=True))
    shared_sd, index = min(spreads) * math.sqrt(common), 0
    while not bracket.is_over():
        shared = [rng.gauss(0, shared_sd) for _ in joins]
        for run in bracket.runs(index):
            loss = 5 + means[run.contestant] + shared[run.seed] + rng.gauss(0, own[run.contestant])
            bracket.report(run, index, Outcome(loss))
        index += 1
    return bracket


def settled_cuts(bracket: Bracket) -> int:
    """How many cuts of a league are called settled."""
    return sum(
        label.verdict == "settled" for index in range(len(bracket.rounds)) for label in bracket.labels(index).values()
    )


def settled_share(count: int, plan: tuple[tuple[int, ...], tuple[int, ...]], spreads: Sequence[float], **given) -> str:
    """In how many leagues any cut is settled, and the winner, percent."""
    rng, cuts, winners = random.Random(1), 0, 0
    for _ in range(count):
        bracket = play(rng, plan, spreads, **given)
        cuts += settled_cuts(bracket) > 0
        winners += bracket.winner_verdict() == "settled"
    return f"{100 * cuts / count:5.1f} %, the winner {100 * winners / count:4.1f} %"


def equals(count: int) -> None:
    for name, plan in PLANS.items():
        for common in COMMON:
            share = settled_share(count, plan, [SD] * 10, common=common)
            print(f"identical contestants, {name}, {common:.0%} common: a settled cut in {share}", flush=True)


def unequal(count: int) -> None:
    cases = {
        "others twice one's": [1, *[2] * 9],
        "others three times one's": [1, *[3] * 9],
        "one four times": [4, *[1] * 9],
    }
    for name, plan in PLANS.items():
        for case, factors in cases.items():
            share = settled_share(count, plan, [SD * factor for factor in factors])
            print(f"equals, {case}, {name}: a settled cut in {share}", flush=True)


def sweep(count: int) -> None:
    for name, plan in PLANS.items():
        share = settled_share(count, plan, MEASURED_SPREADS)
        print(f"four equal settings of a sweep, {name}: a settled cut in {share}", flush=True)


def pair(count: int) -> None:
    plan = ((5, 1), (2, 2))
    for common in (0.0, 0.3, 0.6):
        rng, found = random.Random(2), 0
        for _ in range(count):
            bracket = play(rng, plan, [SD] * 10, common=common, worse=[0.0, 4 * SD, *[0.0] * 8])
            found += bracket.compare(0, TEN[1], TEN[0]).verdict == "settled"
        print(
            f"a pair 4 seed_sd apart, 2 seeds, {common:.0%} common: settled in {100 * found / count:.0f} %", flush=True
        )


def power(count: int) -> None:
    print(f"share of the five worse contestants' cuts called settled ({count:,} rounds each), and best five found")
    gaps = (1, 2, 4, 5, 6, 8)
    print("gap (seed_sd)           " + "".join(f"{gap:>16}" for gap in gaps))
    for seeds, common in ((2, 0.0), (2, 0.7), (3, 0.0), (3, 0.7)):
        cells = []
        for gap in gaps:
            rng, settled, right = random.Random(2), 0, 0
            for _ in range(count):
                bracket = play(rng, ((5,), (seeds,)), [SD] * 10, common=common, worse=[*[0.0] * 5, *[gap * SD] * 5])
                settled += sum(bracket.labels(0)[n].verdict == "settled" for n in TEN[5:] if n in bracket.labels(0))
                right += set(bracket.best(0)) == set(TEN[:5])
            cells.append(f"{20 * settled / count:.0f} % ({100 * right / count:.0f} %)")
        print(f"{seeds} seeds, {common:.0%} common".ljust(24) + "".join(f"{cell:>16}" for cell in cells), flush=True)


def position(count: int) -> None:
    rng, wins = random.Random(3), collections.Counter()
    for _ in range(count):
        bracket = Bracket(Rules([5, 3, 1]), {n: 1.0 for n in TEN})
        play_fake(bracket, lambda run, index: Outcome(5 + rng.gauss(0, SD)), rng)
        wins[bracket.winner()] += 1
    p = stats.chisquare([wins[n] for n in TEN]).pvalue
    print(
        f"{count:,} tournaments of identical contestants through the scheduler: wins {[wins[n] for n in TEN]}, "
        f"χ² p = {p:.3f}"
    )


KINDS = {f.__name__: f for f in (orders, equals, unequal, sweep, pair, power, position)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--leagues", type=int, default=4000)
    options = parser.parse_args()
    for name in options.only:
        KINDS[name](options.orders if name == "orders" else options.leagues)


if __name__ == "__main__":
    main()
