"""All faults of the chaos suite, and the plan of a long run: which fault hits which pipeline, with which seed.

Data in: a seed, a count. Data out: Planned faults, the same each time: first those that the page shows the screens of,
then every other fault on each of its pipelines once, in an order that is drawn, then drawn ones.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from chaos_page import SCREENS
from damaged import DAMAGED
from faults import Fault
from killed import KILLED
from pipelines import PIPELINES
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
    first = shown(pairs)
    while pairs:
        rng.shuffle(pairs)
        for fault, name in (*first, *(pair for pair in pairs if pair not in first)):
            number = next(numbers)
            if number > most:
                return
            yield Planned(number, fault, name, f"{seed}/{number}")
        first = []


def shown(pairs: Sequence[tuple[Fault, str]]) -> list[tuple[Fault, str]]:
    """A fault on one of its pipelines for each screen of the page: in turn those without Ray, which come first.

    They are quicker.
    """
    chosen = []
    for place, names in enumerate(SCREENS.values()):
        of = next((of for name in names if (of := [pair for pair in pairs if pair[0].name == name])), [])
        of = [pair for pair in of if not PIPELINES[pair[1]].has_ray] or of
        chosen += [of[place % len(of)]] if of else []
    return sorted(chosen, key=lambda pair: PIPELINES[pair[1]].has_ray)
