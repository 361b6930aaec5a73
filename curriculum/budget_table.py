"""Print the data budget of a curriculum: tokens and epochs of each source, the share of it that each stage can have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console

from curriculum.budget import StageBudget, plan_budget, planned_steps
from curriculum.stages import Stage
from hamner.config.schema import Curriculum
from hamner.data.corpus import Corpus
from hamner.runs.tables import Column, fitted_table


def budget_of(
    corpus: Corpus,
    stages: Sequence[Stage],
    settings: Curriculum,
    rows_read: Mapping[str, int],
    deadline_steps: Sequence[int] | None = None,
) -> list[StageBudget]:
    """The budget of a run that begins with the first of these stages, from the tokens of its corpus.

    rows_read: of each source, by the run whose weights it begins with. deadline_steps: what a deadline gives each
    stage, if there is one.
    """
    names = {name for stage in stages for name in stage.mix} - {"synthetic"}
    rows = {
        name: max(settings.max_epochs * (len(corpus.train(name)) // settings.seq_len) - rows_read.get(name, 0), 0.0)
        for name in names
    }
    steps = planned_steps(stages, settings, deadline_steps=deadline_steps)
    return plan_budget(stages, steps, settings.batch_size, rows)


def print_budget(
    console: Console,
    budgets: Sequence[StageBudget],
    corpus: Corpus,
    settings: Curriculum,
    *,
    first_stage: int = 0,
    times: Sequence[Sequence[str]] = (),
) -> None:
    """Print one row a stage, then the tokens and epochs of each source.

    first_stage: 0-based number of the stage that the run begins with. times: of each stage how long it takes, and of a
    run with a deadline when it ends.
    """
    headings = ("time", "until")[: max(map(len, times), default=0)]
    times, empty = times or [()] * len(budgets), [""] * len(headings)
    sources = list(dict.fromkeys(name for budget in budgets for name in budget.stage.mix))
    lengths = {name: math.inf if name == "synthetic" else len(corpus.train(name)) for name in sources}
    asked = {name: sum(budget.wanted(name) for budget in budgets) * settings.seq_len for name in sources}
    rows = [
        [
            f"{number} {budget.stage.name}",
            f"{budget.steps:,}",
            *time,
            *(share_text(budget.stage.mix.get(name, 0.0), budget.mix.get(name, 0.0)) for name in sources),
        ]
        for number, (budget, time) in enumerate(zip(budgets, times, strict=True), start=first_stage + 1)
    ]
    rows += [
        ["tokens", "", *empty, *(_tokens_text(lengths[name]) for name in sources)],
        [
            f"epochs wanted, of {settings.max_epochs:g} allowed",
            "",
            *empty,
            *(_epochs_text(asked[name], lengths[name]) for name in sources),
        ],
    ]
    columns = (
        Column("stage", justify="left", may_wrap=True),
        Column("steps", 9),
        *(Column(heading) for heading in headings),
        *(Column(name, place) for place, name in enumerate(sources, start=1)),
    )
    title = "data budget: share of each source in a stage, asked -> had where it is scarce"
    console.print(fitted_table(console, columns, rows, title=title, frame=box.SIMPLE_HEAD))


def share_text(asked: float, given: float) -> str:
    """`35%`, or `35% -> 1.2%` where a stage cannot have what it asks for."""
    if not asked and not given:
        return ""
    return f"{asked:.0%}" if abs(asked - given) < 0.005 else f"{asked:.0%} -> {100 * given:.2g}%"


def _tokens_text(count: float) -> str:
    return "no end" if math.isinf(count) else f"{count / 1e6:,.2f} M"


def _epochs_text(asked: float, length: float) -> str:
    return "" if math.isinf(length) else f"{asked / length:,.2f}"
