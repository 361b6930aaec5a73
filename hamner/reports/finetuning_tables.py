"""Tables of a finished fine-tuning: held-out replies and the base's own text, before and after.

Data in: finetuning.json of a run. Data out: tables of rich.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from hamner.evaluation.statistics import clustered_error


def replies_table(document: Mapping[str, Any]) -> Table:
    """Loss of the words of held-out replies and of turn ends, nats per token, of the base and of what came of it."""
    table = Table(title="held-out replies, nats a token", title_justify="left")
    for heading in ("source", "words, base", "words, now", "change", "turn ends, base", "turn ends, now"):
        table.add_column(heading, justify="left" if heading == "source" else "right")
    before, after = document["before"]["sources"], document["after"]["sources"]
    for name in after:
        words, ends = ([side[name][key] for side in (before, after)] for key in ("word_loss", "end_loss"))
        change = f"{words[1] / words[0] - 1:+.1%}"
        table.add_row(name, f"{words[0]:.3f}", f"{words[1]:.3f}", change, f"{ends[0]:.3f}", f"{ends[1]:.3f}")
    return table


def text_table(document: Mapping[str, Any]) -> Table:
    """Held-out loss of the base's own text before and after, with the error of the change by document."""
    table = Table(title="held-out text of the base, nats a token: what rose is forgotten", title_justify="left")
    for heading in ("source", "base", "now", "change"):
        table.add_column(heading, justify="left" if heading == "source" else "right")
    before, after = document["before"]["measured"], document["after"]["measured"]
    for name in after:
        gaps = [b - a for a, b in zip(before[name]["nats"], after[name]["nats"], strict=True)]
        tokens = after[name]["tokens"]
        losses = [math.fsum(side[name]["nats"]) / sum(tokens) for side in (before, after)]
        change = f"{losses[1] - losses[0]:+.3f} ± {clustered_error(gaps, tokens):.3f}"
        table.add_row(name, f"{losses[0]:.3f}", f"{losses[1]:.3f}", change)
    return table
