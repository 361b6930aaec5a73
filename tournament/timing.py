"""Wall-clock breakdown of a league: training, waiting for a round's last run (makespan), orchestration."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from typing import Any

MAX_EXACT_RUNS = 14  # up to which two slots are packed by trying every division


def makespan(seconds: Sequence[float], slots: int) -> float:
    """Shortest time in which runs of these lengths fit on equal slots.

    Exact for one or two slots and few runs; else longest first, at most 4/3 of the best (Graham 1969).
    """
    if slots == 1 or not seconds:
        return sum(seconds)
    if slots == 2 and len(seconds) <= MAX_EXACT_RUNS:
        total, head = sum(seconds), seconds[1:]
        halves = (sum(part) for size in range(len(head) + 1) for part in itertools.combinations(head, size))
        return min(max(half, total - half) for half in halves)
    ends = [0.0] * slots
    for length in sorted(seconds, reverse=True):
        heapq.heapreplace(ends, ends[0] + length)
    return max(ends)


def wall_clock_breakdown(wall: float, rounds: Sequence[Sequence[float]], slots: int) -> dict[str, Any]:
    """Of a league's wall clock: what the best packing of its runs, round by round, would have needed.

    rounds: seconds each run of a round was busy. idle: slot-seconds that such a packing leaves empty at the
    rounds' ends. orchestration: what lies beyond it, as seconds and as a share of the wall.
    """
    spans = [makespan(busy, slots) for busy in rounds]
    best = sum(spans)
    idle = sum(slots * span - sum(busy) for span, busy in zip(spans, rounds, strict=True))
    return {
        "wall": wall,
        "slots": slots,
        "busy": sum(map(sum, rounds)),
        "best_packing": best,
        "idle_at_round_ends": idle,
        "orchestration": wall - best,
        "orchestration_share": (wall - best) / wall if wall else 0.0,
    }
