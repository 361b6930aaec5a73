"""Data budget of a curriculum: how many rows of each source each stage may read, planned over the whole run.

A source may be read `max_epochs` times in all. Taken as they come, the early stages would read it up and leave the
stage that is about it without any. So its rows are dealt out beforehand:

1. Every stage asks for its share of its planned length.
2. Where a source cannot give all that is asked, its own stage is served first (`own_stage`), then a decay, since text
   is learnt best while the rate falls; the others share what is left in proportion to what they ask.
3. What a stage does not get, it reads of its other sources in proportion, which may make these scarce in turn.

The plan is made again at each border, from the rows read until then: what an early end left over goes to the stages
that are still to come. Data in: stages, their planned steps, the rows that may still be read. Data out: rows of each
source in each stage, and the mix that they make. Pure arithmetic, no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curriculum.plateau import make_stopper
from curriculum.stages import Stage, lengths
from hamner.config.schema import Curriculum

LARGE_SHARE = 0.2  # of a stage's mix; when such a source ends, the stage ends with it
THIN = 0.5  # of what a stage asks of its main source; a stage that gets less is not the stage it is called
SPARE_ROWS = 2  # rows by which the mixer may miss a share, see data/mixer.py

Mix = Mapping[str, float]


@dataclass(frozen=True)
class StageBudget:
    """What one stage may read."""

    stage: Stage
    steps: int  # planned length
    rows: int  # of all sources together in that length
    granted: Mapping[str, int]  # source -> rows, at most what the stage asks for
    mix: Mix  # source -> share of the rows that can be read; sums to 1

    def wanted(self, source: str) -> float:
        """Rows that the stage asks for."""
        return self.stage.mix.get(source, 0.0) * self.rows

    @property
    def main_source(self) -> str:
        """The tokenised source with the largest share; any source where there is none."""
        text = {name: share for name, share in self.stage.mix.items() if name != "synthetic"} or self.stage.mix
        return max(text, key=lambda name: text[name])

    @property
    def is_thin(self) -> bool:
        """Whether the stage gets less than half of what it asks of its main source."""
        return self.mix.get(self.main_source, 0.0) < THIN * self.stage.mix[self.main_source]


def planned_steps(
    stages: Sequence[Stage], settings: Curriculum, steps_before: int = 0, *, deadline_steps: Sequence[int] | None = None
) -> list[int]:
    """Steps that each stage is planned with: its fixed length, or the shortest that the plateau rule can end it after.

    steps_before: trained before the first of these stages. deadline_steps: what a deadline gives each of them instead.
    """
    if deadline_steps is not None:
        return list(deadline_steps)
    shortest = min(make_stopper(settings.plateau, settings.warmup_steps).earliest_stop(0), settings.max_steps)
    return lengths(
        stages, lambda stage: stage.length(settings.max_steps) if stage.steps else shortest, steps_before=steps_before
    )


def own_stage(source: str, stages: Sequence[Stage]) -> int | None:
    """Index of the stage that is about a source: named after it, else the one where its share is largest.

    None when no stage reads it.
    """
    readers = [index for index, stage in enumerate(stages) if stage.mix.get(source, 0) > 0]
    named = [index for index in readers if stages[index].name == source]
    return named[0] if named else max(readers, key=lambda index: stages[index].mix[source], default=None)


def served_first(source: str, stages: Sequence[Stage]) -> list[int]:
    """Indices of the stages that get a scarce source before the others, in turn: its own, then a decay."""
    own = own_stage(source, stages)
    decays = [i for i, stage in enumerate(stages) if stage.is_decay and stage.mix.get(source, 0) > 0 and i != own]
    return decays if own is None else [own, *decays]


def plan_budget(
    stages: Sequence[Stage], steps: Sequence[int], batch_size: int, available: Mapping[str, float]
) -> list[StageBudget]:
    """The rows of each stage. available: source -> rows that may still be read; a source without entry has no end."""
    totals, spare = [count * batch_size for count in steps], SPARE_ROWS * len(stages)
    dealt: dict[str, list[float]] = {}  # scarce source -> rows in each stage
    while True:
        rows = [
            _fill(stage.mix, total, {name: shares[index] for name, shares in dealt.items() if name in stage.mix})
            for index, (stage, total) in enumerate(zip(stages, totals, strict=True))
        ]
        demand = {name: [of_stage.get(name, 0.0) for of_stage in rows] for name in available if name not in dealt}
        scarce = {name: asked for name, asked in demand.items() if sum(asked) > available[name] - spare and any(asked)}
        if not scarce:
            break
        dealt |= {
            name: deal(asked, max(available[name] - spare, 0.0), served_first(name, stages))
            for name, asked in scarce.items()
        }
    return [
        StageBudget(
            stage,
            count,
            total,
            {name: math.floor(n + 1e-6) for name, n in of_stage.items()},
            _mix(of_stage, stage, dealt),
        )
        for stage, count, total, of_stage in zip(stages, steps, totals, rows, strict=True)
    ]


def limits(budgets: Sequence[StageBudget], rows_read: Mapping[str, int], left: Mapping[str, float]) -> dict[str, float]:
    """Rows of each source, counted over the whole run, that the first stage may read up to: what later ones are
    granted stays.
    """
    later = {name: sum(budget.granted.get(name, 0) for budget in budgets[1:]) for name in left}
    return {name: rows_read[name] + max(rows - later[name], 0.0) for name, rows in left.items()}


def deal(asked: Sequence[float], available: float, first: Sequence[int]) -> list[float]:
    """Rows of a scarce source in each stage: the stages `first` in turn get what they ask, the others share the rest in
    proportion to what they ask.
    """
    dealt = [0.0] * len(asked)
    for index in first:
        dealt[index] = min(asked[index], available - sum(dealt))
    others = sum(rows for index, rows in enumerate(asked) if index not in first)
    factor = (available - sum(dealt)) / others if others else 0.0
    return [dealt[index] if index in first else rows * factor for index, rows in enumerate(asked)]


def thin_problems(budgets: Sequence[StageBudget], max_epochs: float) -> list[str]:
    """One line for each stage that gets less than half of its main source, with the three ways out."""
    return [
        f"stage '{budget.stage.name}' asks for {budget.stage.mix[source]:.0%} {source} and can have "
        f"{budget.mix.get(source, 0.0):.1%}, {budget.granted.get(source, 0):,} of {budget.wanted(source):,.0f} rows in "
        f"max_epochs = {max_epochs:g}: give more text, a higher max_epochs or a smaller ratio, or use --allow-thin"
        for budget in budgets
        if budget.is_thin
        for source in [budget.main_source]
    ]


def _fill(mix: Mix, total: float, dealt: Mapping[str, float]) -> dict[str, float]:
    """Rows of each source of a stage: what was dealt of the scarce ones, and the rest in proportion of the others."""
    others = {name: share for name, share in mix.items() if name not in dealt and share > 0}
    rest = max(total - sum(dealt.values()), 0.0)
    return {**dealt, **{name: rest * share / sum(others.values()) for name, share in others.items()}}


def _mix(rows: Mapping[str, float], stage: Stage, dealt: Mapping[str, Sequence[float]]) -> Mix:
    """Shares of the rows; a source without a whole row is left out. The stage's own mix where nothing is scarce."""
    present = {name: rows[name] for name in stage.mix if rows.get(name, 0.0) >= 1 - 1e-6}
    if not present or not dealt.keys() & stage.mix.keys():
        return stage.mix
    return {name: count / sum(present.values()) for name, count in present.items()}
