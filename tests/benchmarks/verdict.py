"""False positives and power of the verdict (significance): simulations of the rule, without training.

    python tests/benchmarks/verdict.py [--rounds 20000] [--orders 20000] [--tournaments 3000]

orders    the recorded first round in random orders of arrival: ours, and Ray's built-in ASHA beside it
same      rounds of ten identical contestants: in how many is any cut called settled
power     five of ten worse by k seed_sd: share of those cuts that are called settled
position  tournaments of identical contestants through the scheduler: does the order of entering win
"""

import argparse
import collections
import random
import sys
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


def play(rng: random.Random, rules: Rules, seeds: int, twins: int, gap: float = 0.0, common: float = 0.0) -> Bracket:
    """One decided round of ten: five are worse by `gap`. common: part of the seed's spread that all share."""
    bracket = Bracket(
        rules, dict.fromkeys(TEN, 1.0), dict.fromkeys(TEN, range(seeds)), [Run(TEN[0], seeds + i) for i in range(twins)]
    )
    shared: dict[int, float] = {}
    while not bracket.rounds[0].is_decided:
        for run in [r for r in bracket.waiting_for() if bracket.next_round(r) == 0]:
            shared.setdefault(run.seed, rng.gauss(0, 1))
            noise = common**0.5 * shared[run.seed] + (1 - common) ** 0.5 * rng.gauss(0, 1)
            worse = gap if run.contestant in TEN[5:] else 0.0
            bracket.report(run, 0, Outcome(5 + SD * (noise + worse)))
    return bracket


def same(count: int) -> None:
    cases = {
        "two seeds, contested = cut": (Rules([5, 1], "cut"), 2, 0),
        "one seed, four twins, contested = cut": (Rules([5, 1], "cut"), 1, 4),
        "one seed, two twins, contested = cut": (Rules([5, 1], "cut"), 1, 2),
        "one seed, four twins, contested = seeds (the default)": (Rules([5, 1], "seeds", 3), 1, 4),
    }
    for case, (rules, seeds, twins) in cases.items():
        rng, clean, used = random.Random(1), 0, 0
        for _ in range(count):
            bracket = play(rng, rules, seeds, twins)
            clean += all(label.verdict != "settled" for label in bracket.labels(0).values())
            used += sum(map(len, bracket.seeds.values()))
        print(
            f"identical contestants, {case}: no cut called settled in {100 * clean / count:.1f} % "
            f"of {count:,} rounds ({used / count / 10:.2f} seeds a contestant)"
        )


def power(count: int) -> None:
    print(f"share of the five worse contestants' cuts called settled ({count:,} rounds each), and best five found")
    print("gap (seed_sd)      " + "".join(f"{gap:>16}" for gap in (1, 2, 4, 5, 6, 8)))
    cases = {
        "2 seeds": (Rules([5, 1], "cut"), 2, 0),
        "3 seeds": (Rules([5, 1], "cut"), 3, 0),
        "1 seed, 4 twins": (Rules([5, 1], "cut"), 1, 4),
        "default (1 to 3)": (Rules([5, 1], "seeds", 3), 1, 4),
    }
    for case, (rules, seeds, twins) in cases.items():
        cells = []
        for gap in (1, 2, 4, 5, 6, 8):
            rng, settled, right, total = random.Random(2), 0, 0, 0
            for _ in range(count):
                bracket = play(rng, rules, seeds, twins, gap)
                labels = bracket.labels(0)
                settled += sum(labels[n].verdict == "settled" for n in TEN[5:] if n in labels)
                right += set(bracket.best(0)) == set(TEN[:5])
                total += 5
            cells.append(f"{100 * settled / total:.0f} % ({100 * right / count:.0f} %)")
        print(f"{case:<19}" + "".join(f"{cell:>16}" for cell in cells))


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=20_000)
    parser.add_argument("--power", type=int, default=2000)
    parser.add_argument("--tournaments", type=int, default=3000)
    options = parser.parse_args()
    orders(options.orders)
    same(options.rounds)
    power(options.power)
    position(options.tournaments)


if __name__ == "__main__":
    main()
