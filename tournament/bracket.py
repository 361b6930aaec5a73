"""Successive halving (ASHA) with elimination rounds: promotion, elimination and winner, on plain numbers.

In: the outcome of each run in each round. Out: the runs that may train, who is promoted, who wins and how sure that
is. No torch, no Ray. In the default mode the outcome is the same in any order of arrival. A contestant is judged by
its held-out loss at the round's end, the least-squares mean over its seeds; equal losses by training FLOPs per token,
then by name. A loss that is not finite loses to every finite one and is never promoted.

A *run* is one training: a contestant with one seed. A seed that joins in a later round is trained from step 0 to that
round's end, by those contestants that are still in. All decisions are in `state()`, the ledger.

Cost: each answer comes from a table of the round (round_table.py), which a report changes in one place: it costs the
logarithm of the contestants, and what a round's end costs, which looks at all of them, is shared by all reports of the
round. Where seeds are missing (errors) and `mode` is async, a report looks at all contestants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from hamner.config.errors import shortened
from tournament.document_errors import document_problems
from tournament.outcome import Failure, Outcome, Round, Run
from tournament.round_table import RoundTable, Tables
from tournament.uncertainty import CONFIDENCE, FIRST_CONFIDENCE, Fit, Label, SeedNoise
from tournament.waiting_runs import WaitingRuns

__all__ = ["Bracket", "Failure", "Outcome", "Round", "Rules", "Run"]


@dataclass(frozen=True)
class Rules:
    """What a tournament is played by; hamner.config.schema.Tournament explains each."""

    keep: Sequence[int]
    contested: Literal["keep", "cut"] = "cut"
    mode: Literal["sync", "async"] = "sync"
    rows: int = 0  # held-out rows at first
    max_factor: int = 1  # ... doubled up to this many times as many, while other text could change a cut
    shadow: int = 0  # the best of each cut that train on, ranked apart


def read_rounds(state: Mapping[str, Any]) -> list[Round]:
    """The rounds of a ledger, Bracket.state()."""
    rounds = []
    for row in state["rounds"]:
        outcomes = {}
        for cells in row["outcomes"]:
            values = dict(cells)
            run = Run(values.pop("contestant"), values.pop("seed"))
            outcomes[run] = Outcome(**values)
        rounds.append(Round(outcomes, list(row["kept"]), row["factor"], row["decided"], row.get("reopened", False)))
    return rounds


class Bracket:
    """The course of one tournament."""

    def __init__(
        self,
        rules: Rules,
        flops: Mapping[str, float],
        seeds: Mapping[str, Mapping[int, int]] | None = None,
        judge: Judge | None = None,
    ) -> None:
        """flops: per token, of each contestant, in the order of entering.

        seeds: of each contestant, seed index -> 0-based round from which on it competes; left out: one seed each.
        judge: what contestants of a round are ranked by once all are in; None: their held-out loss.
        """
        self._judge = judge
        self.rules, self.flops = rules, dict(flops)
        self.seeds = {name: dict((seeds or {}).get(name, {0: 0})) for name in flops}
        # rounds in which a seed joins: each needs a Tuner of its own
        self._starts = {joined for joins in self.seeds.values() for joined in joins.values()}
        self.reports: list[tuple[int, Run]] = []  # round and run of each that was taken, in their order
        self._waiting = WaitingRuns(self.seeds)
        self._set_rounds([Round() for _ in rules.keep])

    def _set_rounds(self, rounds: list[Round]) -> None:
        self.rounds = rounds
        judge = self._judge
        scores = None if judge is None else lambda index: judge(self, index)
        self._tables = Tables(rounds, self.flops, self.seeds, self.rules.shadow, scores)
        self._refresh()

    def _refresh(self) -> None:
        """Find where the league stands, and all runs that may train now."""
        # 0-based number of the first undecided round; of the last one when all are decided
        self.round = next((i for i, r in enumerate(self.rounds) if not r.is_decided), len(self.rounds) - 1)
        self._is_over = self.rounds[-1].is_decided or any(r.is_decided and not r.survivors for r in self.rounds)
        self._waiting.refresh([] if self._is_over else self._all_tables())

    def _all_tables(self) -> list[RoundTable]:
        return [self._tables.of(index) for index in range(len(self.rounds))]

    # -- who plays

    def contestants(self, index: int) -> list[str]:
        """Contestants let into a round so far, in the order of entering."""
        return list(self._tables.of(index).names)

    def plays(self, index: int, name: str) -> bool:
        """Whether a contestant has been let into a round."""
        return name in self._tables.of(index).standings

    def competing(self, index: int, name: str) -> list[Run]:
        """The runs a contestant is judged by in a round: its seeds, without those that failed in an earlier round."""
        return list(self._tables.standing(index, name).runs)

    def runs(self, index: int) -> list[Run]:
        """The runs of a round, shadows last. One that failed plays no further round."""
        return list(self._tables.of(index).runs)

    def next_round(self, run: Run) -> int | None:
        """The round a run may train in now; None when it is out, has to wait, or has come to the end."""
        return self._waiting.rounds.get(run)

    def waiting_for(self) -> list[Run]:
        """Runs that may train now, those of the earliest round first."""
        return self._waiting.in_order()

    def next_rounds(self) -> Mapping[Run, int]:
        """The runs that may train now, each with its round, in no order."""
        return self._waiting.rounds

    def take_moved(self) -> set[Run]:
        """The runs whose next round is another than when this was last asked."""
        return self._waiting.take_moved()

    def place(self, run: Run) -> tuple[int, ...]:
        """What the runs of one round are in order by: when they joined, then as they entered."""
        return self._waiting.places[run]

    def is_out(self, run: Run) -> bool:
        """Whether nothing that may still happen lets a run train again."""
        if self._is_over or run in self._tables.failures:
            return True
        table = self._tables.of(self.round)
        return run.contestant not in table.standings and run.contestant not in table.shadows

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

    def losses(self, index: int, name: str) -> dict[int, float]:
        """Seed index -> held-out loss, of one contestant; empty when it failed."""
        return dict(self._tables.standing(index, name).losses)

    def loss(self, index: int, name: str) -> float:
        """What a contestant is ranked by: the least-squares mean over its seeds; infinite when it failed."""
        adjusted = self._tables.of(index).losses.get(name)
        return self._tables.standing(index, name).loss if adjusted is None else adjusted

    def ranking(self, index: int) -> list[str]:
        """Contestants of a round that have come to its end or failed, best first."""
        return list(self._tables.of(index).ranking)

    def is_judged(self, index: int) -> bool:
        """Whether a round is ranked by what the judge says, and not by held-out losses."""
        return self._tables.of(index).is_judged

    def shadows(self, index: int) -> dict[str, list[float]]:
        """Contestants that were cut before this round and train on: the losses of their seeds at its end so far.

        A round is decided when they are in too, and never by what they bring.
        """
        return {name: list(standing.losses.values()) for name, standing in self._tables.of(index).shadows.items()}

    def best(self, index: int) -> list[str]:
        """The best of a round, as many as it keeps, of those that did not fail."""
        return self._tables.of(index).finishers[: self.rules.keep[index]]

    def fit(self, index: int) -> Fit | None:
        """Means, errors and seed noise of the contestants at a round's end; None while none has a loss."""
        table = self._tables.of(index)
        return table.fit if table.finishers else None

    def seed_noise(self, index: int) -> SeedNoise:
        """How far the same contestant moved with another seed in this round."""
        fit = self.fit(index)
        return fit.noise if fit else SeedNoise(None, 0)

    def spread(self, index: int, name: str) -> float | None:
        """Moderated standard deviation of one seed of a contestant, its own noise alone; None where not measured."""
        fit = self.fit(index)
        if fit is None or fit.spreads is None or name not in fit.places:
            return None
        return float(fit.spreads[fit.places[name]])

    def text_problems(self, index: int) -> list[str]:
        """What a reader has to know of a round's held-out documents, where they are few."""
        outcomes = self.rounds[index].outcomes.values()
        return document_problems([outcome.documents for outcome in outcomes if outcome.heldout_loss is not None])

    def compare(self, index: int, worse: str, better: str) -> Label:
        """How sure it is that one contestant is worse than another; both have come to the round's end with a loss."""
        is_first = index == 0 < len(self.rounds) - 1
        confidence = FIRST_CONFIDENCE if is_first else CONFIDENCE
        return self._tables.of(index).fit.compare(worse, better, confidence)

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
        """The least certain of the winner's comparisons with all others, each in the last round that both played.

        So it concerns those too that were cut while contested. None when there was no rival with a loss.
        """
        if (winner := self.winner()) is None:
            return None
        rounds = range(len(self.rounds))
        failed = {name for index in rounds for name in self.contestants(index) if self.failure(index, name)}
        last = {name: index for index in rounds for name in self.contestants(index) if name not in (*failed, winner)}
        verdicts = {self.compare(index, name, winner).verdict for name, index in last.items()}
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
        self.reports.append((index, run))
        if outcome.failure:
            self._tables.add_failure(run, index)
        self._tables.update(range(index, len(self.rounds)) if outcome.failure else [index], run.contestant)
        self._waiting.update([run.contestant], self._all_tables())
        before = self.round, self._is_over
        settle = self._promote if self.rules.mode == "async" else self._settle
        while not self._is_over and settle(self.round):
            pass
        return (self.round, self._is_over) != before

    def _keep(self, index: int, names: Sequence[str], *, is_final: bool = False) -> None:
        """Promote contestants of a round; is_final: the round is decided by it."""
        round_ = self.rounds[index]
        missing = set(names) - self._tables.promoted[index]
        new = [name for name in names if name in missing] if len(missing) > 1 else list(missing)
        round_.survivors += new
        round_.is_decided |= is_final
        self._tables.promote(index, new)
        if is_final:
            if self.rules.shadow:  # of those that are out now
                self._tables.drop(range(index + 1, len(self.rounds)))
            self._refresh()
        elif new:
            self._waiting.update(new, self._all_tables())

    def _settle(self, index: int) -> bool:
        """Keep early who is certain; when a round is complete, request more rows or decide it. True when decided."""
        if self._tables.of(index).pending:
            if self.rules.max_factor == 1:
                self._keep(index, self._certain(index))
            return False
        if self._request_rows(index):
            return False
        promoted = self.best(index)
        if self.rules.contested == "keep" and index < len(self.rounds) - 1:
            promoted += [name for name, label in self.labels(index).items() if label.verdict != "settled"]
        self._keep(index, promoted, is_final=True)
        return True

    def _certain(self, index: int) -> list[str]:
        """Contestants that are among the best whatever the others bring."""
        table = self._tables.of(index)
        if index + 1 in self._starts or not table.is_balanced or self._judge:
            return []  # another Tuner plays the next round; or means still move with what the others bring
        cut = len(table.standings) - self.rules.keep[index]
        return table.finishers[: max(0, len(table.ranking) - cut)]

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

    def _request_rows(self, index: int) -> bool:
        """Request more held-out rows where a cut could be chance of documents. True when it did."""
        round_, noise = self.rounds[index], self.seed_noise(index)
        if (
            round_.is_reopened
            or noise.sd is None
            or round_.factor >= self.rules.max_factor
            or not self._has_enough_text(index)
        ):
            return False
        unsure = [label.evaluation_se or 0.0 for label in self.labels(index).values() if label.verdict != "settled"]
        if max(unsure, default=0.0) <= noise.sd / 3:
            return False
        round_.factor *= 2
        self._tables.drop([index], self.flops)
        self._refresh()
        return True

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
                    "reopened": round_.is_reopened,
                    "outcomes": [self.row(index, run) for run in round_.outcomes],
                }
                for index, round_ in enumerate(self.rounds)
            ],
        }

    def row(self, index: int, run: Run) -> dict[str, Any]:
        """The outcome of a run in a round as state() has it."""
        return {"contestant": run.contestant, "seed": run.seed, **vars(self.rounds[index].outcomes[run])}

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
                round_.is_decided, round_.survivors, round_.is_reopened = False, [], True
        if again:
            self._set_rounds(self.rounds)
        return again

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Raises ValueError for a ledger of another tournament."""
        rounds = read_rounds(state)
        if len(rounds) != len(self.rules.keep):
            raise ValueError(f"{len(rounds)} rounds, of {len(self.rules.keep)}")
        if set(state["seeds"]) != set(self.seeds):
            raise ValueError("other contestants")
        seeds = {name: {int(s): joined for s, joined in seeds.items()} for name, seeds in state["seeds"].items()}
        if seeds != self.seeds:
            raise ValueError("other seeds")
        for number, round_ in enumerate(rounds, start=1):
            strange: list[Run | str] = [
                run for run in round_.outcomes if run.seed not in self.seeds.get(run.contestant, ())
            ]
            strange += [name for name in round_.survivors if name not in self.seeds]
            if strange:
                raise ValueError(f"round {number} names {shortened(repr(strange[0]))}, which is not in the league")
        self._set_rounds(rounds)


# (bracket, round) -> score of each contestant, the lowest is best; it may read rounds and flops, not the ranking
Judge = Callable[[Bracket, int], Mapping[str, float]]
