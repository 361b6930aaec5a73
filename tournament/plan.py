"""`tournament --plan`: what the league would cost, from the config alone (no data, network, GPU or Ray)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from hamner.command import console
from hamner.config import Config, ModelConfig
from hamner.cost import count_parameters, training_flops_per_token
from tournament.gpu_share import GIB, memory_bytes, share
from tournament.standings import round_end


def plan_rows(config: Config, models: Mapping[str, ModelConfig]) -> list[dict[str, Any]]:
    """One row a contestant; tokens and flops are those of one that goes all the way."""
    league = config.tournament
    tokens = round_end(config, len(league.steps)) * league.batch_size * league.seq_len
    return [{
        "contestant": name, "parameters": count_parameters(model).total,
        "active_parameters": count_parameters(model).active, "tokens": tokens,
        "flops": tokens * training_flops_per_token(model, league.seq_len),
        "memory_gib": round(memory_bytes(model, config) / GIB, 3), "gpu_share": share(model, config),
    } for name, model in models.items()]


def print_plan(config: Config, models: Mapping[str, ModelConfig], *, as_json: bool) -> None:
    rows = plan_rows(config, models)
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    league = config.tournament
    table = Table(
        title=f"{len(rows)} contestants, rounds of {' / +'.join(map(str, league.steps))} steps of "
              f"{league.batch_size} × {league.seq_len} tokens, {' → '.join(map(str, (len(rows), *league.keep)))}",
        title_justify="left", caption="tokens and FLOPs: of a contestant that goes all the way",
        caption_justify="left",
    )
    for heading in ("contestant", "parameters", "active", "tokens", "PFLOP", "GiB", "GPU share"):
        table.add_column(heading, justify="left" if heading == "contestant" else "right")
    for row in rows:
        table.add_row(
            row["contestant"], f"{row['parameters']:,}", f"{row['active_parameters']:,}", f"{row['tokens']:,}",
            f"{row['flops'] / 1e15:,.2f}", f"{row['memory_gib']:.2f}",
            f"{row['gpu_share']:.2f}" if row["gpu_share"] else "–",
        )
    console().print(table)
