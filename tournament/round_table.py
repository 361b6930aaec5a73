"""Standings table of one round: mean held-out loss over seeds, ranking, comparisons; computed once a change.

In: the outcomes of a round's runs. Out: what the bracket decides by. No torch, no Ray. A table is not altered: a
change of the round makes a new one, and the standings of contestants that it does not touch are taken over.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tournament.outcome import CONTESTANT_FAILURES, Outcome, Round, Run, is_pending
from tournament.uncertainty import DocumentMeans, Label, SeedNoise, compare, paired_error, seed_noise


@dataclass(frozen=True, eq=False)
class Standing:
    """One contestant in one round."""

    runs: tuple[Run, ...]  # its seeds that compete
    pending: tuple[Run, ...]  # those of them that have yet to report
    failure: Outcome | None  # why it has no loss
    losses: tuple[float, ...]  # held-out losses of its seeds; empty when it failed
    loss: float  # their mean, by which it is ranked; infinite when it failed
    documents: DocumentMeans
    _errors: dict[Standing, float | None] = field(default_factory=dict, init=False)

    @classmethod
    def of(cls, runs: Iterable[Run], outcomes: Mapping[Run, Outcome], factor: int) -> Standing:
        """The standing of a contestant with these competing runs, in a round that asks for `factor` times the rows."""
        runs = tuple(runs)
        reported = [outcome for run in runs if (outcome := outcomes.get(run))]
        good = [outcome for outcome in reported if outcome.heldout_loss is not None]
        failure = _failure(reported)
        losses = () if failure else tuple(o.heldout_loss for o in good if o.heldout_loss is not None)
        return cls(
            runs,
            pending=tuple(run for run in runs if is_pending(outcomes.get(run), factor)),
            failure=failure,
            losses=losses,
            loss=sum(losses) / len(losses) if losses else math.inf,
            documents=DocumentMeans([outcome.documents for outcome in good]),
        )

    def paired_error(self, other: Standing) -> float | None:
        """Standard error of the difference to another contestant over the same held-out documents."""
        if other not in self._errors:
            self._errors[other] = paired_error(self.documents, other.documents)
        return self._errors[other]


def _failure(reported: list[Outcome]) -> Outcome | None:
    """The outcome that takes a contestant out. A process that died takes only its own seed, if there is another."""
    failed = [outcome for outcome in reported if outcome.failure]
    serious = [outcome for outcome in failed if outcome.failure in CONTESTANT_FAILURES]
    return (serious or failed)[0] if serious or (failed and len(failed) == len(reported)) else None


class RoundTable:
    """One round as it stands. Its lists are shared: to hand them on, copy them."""

    def __init__(
        self,
        standings: Mapping[str, Standing],
        twins: Iterable[Run],
        outcomes: Mapping[Run, Outcome],
        factor: int,
        flops: Mapping[str, float],
    ) -> None:
        """standings: of the round's contestants, in the order of entering. twins: those that have not failed before."""
        self.standings, self._outcomes, self._flops = standings, outcomes, flops
        competing = [run for standing in standings.values() for run in standing.runs]
        self.competing = set(competing)
        twins = [twin for twin in twins if twin not in self.competing]
        self.runs = competing + twins
        self.pending = {run for standing in standings.values() for run in standing.pending}
        self.pending |= {twin for twin in twins if is_pending(outcomes.get(twin), factor)}

    @cached_property
    def ranking(self) -> list[str]:
        """Contestants that have come to the round's end or failed, best first; ties by FLOPs per token, then name."""
        complete = [name for name, standing in self.standings.items() if not standing.pending]
        return sorted(complete, key=lambda name: (self.standings[name].loss, self._flops[name], name))

    @cached_property
    def finishers(self) -> list[str]:
        """Those of the ranking that have a loss."""
        return [name for name in self.ranking if self.standings[name].losses]

    @cached_property
    def seed_noise(self) -> SeedNoise:
        """Spread of the losses of one contestant's seeds in this round, twins included."""
        groups: dict[str, list[float]] = {}
        for run, outcome in self._outcomes.items():
            if outcome.heldout_loss is not None:
                groups.setdefault(run.contestant, []).append(outcome.heldout_loss)
        return seed_noise(groups.values())

    def compare(self, worse: Standing, better: Standing) -> Label:
        """How sure it is that one contestant is worse than another."""
        error = worse.paired_error(better)
        return compare(worse.losses, better.losses, error, self.seed_noise, len(self.standings))


class Tables:
    """The tables of all rounds, each made when it is asked for and dropped at a change."""

    def __init__(
        self,
        rounds: Sequence[Round],
        flops: Mapping[str, float],
        seeds: Mapping[str, Mapping[int, int]],
        twins: Sequence[Run],
    ) -> None:
        """seeds: of each contestant, seed index -> round from which on it competes."""
        self._rounds, self._flops, self._seeds, self._twins = rounds, flops, seeds, twins
        self.failures: dict[Run, int] = {}  # first round in which a run failed
        for index, round_ in enumerate(rounds):
            for run, outcome in round_.outcomes.items():
                if outcome.failure:
                    self.add_failure(run, index)
        self._standings: list[dict[str, Standing]] = [{} for _ in rounds]
        self._tables: list[RoundTable | None] = [None for _ in rounds]

    def add_failure(self, run: Run, index: int) -> None:
        """From the next round on the run plays no more. The caller drops the tables of those rounds."""
        self.failures[run] = min(index, self.failures.get(run, index))

    def has_failed_before(self, index: int, run: Run) -> bool:
        """Whether a run failed in a round before this one."""
        return self.failures.get(run, index) < index

    def drop(self, rounds: Iterable[int], names: Iterable[str]) -> None:
        """Drop the tables of these rounds, and in them the standings of these contestants."""
        for index in rounds:
            self._tables[index] = None
            for name in names:
                self._standings[index].pop(name, None)

    def standing(self, index: int, name: str) -> Standing:
        """The standing of any contestant in a round, whether it is in it or not."""
        standings, round_ = self._standings[index], self._rounds[index]
        if name not in standings:
            runs = [Run(name, seed) for seed, joined in self._seeds[name].items() if joined <= index]
            alive = [run for run in runs if not self.has_failed_before(index, run)]
            standings[name] = Standing.of(alive, round_.outcomes, round_.factor)
        return standings[name]

    def of(self, index: int) -> RoundTable:
        """The table of a round."""
        if (table := self._tables[index]) is None:
            round_, standings = self._rounds[index], self._standings[index]
            admitted = set(self._rounds[index - 1].survivors) if index else self._flops.keys()
            names = [name for name in self._flops if name in admitted]
            table = self._tables[index] = RoundTable(
                {name: standings.get(name) or self.standing(index, name) for name in names},
                [twin for twin in self._twins if not self.has_failed_before(index, twin)],
                round_.outcomes,
                round_.factor,
                self._flops,
            )
        return table
