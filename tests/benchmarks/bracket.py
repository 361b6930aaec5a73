"""What the rule of a league costs: CPU seconds of whole leagues of fake trials, and how they grow with contestants.

    python tests/benchmarks/bracket.py [--contestants 10,20,40,80,160] [--documents 100]

Each league goes through the real scheduler and bracket, with a stand-in for Tune: half of the contestants go on in
every round. Counted is the CPU time within the scheduler's calls, the parsing of reports included. Left out are the
ledger's file, and what is loaded and tabulated once for the process (NumPy, the Studentised range): each league is
played twice, and the second play counts.
"""

import argparse
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tournament"))

from fakes import play_fake, random_outcome

from tournament.bracket import Bracket, Rules

LEAGUES = {  # rules, seeds of the first round and whether one more joins in each later one
    "sync, contested = cut": ({"contested": "cut"}, 2, False),
    "sync, contested = keep": ({"contested": "keep"}, 2, False),
    "sync, one more seed a round": ({"max_factor": 4}, 2, True),
    "async": ({"mode": "async"}, 2, False),
}
AT_MOST = {10: 0.05, 20: 0.2, 40: 0.5}  # seconds


class Clock:
    """CPU seconds within its contexts."""

    def __init__(self) -> None:
        self.seconds, self.calls = 0.0, 0

    @contextmanager
    def measure(self) -> Iterator[None]:
        began = time.process_time()
        yield
        self.seconds += time.process_time() - began
        self.calls += 1


def league(contestants: int, rules: dict, seeds: int, is_growing: bool, documents: int) -> Clock:
    names = [f"c{i:03}" for i in range(contestants)]
    keep = [contestants >> power for power in range(1, contestants.bit_length())]
    joins = dict.fromkeys(range(seeds), 0)
    joins |= {seeds - 1 + index: index for index in range(1, len(keep))} if is_growing else {}
    bracket = Bracket(
        Rules(keep, **rules, rows=128),
        {name: 1.0 + place for place, name in enumerate(names)},
        dict.fromkeys(names, joins),
    )
    rng, clock = random.Random(contestants), Clock()
    outcome = random_outcome(bracket, rng, worse=0.003, seed_sd=0.05, count=documents)
    play_fake(bracket, outcome, rng, measure=clock.measure)
    return clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contestants", default="10,20,40,80,160")
    parser.add_argument("--documents", type=int, default=100, help="held-out documents of each of two sources")
    options = parser.parse_args()
    counts = [int(count) for count in options.contestants.split(",")]
    print(f"CPU seconds of a league, {options.documents} documents a source; in brackets: calls of the scheduler")
    print(f"{'contestants':<28}" + "".join(f"{count:>16}" for count in counts) + f"{'exponent':>10}")
    for name, (rules, seeds, is_growing) in LEAGUES.items():
        cells = []
        for count in counts:
            league(count, rules, seeds, is_growing, options.documents)
            cells.append(league(count, rules, seeds, is_growing, options.documents))
        seconds = [clock.seconds for clock in cells]
        exponent = np.polyfit(np.log(counts), np.log(seconds), 1)[0]
        texts = (f"{clock.seconds:.3f} ({clock.calls:,})" for clock in cells)
        print(f"{name:<28}" + "".join(f"{text:>16}" for text in texts) + f"{exponent:>10.2f}", flush=True)
        slow = [n for n, x in zip(counts, seconds, strict=True) if x > AT_MOST.get(n, float("inf"))]
        if slow:
            raise SystemExit(f"{name}: too slow at {slow} contestants; at most {AT_MOST} s")


if __name__ == "__main__":
    main()
