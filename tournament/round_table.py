"""Standings table of one round: mean held-out loss over seeds, ranking, linear model; kept up to date by each report.

In: the outcomes of a round's runs. Out: what the bracket decides by. No torch, no Ray. A report changes the standing of
its contestant alone, which is found its place in the ranking by bisection; what needs all of them (the linear model,
means where seeds are missing) is computed when it is asked for, once a change.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from tournament.document_errors import Documents
from tournament.outcome import CONTESTANT_FAILURES, Outcome, Round, Run, is_pending
from tournament.uncertainty import Fit, fit, least_squares_means


@dataclass(frozen=True, eq=False)
class Standing:
    """One contestant in one round."""

    runs: tuple[Run, ...]  # its seeds that compete
    pending: tuple[Run, ...]  # those of them that have yet to report
    failure: Outcome | None  # why it has no loss
    losses: Mapping[int, float]  # seed index -> held-out loss; empty when it failed
    loss: float  # their mean; infinite when it failed
    documents: tuple[Documents, ...]  # of its seeds

    @classmethod
    def of(cls, runs: Iterable[Run], outcomes: Mapping[Run, Outcome], factor: int) -> Standing:
        """The standing of a contestant with these competing runs, in a round that asks for `factor` times the rows."""
        runs = tuple(runs)
        reported = {run: outcome for run in runs if (outcome := outcomes.get(run))}
        failure = _failure(list(reported.values()))
        losses = {
            run.seed: outcome.heldout_loss
            for run, outcome in reported.items()
            if outcome.heldout_loss is not None and not failure
        }
        return cls(
            runs,
            pending=tuple(run for run in runs if is_pending(outcomes.get(run), factor)),
            failure=failure,
            losses=losses,
            loss=sum(losses.values()) / len(losses) if losses else math.inf,
            documents=tuple(reported[run].documents for run in runs if run.seed in losses),
        )


def _failure(reported: list[Outcome]) -> Outcome | None:
    """The outcome that takes a contestant out. A process that died takes only its own seed, if there is another."""
    failed = [outcome for outcome in reported if outcome.failure]
    serious = [outcome for outcome in failed if outcome.failure in CONTESTANT_FAILURES]
    return (serious or failed)[0] if serious or (failed and len(failed) == len(reported)) else None


class RoundTable:
    """One round as it stands. Its lists are shared and change with the round: to hand them on, copy them."""

    def __init__(
        self,
        standings: Mapping[str, Standing],
        flops: Mapping[str, float],
        shadows: Mapping[str, Standing],
        judge: Callable[[], Mapping[str, float]] | None = None,
    ) -> None:
        """standings: of the round's contestants. shadows: of those that are out, apart.

        flops: of all contestants of the league, in the order of entering.
        judge: scores that contestants are ranked by instead of losses, once none is pending.
        """
        self._judge = judge
        self.standings, self.shadows, self._flops = dict(standings), shadows, flops
        self.pending = {run for standing in (*standings.values(), *shadows.values()) for run in standing.pending}
        complete = {name: standing for name, standing in standings.items() if not standing.pending}
        # of those that have come to the round's end, by their own means: what they are sorted by, and their names
        self._keys = sorted(self._key(name, standing) for name, standing in complete.items())
        self._names = [name for *_, name in self._keys]
        self._seeds = Counter(frozenset(standing.losses) for standing in complete.values() if standing.losses)

    def _key(self, name: str, standing: Standing) -> tuple[float, float, str]:
        return standing.loss, self._flops[name], name

    def put(self, name: str, standing: Standing) -> None:
        """Let a contestant in, or put its new standing in the place of the one before."""
        before = self.standings.get(name)
        if before is not None:
            self.pending.difference_update(before.pending)
            if not before.pending:
                self._take_out(name, before)
        self.standings[name] = standing
        self.pending.update(standing.pending)
        if not standing.pending:
            key = self._key(name, standing)
            place = bisect_left(self._keys, key)
            self._keys.insert(place, key)
            self._names.insert(place, name)
            if standing.losses:
                self._seeds[frozenset(standing.losses)] += 1
        for view in VIEWS:
            self.__dict__.pop(view, None)

    def _take_out(self, name: str, standing: Standing) -> None:
        """Take a contestant out of the order of those that have come to the round's end."""
        place = bisect_left(self._keys, self._key(name, standing))
        del self._keys[place], self._names[place]
        if standing.losses:
            seeds = frozenset(standing.losses)
            self._seeds[seeds] -= 1
            if not self._seeds[seeds]:
                del self._seeds[seeds]

    @cached_property
    def names(self) -> list[str]:
        """The round's contestants, in the order of entering."""
        return [name for name in self._flops if name in self.standings]

    @cached_property
    def runs(self) -> list[Run]:
        """The round's runs, shadows last."""
        everybody = [*(self.standings[name] for name in self.names), *self.shadows.values()]
        return [run for standing in everybody for run in standing.runs]

    @cached_property
    def complete(self) -> list[str]:
        """Contestants that have come to the round's end or failed, in the order of entering."""
        return [name for name in self.names if not self.standings[name].pending]

    @property
    def is_balanced(self) -> bool:
        """Whether all that have come to the round's end have losses of the same seeds, so that plain means compare."""
        return len(self._seeds) <= 1

    @cached_property
    def losses(self) -> Mapping[str, float]:
        """What contestants are ranked by: the least-squares mean over seeds; infinite for one that failed."""
        losses = {name: self.standings[name].loss for name in self.complete}
        if not self.is_balanced:
            losses |= least_squares_means({name: self.standings[name].losses for name in self._with_losses})
        return losses

    @cached_property
    def _scores(self) -> Mapping[str, float]:
        """What the judge says of all with a loss; empty where there is none, or it cannot say it of each."""
        if self._judge is None or self.pending:
            return {}
        scores = self._judge()
        return scores if set(self._with_losses) <= scores.keys() else {}

    @property
    def is_judged(self) -> bool:
        """Whether the ranking is by the judge's scores."""
        return bool(self._scores)

    @cached_property
    def ranking(self) -> list[str]:
        """Contestants that have come to the round's end or failed, best first; ties by FLOPs per token, then name."""
        if self.is_balanced and not self._scores:
            return self._names
        scores = {
            name: self._scores.get(name, loss) if self.standings[name].losses else loss
            for name, loss in self.losses.items()
        }
        return sorted(self.complete, key=lambda name: (scores[name], self._flops[name], name))

    @cached_property
    def finishers(self) -> list[str]:
        """Those of the ranking that have a loss."""
        if self.ranking is self._names:
            return self._names[: self._seeds.total()]  # an infinite loss is last
        return [name for name in self.ranking if self.standings[name].losses]

    @property
    def _with_losses(self) -> list[str]:
        return [name for name in self.complete if self.standings[name].losses]

    @cached_property
    def fit(self) -> Fit:
        """Means, errors and seed noise of those that have come to the round's end with a loss."""
        names = self._with_losses
        return fit(
            {name: self.standings[name].losses for name in names},
            {name: self.standings[name].documents for name in names},
        )


VIEWS = tuple(name for name, view in vars(RoundTable).items() if isinstance(view, cached_property))


class Tables:
    """The tables of all rounds, each made when it is first asked for."""

    def __init__(
        self,
        rounds: Sequence[Round],
        flops: Mapping[str, float],
        seeds: Mapping[str, Mapping[int, int]],
        shadow: int = 0,
        judge: Callable[[int], Mapping[str, float]] | None = None,
    ) -> None:
        """seeds: of each contestant, seed index -> round from which on it competes. shadow: as in Rules.

        judge: round -> what its contestants are ranked by, if not their losses.
        """
        self._rounds, self._flops, self._seeds = rounds, flops, seeds
        self._shadow, self._judge = shadow, judge
        self.failures: dict[Run, int] = {}  # first round in which a run failed
        for index, round_ in enumerate(rounds):
            for run, outcome in round_.outcomes.items():
                if outcome.failure:
                    self.add_failure(run, index)
        self.promoted = [set(round_.survivors) for round_ in rounds]  # as the rounds have them, to be looked up
        self._standings: list[dict[str, Standing]] = [{} for _ in rounds]
        self._tables: list[RoundTable | None] = [None for _ in rounds]

    def add_failure(self, run: Run, index: int) -> None:
        """From the next round on the run plays no more. The caller updates the tables of those rounds."""
        self.failures[run] = min(index, self.failures.get(run, index))

    def has_failed_before(self, index: int, run: Run) -> bool:
        """Whether a run failed in a round before this one."""
        return self.failures.get(run, index) < index

    def update(self, rounds: Iterable[int], name: str) -> None:
        """Take in what a contestant has reported, or may no longer play, in these rounds."""
        for index in rounds:
            self._standings[index].pop(name, None)
            table = self._tables[index]
            if table is not None and name in table.standings:
                table.put(name, self.standing(index, name))
            elif table is not None and name in table.shadows:
                self._tables[index] = None  # few, and with seeds of their own

    def promote(self, index: int, names: Sequence[str]) -> None:
        """Let contestants that a round has promoted into the next one."""
        self.promoted[index].update(names)
        table = self._tables[index + 1] if index + 1 < len(self._tables) else None
        if table is not None:
            for name in names:
                table.put(name, self.standing(index + 1, name))

    def drop(self, rounds: Iterable[int], names: Iterable[str] = ()) -> None:
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
            standings = self._standings[index]
            admitted = self.promoted[index - 1] if index else self._flops.keys()
            names = [name for name in self._flops if name in admitted]
            table = self._tables[index] = RoundTable(
                {name: standings.get(name) or self.standing(index, name) for name in names},
                self._flops,
                self._shadows(index),
                None if self._judge is None else partial(self._judge, index),
            )
        return table

    def _shadows(self, index: int) -> dict[str, Standing]:
        """The best of each cut before a round, with the seeds they were cut with."""
        round_, shadows = self._rounds[index], {}
        for cut in range(index if self._shadow else 0):
            earlier = self._rounds[cut]
            if not earlier.is_decided:
                break
            out = [name for name in self.of(cut).finishers if name not in self.promoted[cut]]
            for name in out[: self._shadow]:
                runs = [Run(name, seed) for seed, joined in self._seeds[name].items() if joined <= cut]
                alive = [run for run in runs if not self.has_failed_before(index, run)]
                shadows[name] = Standing.of(alive, round_.outcomes, round_.factor)
        return shadows
