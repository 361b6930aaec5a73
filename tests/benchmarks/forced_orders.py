"""Successive halving without ASHA's luck: one outcome in any order of completion, through the real Ray Tuner.

    python tests/benchmarks/forced_orders.py [--orders 200]

Nothing is trained. Ten contestants have known losses, with two ties (the cheaper one is kept), a NaN, and one whose
process is killed and starts again, late. They start in a forced order on four slots; the orders in which they complete
are counted.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ |= {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "RAY_AIR_NEW_OUTPUT": "0", "RAY_USAGE_STATS_ENABLED": "0"}
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tournament"))

import ray
from fakes import play

from tournament.bracket import Bracket, Rules

#          round 1      tie         NaN                 tie at the cut      the late one is among the best
LOSSES = {"a": 1.0, "b": 1.2, "c": 1.2, "d": float("nan"), "e": 1.4, "f": 1.4, "g": 1.3, "h": 1.6, "i": 1.7, "j": 1.8}
FLOPS = {"a": 1, "b": 2, "c": 1, "d": 1, "e": 2, "f": 1, "g": 1, "h": 1, "i": 1, "j": 1}
LATE = "g"
TOGETHER = 20  # leagues in one Tuner


def play_orders(orders: list[list[str]], folder: Path) -> list[tuple]:
    """Kept and winner of a league in each order, and the order they really came in."""
    brackets = [Bracket(Rules([5, 3, 1]), FLOPS) for _ in orders]
    rows = []
    for number, order in enumerate(orders):
        place = folder / str(number)
        place.mkdir()
        rows += [
            {
                "league": number,
                "contestant": name,
                "seed": 0,
                "round": 0,
                "folder": str(place),
                "losses": [str(LOSSES[name])] * 3,
                "die": 2 if name == LATE else 0,
            }
            for name in order
        ]
    play(brackets, rows, folder, cpus=0.5)
    return [
        (
            tuple(tuple(sorted(played.survivors)) for played in bracket.rounds),
            bracket.winner(),
            tuple(run.contestant for run in bracket.rounds[0].outcomes),
        )
        for bracket in brackets
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=200)
    options = parser.parse_args()
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="CRITICAL")
    rng, outcomes, completion_orders, began = random.Random(0), Counter(), set(), time.monotonic()
    while (left := options.orders - outcomes.total()) > 0:
        orders = [rng.sample(list(LOSSES), len(LOSSES)) for _ in range(min(TOGETHER, left))]
        with tempfile.TemporaryDirectory() as folder:
            for kept, winner, order in play_orders(orders, Path(folder)):
                outcomes[kept, winner] += 1
                completion_orders.add(order)
        print(
            f"{outcomes.total()}: {len(completion_orders)} different orders of completion, {len(outcomes)} outcome(s), "
            f"{time.monotonic() - began:.0f} s",
            flush=True,
        )
    for (kept, winner), count in outcomes.items():
        print(f"{count} of {options.orders}: {' -> '.join(''.join(names) for names in kept)}, winner {winner}")


if __name__ == "__main__":
    main()
