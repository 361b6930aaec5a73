"""Plan of the concept experiments (`--plan`): arms, steps and hours, timed here on the base; nothing is written.

Data in: arms, a config, the base. Data out: a table and a line of totals.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console

from hamner.config.schema import Config
from hamner.data.concepts import test_items
from hamner.evaluation.short_answers import mark_items
from hamner.runs.durations import duration_text
from hamner.runs.tables import Column, fitted_table
from tournament.concept_arms import Arm, Stage
from tournament.concept_base import Base
from tournament.concept_league import runner_config
from tournament.entrants import Contestant
from tournament.step_timing import slots, time_steps

COLUMNS = (
    Column("arm", justify="left"),
    Column("suite", 1, justify="left"),
    Column("trained on", 2, justify="left", may_wrap=True),
    Column("loss", 3, justify="left"),
    Column("rate", 4),
    Column("steps"),
    Column("tests", 5),
)


def print_plan(console: Console, arms: Sequence[Arm], config: Config, base: Base, seeds: int) -> None:
    """Print the arms, then how long all of them take on this machine."""
    rows = [
        [
            arm.name,
            arm.suite,
            ", then ".join(" + ".join(f"{share:.0%} {n}" for n, share in s.mix.items()) for s in arm.stages)
            or "nothing",
            arm.loss,
            f"{arm.learning_rate(config) * config.lr_scale:.1e}",
            " + ".join(map(str, arm.steps(config))),
            str(sum(len(test_items(cell)) for cell in arm.cells)),
        ]
        for arm in arms
    ]
    title = f"{len(arms)} arms, {seeds} seeds each; steps are the recorded ones ÷ {config.concepts.divide_steps}"
    console.print(fitted_table(console, COLUMNS, rows, title=title))
    step, item = step_seconds(config, base), item_seconds(config, base)
    steps = sum(sum(arm.steps(config)) for arm in arms) * seeds
    items = sum(len(test_items(c)) * max(1, len(arm.stages)) for arm in arms for c in arm.cells) * seeds
    at_a_time = slots(config)
    total = (steps * step + items * item) / at_a_time
    console.print(
        f"{steps:,} steps of {1000 * step:.0f} ms and {items:,} tested items of {1000 * item:.1f} ms, {at_a_time} "
        f"run{'s' * (at_a_time > 1)} at a time: about {duration_text(total)}, and some seconds for each start of a run",
        soft_wrap=True,
    )


def _mix_words(stage: Stage) -> str:
    return " + ".join(f"{share:.0%} {name}" for name, share in stage.mix.items())


def step_seconds(config: Config, base: Base) -> float:
    """Seconds of a training step of the base, timed here."""
    model = base.model.model_copy(update={"document_mask": True})
    return time_steps(runner_config(config), Contestant(model, (0,)))


def item_seconds(config: Config, base: Base) -> float:
    """Seconds of a tested item, timed here: of seven concepts one is ranked, the others are written."""
    seconds = []
    base.hamner.to(config.compute.device)
    for cell in ("opposites/heldout", "chat/heldout"):
        items = test_items(cell)
        mark_items(base.hamner, base.tokenizer, items[:8], config.compute)
        began = time.perf_counter()
        mark_items(base.hamner, base.tokenizer, items, config.compute)
        seconds.append((time.perf_counter() - began) / len(items))
    return (6 * seconds[0] + seconds[1]) / 7
