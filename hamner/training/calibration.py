"""Calibration (autotuning): times the ways in which a step can be computed on this machine, and chooses among them.

Data in: ways of computing the same, each a call. Data out: their times, round by round, and which of them is chosen.
The rule is `choose`, on plain numbers; what is timed is in kernel_timing.py and trial_timing.py, what is made of it in
calibrate.py. docs/calibration.md has the rule in words.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

MARGIN = 0.03  # of the median: less than that is not worth another rounding
ERROR = 0.05  # probability that chance alone lets one of a comparison's alternatives win
ROUNDS, FEWEST_ROUNDS = 12, 7  # 7 wins of 7 have a probability of 0.008, 7 of 8 one of 0.035
SECONDS = 5.0  # of one comparison, once it has its fewest rounds
HOPELESS = 2.5  # times as long as the fastest: not timed again


@dataclass(frozen=True)
class Alternative:
    """One way of computing something."""

    way: str  # in words
    run: Callable[[], None]  # computes it once, to its end
    values: dict[str, Any] = field(default_factory=dict)  # key of the section compute -> value; empty: the rule's


@dataclass(frozen=True)
class Comparison:
    """Several ways of computing the same. The first is the rule's."""

    of: str
    alternatives: Sequence[Alternative]
    is_advice: bool = False  # what wins is said, not chosen: it is more than another order of sums


@dataclass(frozen=True)
class Judged:
    """An alternative beside the rule's way."""

    seconds: float  # median
    ratio: float  # median over the rounds of its time divided by the rule's
    wins: int  # rounds in which it was the faster
    rounds: int


def judged(times: Sequence[Sequence[float]]) -> list[Judged]:
    """Each alternative's times, round by round, beside those of the rule's way, the first.

    One that was dropped has fewer times than the others: those it has count.
    """
    rows = []
    for own in times:
        pairs = list(zip(own, times[0], strict=False))
        wins = sum(mine < rules for mine, rules in pairs)
        ratio = statistics.median(mine / rules for mine, rules in pairs)
        rows.append(Judged(statistics.median(own), ratio, wins, len(pairs)))
    return rows


def choose(times: Sequence[Sequence[float]]) -> int:
    """Index of the way to compute: 0, the rule's, unless another one wins beyond the noise.

    It wins where its median ratio is below 1 - MARGIN, and it was the faster in more rounds than chance explains: a
    sign test at ERROR, shared by the alternatives (Bonferroni). Of several that win, the one of the lowest ratio.
    """
    rows = judged(times)
    others = range(1, len(rows))
    winners = [
        index
        for index in others
        if rows[index].ratio < 1 - MARGIN and chance_of(rows[index].wins, rows[index].rounds) <= ERROR / len(others)
    ]
    return min(winners, key=lambda index: rows[index].ratio, default=0)


def chance_of(wins: int, rounds: int) -> float:
    """Probability of at least so many wins among rounds of two equal things."""
    return float(sum(math.comb(rounds, count) for count in range(wins, rounds + 1)) / 2**rounds)


def interleaved(
    runs: Sequence[Callable[[], None]],
    *,
    seconds: float = SECONDS,
    rounds: int = ROUNDS,
    fewest: int = FEWEST_ROUNDS,
    hopeless: float = HOPELESS,
    clock: Callable[[], float] = time.perf_counter,
) -> list[list[float]]:
    """Seconds of each of `runs`, round by round: all of them once a round, each round beginning with another one.

    The first call of each is not counted. One that takes `hopeless` times as long as the fastest is not called again,
    unless it is the first of `runs`, which the others are compared with. It ends after `rounds`, or after `fewest` once
    `seconds` are over.
    """
    first = [_first_time(run, seconds, clock) for run in runs]
    playing = [index for index, one in enumerate(first) if index == 0 or one <= hopeless * min(first)]
    times: list[list[float]] = [[] if index in playing else [first[index]] for index in range(len(runs))]
    began = clock()
    for number in range(rounds):
        if number >= fewest and clock() - began > seconds:
            break
        turn = number % len(playing)
        for index in (*playing[turn:], *playing[:turn]):
            times[index].append(_timed(runs[index], clock))
    return times


def _first_time(run: Callable[[], None], seconds: float, clock: Callable[[], float]) -> float:
    """The second call's time, after the first has filled caches; of a call that is slow anyway the first one's."""
    first = _timed(run, clock)
    return first if first > seconds / 10 else _timed(run, clock)


def _timed(run: Callable[[], None], clock: Callable[[], float]) -> float:
    began = clock()
    run()
    return clock() - began
