"""Successive halving (ASHA) with elimination rounds: promotion, elimination and winner, on plain numbers.

In: the outcome of each run in each round. Out: the runs that may train, who is promoted, who wins and how sure that
is. No torch, no Ray. In the default mode the outcome is the same in any order of arrival. A contestant is judged by
its held-out loss at the round's end, the mean over its seeds; equal losses by training FLOPs per token, then by
name. A loss that is not finite loses to every finite one and is never promoted.

A *run* is one training: a contestant with one seed. Twins are runs that do not compete: they measure how far a
contestant moves with another seed. All decisions are in `state()`, the ledger.

Cost: each answer comes from a table of the round (round_table.py), made once a change; a report costs O(runs).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from tournament.outcome import Failure, Outcome, Round, Run
from tournament.round_table import Tables
from tournament.uncertainty import Label, SeedNoise

__all__ = ["Bracket", "Failure", "Outcome", "Round", "Rules", "Run"]


@dataclass(frozen=True)
class Rules:
    """What a tournament is played by; hamner.config.schema.Tournament explains each."""

    keep: Sequence[int]
    contested: Literal["seeds", "keep", "cut"] = "cut"
    max_seeds: int = 1
    mode: Literal["sync", "async"] = "sync"
    rows: int = 0  # held-out rows at first
    max_factor: int = 4  # ... doubled up to this many times as many


class Bracket:
    """The course of one tournament."""

    def __init__(
        self,
        rules: Rules,
        flops: Mapping[str, float],
        seeds: Mapping[str, Sequence[int]] | None = None,
        twins: Sequence[Run] = (),
    ) -> None:
        """flops: per token, of each contestant, in the order of entering. seeds: indices each competes with."""
        self.rules, self.flops, self.twins = rules, dict(flops), list(twins)
        # contestant -> seed index -> round from which on it competes
        self.seeds = {name: dict.fromkeys((seeds or {}).get(name, (0,)), 0) for name in flops}
        self._set_rounds([Round() for _ in rules.keep])

    def _set_rounds(self, rounds: list[Round]) -> None:
        self.rounds = rounds
        self._tables = Tables(rounds, self.flops, self.seeds, self.twins)
        self._changed([])

    def _changed(self, rounds: Iterable[int], names: Iterable[str] = ()) -> None:
        """Forget what was computed of these rounds, and in them of these contestants."""
        self._tables.drop(rounds, names)
        self._next_rounds: dict[Run, int] | None = None
        # 0-based number of the first undecided round; of the last one when all are decided
        self.round = next((i for i, r in enumerate(self.rounds) if not r.is_decided), len(self.rounds) - 1)
        self._is_over = self.rounds[-1].is_decided or any(r.is_decided and not r.survivors for r in self.rounds)

    # -- who plays

    def contestants(self, index: int) -> list[str]:
        """Contestants let into a round so far, in the order of entering."""
        return list(self._tables.of(index).standings)

    def competing(self, index: int, name: str) -> list[Run]:
        """The runs a contestant is judged by in a round: its seeds, without those that failed in an earlier round."""
        return list(self._tables.standing(index, name).runs)

    def runs(self, index: int) -> list[Run]:
        """The runs of a round: those that compete, then twins. A run that failed plays no further round."""
        return list(self._tables.of(index).runs)

    def next_round(self, run: Run) -> int | None:
        """The round a run may train in now; None when it is out, has to wait, or has come to the end."""
        return self.next_rounds().get(run)

    def waiting_for(self) -> list[Run]:
        """Runs that may train now, those of the earliest round first."""
        return list(self.next_rounds())

    def next_rounds(self) -> Mapping[Run, int]:
        """The runs that may train now, each with its round, the earliest first."""
        if self._next_rounds is None:
            first: dict[Run, int | None] = {}  # in which a run has yet to report
            tables = [] if self._is_over else [self._tables.of(index) for index in range(len(self.rounds))]
            for index, table in enumerate(tables):
                for run in table.runs:
                    if first.setdefault(run) is None and run in table.pending:
                        first[run] = index
            # a twin may not train ahead where its contestant could need that very seed
            is_patient = self.rules.contested == "seeds" or self.rules.mode == "async"
            ahead = self.round if is_patient else len(tables)
            rounds: list[list[Run]] = [[] for _ in tables]
            for run, place in first.items():
                if place is not None and (place <= ahead or run in tables[place].competing):
                    rounds[place].append(run)
            self._next_rounds = {run: index for index, runs in enumerate(rounds) for run in runs}
        return self._next_rounds

    def is_out(self, run: Run) -> bool:
        """Whether nothing that may still happen lets a run train again."""
        if self._is_over or run in self._tables.failures:
            return True
        return run not in self.twins and run.contestant not in self._tables.of(self.round).standings

    def is_over(self) -> bool:
        """Whether the last round is decided, or no contestant is left."""
        return self._is_over

    def winner(self) -> str | None:
        """The winner of a tournament that is over; None while it is not, and when every contestant failed."""
        return self.rounds[-1].survivors[0] if self._is_over and self.rounds[-1].survivors else None

    # -- how they stand

    def failure(self, index: int, name: str) -> Outcome | None:
        """Why a contestant has no loss. A process that died takes only its own seed out, if there is another."""
        return self._tables.standing(index, name).failure

    def losses(self, index: int, name: str) -> list[float]:
        """Held-out losses of a contestant's seeds; empty when it failed."""
        return list(self._tables.standing(index, name).losses)

    def loss(self, index: int, name: str) -> float:
        """What a contestant is ranked by: the mean over its seeds; infinite when it failed."""
        return self._tables.standing(index, name).loss

    def ranking(self, index: int) -> list[str]:
        """Contestants of a round that have come to its end or failed, best first."""
        return list(self._tables.of(index).ranking)

    def best(self, index: int) -> list[str]:
        """The best of a round, as many as it keeps, of those that did not fail."""
        return self._tables.of(index).finishers[: self.rules.keep[index]]

    def seed_noise(self, index: int) -> SeedNoise:
        """How far the same contestant moved with another seed in this round."""
        return self._tables.of(index).seed_noise

    def compare(self, index: int, worse: str, better: str) -> Label:
        """How sure it is that one contestant is worse than another."""
        return self._tables.of(index).compare(self._tables.standing(index, worse), self._tables.standing(index, better))

    def last_survivor(self, index: int) -> str | None:
        """Whom the others are compared with: the last of those that a round promotes by rank."""
        promoted = self.best(index)
        if self.rules.mode == "async" and index < len(self.rounds) - 1:
            survivors = set(self.rounds[index].survivors)
            promoted = [name for name in self._tables.of(index).ranking if name in survivors]
        return promoted[-1] if promoted else None

    def labels(self, index: int) -> dict[str, Label]:
        """A label for each contestant with a loss that is not among the best: how sure its elimination is."""
        last = self.last_survivor(index)
        if last is None:
            return {}
        promoted = {*(self.rounds[index].survivors if self.rules.mode == "async" else self.best(index))}
        return {n: self.compare(index, n, last) for n in self._tables.of(index).finishers if n not in promoted}

    def winner_verdict(self) -> str | None:
        """The least certain of the comparisons that made the winner; None when there was no rival left."""
        verdicts = {label.verdict for label in self.labels(len(self.rounds) - 1).values()}
        return next((v for v in ("unknown", "contested", "settled") if v in verdicts), None)

    # -- what is reported, and what follows

    def report(self, run: Run, index: int, outcome: Outcome) -> bool:
        """Take the outcome of a run in a round; True when a round was decided by it.

        The first report counts: a run that reports again, after a resume, changes nothing.
        """
        if self._is_over or run not in self._tables.of(index).pending:
            return False
        round_, earlier = self.rounds[index], self.rounds[index].outcomes.get(run)
        if earlier and outcome.failure:  # it had a loss, and died when it looked at more rows
            outcome = replace(earlier, factor=round_.factor)
        elif outcome.failure is None and outcome.factor < round_.factor:
            return False  # on too few rows: the factor has been doubled in the meantime
        round_.outcomes[run] = outcome
        if outcome.failure:
            self._tables.add_failure(run, index)
        self._changed(range(index, len(self.rounds)) if outcome.failure else [index], [run.contestant])
        before = self.round, self._is_over
        settle = self._promote if self.rules.mode == "async" else self._settle
        while not self._is_over and settle(self.round):
            pass
        return (self.round, self._is_over) != before

    def _keep(self, index: int, names: Sequence[str], *, is_final: bool = False) -> None:
        """Promote contestants of a round; is_final: the round is decided by it."""
        round_ = self.rounds[index]
        before = set(round_.survivors)
        new = [name for name in names if name not in before]
        if new or is_final:
            round_.survivors += new
            round_.is_decided |= is_final
            self._changed([index + 1] if index + 1 < len(self.rounds) else [])

    def _settle(self, index: int) -> bool:
        """Keep early who is certain; when a round is complete, request more or decide it. True when decided."""
        if self._tables.of(index).pending:
            if self.rules.contested != "seeds":
                self._keep(index, self._certain(index))
            return False
        while self.rules.contested == "seeds" and self._request_more(index):
            if self._tables.of(index).pending:
                return False  # else a twin has been that seed already
        promoted = self.best(index)
        if self.rules.contested == "keep" and index < len(self.rounds) - 1:
            promoted += [name for name, label in self.labels(index).items() if label.verdict == "contested"]
        self._keep(index, promoted, is_final=True)
        return True

    def _certain(self, index: int) -> list[str]:
        """Contestants that are among the best whatever the others bring."""
        table = self._tables.of(index)
        cut = len(table.standings) - self.rules.keep[index]
        certain = table.ranking[: max(0, len(table.ranking) - cut)]
        return [name for name in certain if table.standings[name].losses]

    def _promote(self, index: int) -> bool:
        """Asynchronous: successive halving by promotion (Li et al. 2018). True when round `index` was closed."""
        for place in range(index, len(self.rounds)):
            table, keep = self._tables.of(place), self.rules.keep[place]
            contestants = len(self.flops) if place == 0 else self.rules.keep[place - 1]
            count = len(table.ranking) * keep // contestants
            is_complete = place == index and not table.pending
            is_last = place == len(self.rounds) - 1
            if is_last and not is_complete:
                break  # the last round is decided once
            if is_complete:
                count = keep if is_last else max(count, keep)
            self._keep(place, table.finishers[:count], is_final=is_complete)
            if is_complete:
                return True
        return False

    def _request_more(self, index: int) -> bool:
        """Where a cut could be chance, request more held-out rows, else more seeds. True when it did."""
        round_, noise = self.rounds[index], self.seed_noise(index)
        unsure = {name: label for name, label in self.labels(index).items() if label.verdict != "settled"}
        if not unsure:
            return False
        if (
            noise.sd is not None
            and max(label.evaluation_se or 0.0 for label in unsure.values()) > noise.sd / 3
            and round_.factor < self.rules.max_factor
            and self._has_enough_text(index)
        ):
            round_.factor *= 2
            self._changed([index], self.flops)
            return True
        first = next(iter(unsure))
        near = [name for name in self.best(index) if self.compare(index, first, name).verdict != "settled"]
        short = [name for name in (*near, *unsure) if len(self.seeds[name]) < self.rules.max_seeds]
        for name in short:
            seed = max(self.seeds[name]) + 1
            while self._tables.has_failed_before(index + 1, Run(name, seed)):  # a twin that failed
                seed += 1
            self.seeds[name][seed] = index
        self._changed(range(index, len(self.rounds)), short)
        return bool(short)

    def _has_enough_text(self, index: int) -> bool:
        """Whether the held-out text was long enough for the rows of the factor so far."""
        return all(
            o.rows >= 0.9 * o.factor * self.rules.rows
            for o in self.rounds[index].outcomes.values()
            if o.heldout_loss is not None
        )

    # -- the ledger

    def state(self) -> dict[str, Any]:
        """All decisions and outcomes as JSON; it shares the outcomes' documents and facts, which are never altered."""
        return {
            "seeds": {name: {str(seed): at for seed, at in seeds.items()} for name, seeds in self.seeds.items()},
            "rounds": [
                {
                    "kept": list(round_.survivors),
                    "factor": round_.factor,
                    "decided": round_.is_decided,
                    "outcomes": [
                        {"contestant": r.contestant, "seed": r.seed, **vars(o)} for r, o in round_.outcomes.items()
                    ],
                }
                for round_ in self.rounds
            ],
        }

    def retriable(self) -> list[Run]:
        """Runs that ended with an error in a round where it still can count: undecided, the last, or survived by none.

        An error is of one process or its node, and no verdict on a contestant.
        """
        return [
            run
            for index, round_ in enumerate(self.rounds)
            if not round_.is_decided or not round_.survivors or index == len(self.rounds) - 1
            for run, outcome in round_.outcomes.items()
            if outcome.failure == "error"
        ]

    def reopen(
        self, is_void: Callable[[Outcome], bool] = lambda outcome: False, *, retry_errors: bool = False
    ) -> list[Run]:
        """Take back errors that decide nothing; return the runs that play their round again.

        Those of a round that no contestant survived, where a crash tells none from another; and those that are void, in
        the round that is being played, as long as none is promoted there. No other decision is altered. retry_errors:
        all of retriable(); the last round is then decided once more, and who was promoted early stays so.
        """
        again = self.retriable()
        if not retry_errors:
            index = next((i for i, r in enumerate(self.rounds) if not r.is_decided or not r.survivors), None)
            round_ = self.rounds[index] if index is not None else Round()
            again = [
                run
                for run, outcome in round_.outcomes.items()
                if run in again and not round_.survivors and (round_.is_decided or is_void(outcome))
            ]
        for round_ in self.rounds:
            taken = [run for run in again if (o := round_.outcomes.get(run)) and o.failure == "error"]
            for run in taken:
                del round_.outcomes[run]
            if taken and round_.is_decided:
                round_.is_decided, round_.survivors = False, []
        if again:
            self._set_rounds(self.rounds)
        return again

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Raises ValueError for a ledger of another tournament."""
        rounds = []
        for row in state["rounds"]:
            outcomes = {}
            for cells in row["outcomes"]:
                values = dict(cells)
                run = Run(values.pop("contestant"), values.pop("seed"))
                outcomes[run] = Outcome(**values)
            rounds.append(Round(outcomes, list(row["kept"]), row["factor"], row["decided"]))
        if len(rounds) != len(self.rules.keep):
            raise ValueError(f"{len(rounds)} rounds, of {len(self.rules.keep)}")
        if set(state["seeds"]) != set(self.seeds):
            raise ValueError("other contestants")
        self.seeds = {name: {int(s): joined for s, joined in seeds.items()} for name, seeds in state["seeds"].items()}
        self._set_rounds(rounds)
