"""Start queue of a Tuner's runs (priority queue): the earliest round first, there the longest run; kept sorted.

In: the bracket, which says what a report has moved. Out: the waiting runs in the order in which they should start, and
whether the league waits for runs of another Tuner. No torch, no Ray.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from typing import Any

from tournament.bracket import Bracket
from tournament.outcome import Run


class StartQueue:
    """The runs of one Tuner that may train now, those that train included."""

    def __init__(self, bracket: Bracket, cost: Mapping[Run, float]) -> None:
        """cost: expected time of every run that the Tuner plays."""
        self._bracket, self._cost = bracket, cost
        self._added: set[Run] = set()
        self._keys: dict[Run, tuple[Any, ...]] = {}
        self._sorted: list[tuple[Any, ...]] = []  # ... of these
        bracket.take_moved()
        self._elsewhere = {run for run in bracket.next_rounds() if run not in cost}

    def add(self, run: Run) -> None:
        """Let a run take part, whether it may train now or later."""
        self._added.add(run)
        self._put(run)

    def __iter__(self) -> Iterator[Run]:
        """The runs that may train now, first the one to start first. Nothing may be reported meanwhile."""
        self._take_in()
        return (key[-1] for key in self._sorted)

    def priority(self, run: Run) -> tuple[Any, ...]:
        """(round, minus the cost): who is first has less of it. The run has to be one that may train now."""
        self._take_in()
        return self._keys[run][:2]

    def waits_for_others(self) -> bool:
        """Whether runs may train now that this Tuner does not play: further seeds."""
        self._take_in()
        return bool(self._elsewhere)

    def _take_in(self) -> None:
        """Take in what was reported since the last time."""
        for run in self._bracket.take_moved():
            if run in self._added:
                self._put(run)
            elif run not in self._cost:
                has_round = self._bracket.next_round(run) is not None
                (self._elsewhere.add if has_round else self._elsewhere.discard)(run)

    def _put(self, run: Run) -> None:
        """Put a run where it belongs now."""
        before = self._keys.pop(run, None)
        if before is not None:
            del self._sorted[bisect_left(self._sorted, before)]
        index = self._bracket.next_round(run)
        if index is not None:
            self._keys[run] = (index, -self._cost[run], *self._bracket.place(run), run)
            insort(self._sorted, self._keys[run])
