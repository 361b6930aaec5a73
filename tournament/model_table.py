"""Table of the models that a league trains: layers, width, heads, experts and learning rate of each contestant.

In: the config's contestants, shrunk to its size. Out: cells and a table for `tournament --plan`, and a line for
contestants that shrinking has made the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from hamner.config.schema import Config
from hamner.runs.tables import Column, fitted_table
from tournament.entrants import Contestant, alike


def model_facts(contestant: Contestant, config: Config) -> dict[str, Any]:
    """What a contestant is, as it is trained, by the config's keys: sizes of its model, its learning rate."""
    model = contestant.model
    return {
        "num_layers": model.num_layers,
        "hidden_size": model.hidden_size,
        "num_heads": model.num_heads,
        "num_kv_heads": model.num_kv_heads,
        "intermediate_size": model.intermediate_size,
        "num_experts": model.num_experts,
        "learning_rate": (contestant.learning_rate or config.tournament.learning_rate) * config.lr_scale,
    }


def model_table(screen: Console, config: Config, rows: Sequence[Mapping[str, Any]]) -> Table:
    """rows: model_facts of each contestant, with its name as "contestant"."""
    league, size = config.tournament, config.size
    cells = [
        [
            row["contestant"],
            str(row["num_layers"]),
            str(row["hidden_size"]),
            f"{row['num_heads']} / {row['num_kv_heads']}",
            str(row["intermediate_size"]),
            str(row["num_experts"]),
            f"{row['learning_rate']:.3g}",
        ]
        for row in rows
    ]
    where = "as trained, lr_scale included"
    return fitted_table(
        screen,
        (
            Column("contestant", justify="left", may_wrap=True),
            Column("layers"),
            Column("width"),
            Column("heads / KV", 1),
            Column("MLP width", 2),
            Column("experts", 3),
            Column("rate"),
        ),
        cells,
        title="models" + (f", a {size.divide}th of their full size in each direction" if size.divide > 1 else ""),
        captions=[("rate", f"rate: {where}; the search starts there" if league.lr == "probe" else f"rate: {where}")],
    )


def alike_lines(contestants: Mapping[str, Contestant], config: Config) -> list[str]:
    """One line for each group of contestants that are the same in all but their names."""
    size = config.size.divide
    return [
        f"{', '.join(names)}: the same model and rate{f' after size.divide = {size}' if size > 1 else ''}, so that "
        "only seeds could tell them apart"
        for names in alike(contestants)
    ]
