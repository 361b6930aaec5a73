"""The rule of the tournament, on plain numbers: who goes on, who is out, who wins, and how sure that is.

No torch, no Ray. In the default mode the outcome is the same in any order of arrival. A contestant is judged by
its held-out loss at the round's end, the mean over its seeds; equal losses by training FLOPs per token, then by
name. A loss that is no finite number loses to every finite one, and never goes on.

A *run* is one training: a contestant with one seed. Twins are runs that do not compete: they show how far a
contestant moves with another seed. Everything decided is in `state()`: written down, it is the ledger.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, NamedTuple

from tournament.uncertainty import Label, SeedNoise, compare, paired_error, ruler

Failure = Literal["oom", "diverged", "error"]
OF_THE_CONTESTANT: tuple[Failure, ...] = ("oom", "diverged")  # an error is of one process


class Run(NamedTuple):
    """One training."""

    contestant: str
    seed: int  # index; its data order is the same for all contestants


@dataclass(frozen=True)
class Outcome:
    """How a run came out of one round. Losses in nats per token; None where it failed."""

    heldout_loss: float | None
    failure: Failure | None = None
    reason: str = ""
    factor: int = 1  # times the config's held-out rows it was asked for
    rows: int = 0  # held-out rows it was evaluated on
    documents: dict[str, Any] = field(default_factory=dict)  # see uncertainty.Documents
    facts: dict[str, Any] = field(default_factory=dict)  # what is reported and decides nothing

    def __post_init__(self) -> None:
        if self.failure is None and (self.heldout_loss is None or not math.isfinite(self.heldout_loss)):
            object.__setattr__(self, "failure", "diverged")
            object.__setattr__(self, "reason", f"held-out loss {self.heldout_loss}")
        if self.failure is not None:  # the ledger is JSON: no NaN, no Infinity
            object.__setattr__(self, "heldout_loss", None)


@dataclass(frozen=True)
class Rules:
    """What a tournament is played by; hamner.config.Tournament explains each."""

    keep: Sequence[int]
    contested: Literal["seeds", "keep", "cut"] = "cut"
    max_seeds: int = 1
    mode: Literal["sync", "async"] = "sync"
    rows: int = 0  # held-out rows at first
    max_factor: int = 4  # ... doubled up to this many times as many


@dataclass
class Round:
    """What has happened in one round."""

    outcomes: dict[Run, Outcome] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)  # who goes on; a name once in it stays in it
    factor: int = 1  # held-out rows asked for, in those of the config
    decided: bool = False


class Bracket:
    """The course of one tournament."""

    def __init__(
        self,
        rules: Rules,
        flops: Mapping[str, float],
        seeds: Mapping[str, Sequence[int]] | None = None,
        twins: Sequence[Run] = (),
    ) -> None:
        """flops: per token, of each entrant, in the order of entering. seeds: indices each competes with."""
        self.rules, self.flops, self.twins = rules, dict(flops), list(twins)
        # contestant -> seed index -> round from which on it competes
        self.seeds = {name: dict.fromkeys((seeds or {}).get(name, (0,)), 0) for name in flops}
        self.rounds = [Round() for _ in rules.keep]

    # -- who plays

    @property
    def round(self) -> int:
        """0-based number of the first undecided round; of the last one when all are decided."""
        return next((i for i, played in enumerate(self.rounds) if not played.decided), len(self.rounds) - 1)

    def contestants(self, index: int) -> list[str]:
        """Who has been let into a round so far, in the order of entering."""
        return [name for name in self.flops if index == 0 or name in self.rounds[index - 1].kept]

    def competing(self, index: int, name: str) -> list[Run]:
        """The runs a contestant is judged by in a round; one that failed in an earlier round is missed by nobody."""
        lost = self._lost(index)
        runs = (Run(name, seed) for seed, joined in self.seeds[name].items() if joined <= index)
        return [run for run in runs if run not in lost]

    def runs(self, index: int) -> list[Run]:
        """The runs of a round: those that compete, then twins. A run that failed plays no further round."""
        runs = [run for name in self.contestants(index) for run in self.competing(index, name)]
        lost = self._lost(index)
        return runs + [twin for twin in self.twins if twin not in runs and twin not in lost]

    def _lost(self, index: int) -> set[Run]:
        """Runs that failed before a round."""
        return {run for played in self.rounds[:index] for run, o in played.outcomes.items() if o.failure}

    def next_round(self, run: Run) -> int | None:
        """The round a run may train in now; None when it is out, has to wait, or has come to the end."""
        if self.over():
            return None
        for index in range(len(self.rounds)):
            if run in self.runs(index) and self._missing(index, run):
                twin = run not in self.competing(index, run.contestant) or run.contestant not in self.contestants(index)
                patient = self.rules.contested == "seeds" or self.rules.mode == "async"
                return None if twin and patient and index > self.round else index
        return None

    def waiting_for(self) -> list[Run]:
        """Runs that may train now, those of the earliest round first."""
        runs = dict.fromkeys(run for index in range(len(self.rounds)) for run in self.runs(index))
        places = {run: place for run in runs if (place := self.next_round(run)) is not None}
        return sorted(places, key=lambda run: places[run])

    def over(self) -> bool:
        """The last round is decided, or nobody is left."""
        return any(played.decided and not played.kept for played in self.rounds) or self.rounds[-1].decided

    def winner(self) -> str | None:
        """The winner of a tournament that is over; None while it is not, and when everybody failed."""
        return self.rounds[-1].kept[0] if self.over() and self.rounds[-1].kept else None

    def _missing(self, index: int, run: Run) -> bool:
        outcome = self.rounds[index].outcomes.get(run)
        return outcome is None or (outcome.failure is None and outcome.factor < self.rounds[index].factor)

    # -- how they stand

    def failure(self, index: int, name: str) -> Outcome | None:
        """Why a contestant has no loss. A process that died takes only its own seed out, if there is another."""
        outcomes = [o for run in self.competing(index, name) if (o := self.rounds[index].outcomes.get(run))]
        failed = [o for o in outcomes if o.failure]
        serious = [o for o in failed if o.failure in OF_THE_CONTESTANT]
        return (serious or failed)[0] if serious or (failed and len(failed) == len(outcomes)) else None

    def losses(self, index: int, name: str) -> list[float]:
        """Held-out losses of a contestant's seeds; empty when it failed."""
        if self.failure(index, name):
            return []
        found = (self.rounds[index].outcomes.get(run) for run in self.competing(index, name))
        return [o.heldout_loss for o in found if o and o.heldout_loss is not None]

    def loss(self, index: int, name: str) -> float:
        """What a contestant is ranked by: the mean over its seeds; infinite when it failed."""
        losses = self.losses(index, name)
        return sum(losses) / len(losses) if losses else math.inf

    def rank(self, index: int) -> list[str]:
        """Contestants of a round that have come to its end or failed, best first."""
        complete = [
            name
            for name in self.contestants(index)
            if not any(self._missing(index, run) for run in self.competing(index, name))
        ]
        return sorted(complete, key=lambda name: (self.loss(index, name), self.flops[name], name))

    def best(self, index: int) -> list[str]:
        """The best of a round, as many as it keeps, of those that did not fail."""
        return [name for name in self.rank(index) if self.losses(index, name)][: self.rules.keep[index]]

    def ruler(self, index: int) -> SeedNoise:
        """How far the same contestant moved with another seed in this round."""
        groups: dict[str, list[float]] = {}
        for run, outcome in self.rounds[index].outcomes.items():
            if outcome.heldout_loss is not None:
                groups.setdefault(run.contestant, []).append(outcome.heldout_loss)
        return ruler(groups.values())

    def compare(self, index: int, worse: str, better: str) -> Label:
        """How sure it is that one contestant is worse than another."""
        outcomes = self.rounds[index].outcomes
        texts = [
            [
                o.documents
                for run in self.competing(index, name)
                if (o := outcomes.get(run)) and o.heldout_loss is not None
            ]
            for name in (worse, better)
        ]
        return compare(
            self.losses(index, worse),
            self.losses(index, better),
            paired_error(*texts),
            self.ruler(index),
            len(self.contestants(index)),
        )

    def last_survivor(self, index: int) -> str | None:
        """Whom the others are compared with: the last of those a round lets go on by rank."""
        going = self.best(index)
        if self.rules.mode == "async" and index < len(self.rounds) - 1:
            going = [name for name in self.rank(index) if name in self.rounds[index].kept]
        return going[-1] if going else None

    def labels(self, index: int) -> dict[str, Label]:
        """A label for everyone who has a loss and is not among the best; for a lone last one, the winner's."""
        last = self.last_survivor(index)
        going = self.rounds[index].kept if self.rules.mode == "async" else self.best(index)
        return (
            {}
            if last is None
            else {
                name: self.compare(index, name, last)
                for name in self.rank(index)
                if self.losses(index, name) and name not in going
            }
        )

    def winner_verdict(self) -> str | None:
        """The least certain of the comparisons that made the winner; None when nobody was left to compare with."""
        verdicts = {label.verdict for label in self.labels(len(self.rounds) - 1).values()}
        return next((v for v in ("unknown", "contested", "settled") if v in verdicts), None)

    # -- what is reported, and what follows

    def report(self, run: Run, index: int, outcome: Outcome) -> bool:
        """Take the outcome of a run in a round; True when a round was decided by it.

        The first word counts: a run that reports again, after a resume, changes nothing.
        """
        if self.over() or run not in self.runs(index) or not self._missing(index, run):
            return False
        played, earlier = self.rounds[index], self.rounds[index].outcomes.get(run)
        if earlier and outcome.failure:  # it had a loss, and died when it looked at more rows
            outcome = replace(earlier, factor=played.factor)
        elif outcome.failure is None and outcome.factor < played.factor:
            return False  # on too few rows: it was asked for more in the meantime
        played.outcomes[run] = outcome
        before = self.round, self.over()
        settle = self._promote if self.rules.mode == "async" else self._settle
        while not self.over() and settle(self.round):
            pass
        return (self.round, self.over()) != before

    def _settle(self, index: int) -> bool:
        """Keep early who is certain; when a round is complete, ask for more or decide it. True when decided."""
        played = self.rounds[index]
        if any(self._missing(index, run) for run in self.runs(index)):
            if self.rules.contested != "seeds":
                played.kept += [name for name in self._certain(index) if name not in played.kept]
            return False
        while self.rules.contested == "seeds" and self._ask(index):
            if any(self._missing(index, run) for run in self.runs(index)):
                return False  # else a twin has been that seed already
        going = self.best(index)
        if self.rules.contested == "keep" and index < len(self.rounds) - 1:
            going += [name for name, label in self.labels(index).items() if label.verdict == "contested"]
        played.kept += [name for name in going if name not in played.kept]
        played.decided = True
        return True

    def _certain(self, index: int) -> list[str]:
        """Contestants that are among the best whatever the others bring."""
        ranked = self.rank(index)
        cut = len(self.contestants(index)) - self.rules.keep[index]
        return [
            name for place, name in enumerate(ranked) if self.losses(index, name) and len(ranked) - 1 - place >= cut
        ]

    def _promote(self, index: int) -> bool:
        """Asynchronous: successive halving by promotion (Li et al. 2018). True when round `index` was closed."""
        for place in range(index, len(self.rounds)):
            entrants = len(self.flops) if place == 0 else self.rules.keep[place - 1]
            ranked = self.rank(place)
            share = len(ranked) * self.rules.keep[place] // entrants
            done = place == index and not any(self._missing(place, run) for run in self.runs(place))
            last = place == len(self.rounds) - 1
            if last and not done:
                break  # the last round is decided once
            if done:
                share = self.rules.keep[place] if last else max(share, self.rules.keep[place])
            best = [name for name in ranked if self.losses(place, name)]
            self.rounds[place].kept += [n for n in best[:share] if n not in self.rounds[place].kept]
            if done:
                self.rounds[place].decided = True
                return True
        return False

    def _ask(self, index: int) -> bool:
        """Where a cut could be chance, ask for more held-out rows, else for more seeds. True when it asked."""
        played, measured = self.rounds[index], self.ruler(index)
        unsure = [name for name, label in self.labels(index).items() if label.verdict != "settled"]
        if not unsure:
            return False
        errors = [self.compare(index, name, str(self.last_survivor(index))).evaluation_se or 0.0 for name in unsure]
        if (
            measured.sd is not None
            and max(errors) > measured.sd / 3
            and played.factor < self.rules.max_factor
            and self._rows_grew(index)
        ):
            played.factor *= 2
            return True
        near = [name for name in self.best(index) if self.compare(index, unsure[0], name).verdict != "settled"]
        wanting = [name for name in (*near, *unsure) if len(self.seeds[name]) < self.rules.max_seeds]
        for name in wanting:
            seed = max(self.seeds[name]) + 1
            while Run(name, seed) in self._lost(index + 1):  # a twin that failed
                seed += 1
            self.seeds[name][seed] = index
        return bool(wanting)

    def _rows_grew(self, index: int) -> bool:
        """Whether the held-out text was long enough for the rows last asked for."""
        return all(
            o.rows >= 0.9 * o.factor * self.rules.rows
            for o in self.rounds[index].outcomes.values()
            if o.heldout_loss is not None
        )

    # -- the ledger

    def state(self) -> dict[str, Any]:
        return {
            "seeds": {name: {str(seed): at for seed, at in seeds.items()} for name, seeds in self.seeds.items()},
            "rounds": [
                {
                    "kept": list(played.kept),
                    "factor": played.factor,
                    "decided": played.decided,
                    "outcomes": [
                        {"contestant": r.contestant, "seed": r.seed, **asdict(o)} for r, o in played.outcomes.items()
                    ],
                }
                for played in self.rounds
            ],
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Raises ValueError for a ledger of another tournament."""
        rounds = []
        for played in state["rounds"]:
            outcomes = {}
            for row in played["outcomes"]:
                facts = dict(row)
                run = Run(facts.pop("contestant"), facts.pop("seed"))
                outcomes[run] = Outcome(**facts)
            rounds.append(Round(outcomes, list(played["kept"]), played["factor"], played["decided"]))
        if len(rounds) != len(self.rules.keep):
            raise ValueError(f"{len(rounds)} rounds, of {len(self.rules.keep)}")
        if set(state["seeds"]) != set(self.seeds):
            raise ValueError("other contestants")
        self.rounds = rounds
        self.seeds = {name: {int(s): joined for s, joined in seeds.items()} for name, seeds in state["seeds"].items()}
