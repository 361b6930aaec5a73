"""Tables of a finished fine-tuning: held-out replies and the base's own text, before and after.

Data in: finetuning.json of a run. Data out: rows of cells, and tables of rich.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import NormalDist
from typing import Any

from rich.table import Table

from hamner.evaluation.forgetting import ERROR_RATE
from hamner.evaluation.statistics import clustered_error

REPLIES = ("source", "words, base", "words, now", "change", "turn ends, base", "turn ends, now")
TEXT = ("source", "base", "now", "change")
CORRECTIONS = ("source", "pairs", "better likelier, base", "now", "margin, base", "now", "change", "errors")
BEYOND_CHANCE = 3.0  # standard errors, as on the friend card


def replies_table(document: Mapping[str, Any]) -> Table:
    """Loss of the words of held-out replies and of turn ends, nats per token, of the base and of what came of it."""
    return _table("held-out replies, nats a token", REPLIES, replies_rows(document))


def text_table(document: Mapping[str, Any]) -> Table:
    """Held-out loss of the base's own text before and after, with the error of the change by document."""
    return _table("held-out text of the base, nats a token: what rose is forgotten", TEXT, text_rows(document))


def corrections_report(changes: Sequence[Mapping[str, Any]]) -> Iterator[Table | str]:
    """What a run has learnt from corrections, and in a sentence whether that is beyond chance.

    changes: feedback.json's rows, those of the corrections that were held out first.
    """
    title = "log-likelihood of the better reply less that of the other, nats: corrections, and the friendly pairs"
    yield _table(title, CORRECTIONS, corrections_rows(changes))
    held_out = changes[0]
    gain, errors = held_out["now"] - held_out["before"], held_out["errors"]
    words = "not beyond chance, which is 3 standard errors"
    if errors is not None and abs(errors) > BEYOND_CHANCE:
        words = "learnt, beyond chance" if errors > 0 else "worse than before, beyond chance"
    yield f"{held_out['count']} corrections held out: {gain:+.2f} nats, {_errors(errors)} standard errors: {words}"
    moved = [row["group"] for row in changes[2:] if row["errors"] is not None and abs(row["errors"]) > BEYOND_CHANCE]
    yield f"elsewhere, of the friendly pairs, beyond chance: {', '.join(moved) or 'nothing moved'}"


def corrections_rows(changes: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """A row a group of pairs, cells as CORRECTIONS names them."""
    return [
        [
            row["group"],
            str(row["count"]),
            f"{row['right_before']:.0%}",
            f"{row['right_now']:.0%}",
            f"{row['before']:+.2f}",
            f"{row['now']:+.2f}",
            f"{row['now'] - row['before']:+.2f} ± {row['error'] or math.inf:.2f}",
            _errors(row["errors"]),
        ]
        for row in changes
    ]


def _errors(errors: float | None) -> str:
    return "?" if errors is None else f"{errors:+.1f}"


def replies_rows(document: Mapping[str, Any]) -> list[list[str]]:
    """A row a source, cells as REPLIES names them."""
    rows = []
    before, after = document["before"]["sources"], document["after"]["sources"]
    for name in after:
        words, ends = ([side[name][key] for side in (before, after)] for key in ("word_loss", "end_loss"))
        change = f"{words[1] / words[0] - 1:+.1%}"
        rows.append([name, f"{words[0]:.3f}", f"{words[1]:.3f}", change, f"{ends[0]:.3f}", f"{ends[1]:.3f}"])
    return rows


def text_rows(document: Mapping[str, Any]) -> list[list[str]]:
    """A row a source, cells as TEXT names them."""
    return [
        [name, f"{before:.3f}", f"{now:.3f}", f"{now - before:+.3f} ± {error:.3f}"]
        for name, (before, now, error) in text_losses(document).items()
    ]


def text_losses(document: Mapping[str, Any]) -> dict[str, tuple[float, float, float]]:
    """Of each source of the base's text its held-out loss before and now, and the standard error of the change."""
    losses = {}
    before, after = document["before"]["measured"], document["after"]["measured"]
    for name in after:
        gaps = [b - a for a, b in zip(before[name]["nats"], after[name]["nats"], strict=True)]
        tokens = after[name]["tokens"]
        then, now = (math.fsum(side[name]["nats"]) / sum(tokens) for side in (before, after))
        losses[name] = (then, now, clustered_error(gaps, tokens))
    return losses


def forgotten_text(document: Mapping[str, Any]) -> list[str]:
    """Sources of the base's text whose loss rose beyond its error, at 5 % for all of them together (Bonferroni)."""
    losses = text_losses(document)
    limit = NormalDist().inv_cdf(1 - ERROR_RATE / max(len(losses), 1))
    return [name for name, (before, now, error) in losses.items() if now - before > limit * error]


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "source" else "right")
    for row in rows:
        table.add_row(*row)
    return table
