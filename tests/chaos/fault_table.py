"""All faults of the chaos suite, and the plan of a long run: which fault hits which pipeline, with which seed.

Data in: a seed, a count. Data out: Planned faults, the same each time: first every fault on each of its pipelines once,
in an order that is drawn, then drawn ones.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from damaged import DAMAGED
from faults import Fault
from killed import KILLED
from starved import STARVED

FAULTS: tuple[Fault, ...] = (*KILLED, *STARVED, *DAMAGED)


@dataclass(frozen=True)
class Planned:
    """One fault of a long run."""

    number: int  # from 1 on
    fault: Fault
    pipeline: str
    seed: str  # of all that is drawn in it


def plan(seed: int, most: int, faults: tuple[Fault, ...] = FAULTS) -> Iterator[Planned]:
    """The first `most` faults of a long run."""
    pairs, rng, numbers = [(fault, name) for fault in faults for name in fault.pipelines], random.Random(seed), count(1)
    while pairs:
        rng.shuffle(pairs)
        for fault, name in pairs:
            number = next(numbers)
            if number > most:
                return
            yield Planned(number, fault, name, f"{seed}/{number}")
