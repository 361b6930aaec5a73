"""Print the data budget of a curriculum: tokens and epochs of each source, the share of it that each stage can have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from curriculum.budget import StageBudget, plan_budget, planned_steps
from curriculum.stages import Stage
from hamner.config.schema import Curriculum
from hamner.data.corpus import Corpus


def budget_of(corpus: Corpus, stages: Sequence[Stage], settings: Curriculum) -> list[StageBudget]:
    """The budget of a run that begins with the first of these stages, from the tokens of its corpus."""
    names = {name for stage in stages for name in stage.mix} - {"synthetic"}
    rows = {name: settings.max_epochs * (len(corpus.train(name)) // settings.seq_len) for name in names}
    return plan_budget(stages, [planned_steps(stage, settings) for stage in stages], settings.batch_size, rows)


def print_budget(console: Console, budgets: Sequence[StageBudget], corpus: Corpus, settings: Curriculum) -> None:
    """Print one row a stage and one a source."""
    sources = list(dict.fromkeys(name for budget in budgets for name in budget.stage.mix))
    table = Table(
        title="data budget: the share of each source that a stage asks for (-> what it can have)",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("stage", no_wrap=True)
    for heading in ("planned steps", *sources):
        table.add_column(heading, justify="right")
    for number, budget in enumerate(budgets, start=1):
        shares = (share_text(budget.stage.mix.get(name, 0.0), budget.mix.get(name, 0.0)) for name in sources)
        table.add_row(f"{number} {budget.stage.name}", f"{budget.steps:,}", *shares)
    table.add_section()
    lengths = {name: math.inf if name == "synthetic" else len(corpus.train(name)) for name in sources}
    table.add_row("tokens", "", *(_tokens_text(lengths[name]) for name in sources))
    wanted = {name: sum(budget.wanted(name) for budget in budgets) * settings.seq_len for name in sources}
    table.add_row(
        f"epochs asked for, of {settings.max_epochs:g}", "", *(_epochs_text(name, wanted, lengths) for name in sources)
    )
    console.print(table)


def share_text(asked: float, given: float) -> str:
    """`35%`, or `35% -> 1.2%` where a stage cannot have what it asks for."""
    if not asked and not given:
        return ""
    return f"{asked:.0%}" if abs(asked - given) < 0.005 else f"{asked:.0%} -> {100 * given:.2g}%"


def _tokens_text(count: float) -> str:
    return "no end" if math.isinf(count) else f"{count:,}"


def _epochs_text(name: str, wanted: Mapping[str, float], lengths: Mapping[str, float]) -> str:
    return "" if math.isinf(lengths[name]) else f"{wanted[name] / lengths[name]:.2g}"
