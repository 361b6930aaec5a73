"""Results of the concept experiments: accuracy of every cell with baselines and two intervals, verdicts between arms.

In: the outcomes of arms and seeds. Out: the document of concepts.json: of each arm its cells after each stage, the
comparisons within each group of arms, the recorded claims.

Two errors: items are a sample (binomial: Wilson's interval, of the items of one seed), and a training is a draw
(Student's t over the seeds' accuracies). The interval of a cell is the wider of the two on each side: a cautious one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hamner.config.schema import Config
from hamner.data.concepts import test_items
from hamner.evaluation.short_answers import baselines
from hamner.evaluation.statistics import accuracy, seed_interval, wilson_interval
from tournament.bracket import Bracket, Outcome, Rules, Run
from tournament.concept_arms import Arm
from tournament.concept_claims import claim_rows
from tournament.uncertainty import Label

Interval = tuple[float, float]


def concept_results(name: str, config: Config, arms: Sequence[Arm], bracket: Bracket, seeds: int) -> dict[str, Any]:
    """The document. bracket: of one round, that is decided."""
    outcomes = bracket.rounds[0].outcomes
    rows = {arm.name: arm_row(arm, config, _of_arm(arm, outcomes)) for arm in arms}
    groups = {
        group: Comparison(group, [arm for arm in arms if arm.group == group], outcomes)
        for group in dict.fromkeys(arm.group for arm in arms if arm.group)
    }
    return {
        "run": name,
        "seeds": seeds,
        "steps_divided_by": config.concepts.divide_steps,
        "arms": list(rows.values()),
        "comparisons": [comparison.row() for comparison in groups.values()],
        "claims": claim_rows(rows, lambda one, other: _of_two(groups.values(), one, other)),
    }


def _of_two(groups: Iterable[Comparison], one: str, other: str) -> tuple[str, Label] | None:
    """The better of two arms and how sure that is, in the group that has both; None where one has no result."""
    return next((compared for group in groups if (compared := group.of_two(one, other))), None)


def _of_arm(arm: Arm, outcomes: Mapping[Run, Outcome]) -> dict[int, Outcome]:
    return {run.seed: outcome for run, outcome in sorted(outcomes.items()) if run.contestant == arm.name}


def arm_row(arm: Arm, config: Config, outcomes: Mapping[int, Outcome]) -> dict[str, Any]:
    """One arm. Of seeds that failed there are no numbers, but the reason."""
    whole = [outcome.facts for outcome in outcomes.values() if outcome.failure is None]
    steps = arm.steps(config)
    return {
        "arm": arm.name,
        "suite": arm.suite,
        "group": arm.group,
        "loss": arm.loss,
        "learning_rate": arm.learning_rate(config) * config.lr_scale,
        "slow_layers": arm.has_slow_layers,
        "main": arm.main,
        "seconds": sum(facts["seconds"] for facts in whole),
        "failures": {str(seed): f"{o.failure}: {o.reason}" for seed, o in outcomes.items() if o.failure},
        "stages": [
            {
                "mix": dict(arm.stages[index].mix) if arm.stages else {},
                "steps": steps[index] if steps else 0,
                "cells": {
                    cell: cell_row(cell, [facts["measured"][index][cell] for facts in whole]) for cell in arm.cells
                },
            }
            for index in range(max(1, len(steps)) if whole else 0)
        ],
    }


def cell_row(cell: str, marks: Sequence[str]) -> dict[str, Any]:
    """Accuracy of a cell with its baselines and intervals. marks: of each seed, one character an item."""
    shares = [accuracy(of_seed) for of_seed in marks]
    mean, guess = sum(shares) / len(shares), baselines(test_items(cell))
    wilson, seeds = wilson_interval(mean, len(marks[0])), seed_interval(shares)
    both = [wilson, *([seeds] if seeds else [])]
    interval = [min(low for low, _ in both), max(high for _, high in both)]
    return {
        "accuracy": mean,
        "of_seeds": shares,
        "items": len(marks[0]),
        "majority": guess.majority,
        "chance": guess.chance,
        "wilson": list(wilson),
        "seed_interval": list(seeds) if seeds else None,
        "interval": interval,
        "above_baseline": interval[0] > max(guess.majority, guess.chance),
    }


class Comparison:
    """The tournament's verdict between the arms of a group: one round of them alone, judged by its bracket."""

    def __init__(self, group: str, arms: Sequence[Arm], outcomes: Mapping[Run, Outcome]) -> None:
        self._group = group
        self._arms = {arm.name: arm for arm in arms}
        of_group = {run: outcome for run, outcome in outcomes.items() if run.contestant in self._arms}
        if len({arm.main for arm in arms}) > 1:  # other items: how far these move a difference cannot be told
            of_group = {run: replace(outcome, documents={}) for run, outcome in of_group.items()}
        seeds = {name: {run.seed: 0 for run in sorted(of_group) if run.contestant == name} for name in self._arms}
        self._bracket = Bracket(Rules(keep=(1,)), dict.fromkeys(self._arms, 1.0), seeds)
        for run, outcome in of_group.items():
            self._bracket.report(run, 0, outcome)
        self._ranking = [name for name in self._bracket.ranking(0) if self._bracket.losses(0, name)]

    def of_two(self, one: str, other: str) -> tuple[str, Label] | None:
        """The better of two arms, and how sure that is; None where one of them has no result."""
        if not {one, other} <= set(self._ranking):
            return None
        better, worse = sorted((one, other), key=self._ranking.index)
        return better, self._bracket.compare(0, worse, better)

    def row(self) -> dict[str, Any]:
        """The group's ranking, each arm compared with the best one; differences in shares of right answers."""
        best = self._ranking[0] if self._ranking else None
        rows = []
        for name in self._arms:
            row: dict[str, Any] = {"arm": name, "cell": self._arms[name].main, "verdict": None}
            if name in self._ranking:
                row["accuracy"] = 1 - self._bracket.loss(0, name)
                if best and name != best:
                    label = self._bracket.compare(0, name, best)
                    row |= {"behind": label.difference, "standard_error": label.standard_error}
                    row["verdict"] = label.verdict
            rows.append(row)
        return {"group": self._group, "best": best, "rows": rows}
