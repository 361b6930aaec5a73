"""Runs that a league waits for (ready list): each with the round it may train in now, kept up to date by each report.

In: the tables of the rounds, and the contestants that a report concerns. Out: the runs, and which of them have moved
since somebody last asked: a report then costs what it moves, however many runs there are. No torch, no Ray.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tournament.outcome import Run
from tournament.round_table import RoundTable


class WaitingRuns:
    """Which runs may train now, and in which round."""

    def __init__(self, seeds: Mapping[str, Mapping[int, int]]) -> None:
        """seeds: of each contestant, in the order of entering, seed index -> round from which on it competes."""
        self._runs = {name: [Run(name, seed) for seed in joins] for name, joins in seeds.items()}
        # those of one round: by the round that a seed joined in, then by contestant, then by seed
        self.places = {
            run: (joins[run.seed], entered, number)
            for entered, (name, joins) in enumerate(seeds.items())
            for number, run in enumerate(self._runs[name])
        }
        self.rounds: dict[Run, int] = {}
        self._moved: set[Run] = set()

    def refresh(self, tables: Sequence[RoundTable]) -> None:
        """Find them all anew. tables: of all rounds; of a league that is over, none."""
        before, self.rounds = self.rounds, {}
        for index, table in enumerate(tables):
            for run in table.pending:
                self.rounds.setdefault(run, index)
        self._moved |= {run for run, _ in before.items() ^ self.rounds.items()}

    def update(self, names: Iterable[str], tables: Sequence[RoundTable]) -> None:
        """Find those of these contestants anew."""
        for run in (run for name in names for run in self._runs[name]):
            index = next((index for index, table in enumerate(tables) if run in table.pending), None)
            if index != self.rounds.get(run):
                self._moved.add(run)
                if index is None:
                    del self.rounds[run]
                else:
                    self.rounds[run] = index

    def in_order(self) -> list[Run]:
        """All of them, those of the earliest round first."""
        return sorted(self.rounds, key=lambda run: (self.rounds[run], self.places[run]))

    def take_moved(self) -> set[Run]:
        """Those whose round is another, or that are waited for no more, since this was last asked."""
        moved, self._moved = self._moved, set()
        return moved
