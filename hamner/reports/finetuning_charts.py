"""Charts of a fine-tuning: loss of training, of held-out replies and of their turn ends, learning rate.

In: rows of metrics.csv, and what the base made of the held-out replies. Out: Charts of parts.py, each with the numbers
behind it as a table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hamner.reports.charts import PALE, SERIES_COLOURS, end_labels, quantity
from hamner.reports.parts import Chart, DataTable
from hamner.runs.read_back import Row, numbers_of
from hamner.runs.tables import Column

MOST_POINTS = 300  # of one line
REPLIES = {"heldout_word_loss": "words", "heldout_end_loss": "turn ends"}  # column: what it is the loss of
Line = list[tuple[int, float]]


def finetuning_charts(rows: Sequence[Row], before: Mapping[str, Any]) -> Iterator[Chart]:
    """Loss and learning rate. before: of finetuning.json, the losses of the base."""
    base = {f"heldout_{name}": loss for name, loss in numbers_of(before).items()}
    replies = {name: _line(rows, column, base.get(column)) for column, name in REPLIES.items()}
    replies = {name: line for name, line in replies.items() if line}
    training = _line(rows, "loss")
    if replies or training:
        yield Chart(
            "loss-of-replies",
            "Loss of held-out replies, nats per token",
            lambda figure, tips: _draw_replies(figure, tips, replies, training),
            _table(replies),
            notes=("at step 0: of the base; pale: training loss",),
            size=(4.8, 3.0),
        )
    rate = _line(rows, "learning_rate")
    if rate:
        yield Chart(
            "learning-rate",
            "Learning rate",
            lambda figure, tips: _draw_rate(figure, tips, rate),
            DataTable([Column("step"), Column("rate")], [[f"{step:,}", f"{value:.4g}"] for step, value in rate[-60:]]),
            size=(4.8, 3.0),
        )


def _line(rows: Sequence[Row], column: str, start: float | None = None) -> Line:
    """(step, value) of a column where it has one, MOST_POINTS of them at most, after what it was at step 0."""
    values = [(row.step, value) for row in rows if (value := row[column]) is not None]
    stride = -(-len(values) // MOST_POINTS)
    values = [*values[:-1:stride], values[-1]] if stride > 1 else values
    return [(0, start), *values] if start is not None else values


def _table(replies: Mapping[str, Line]) -> DataTable | None:
    if not replies:
        return None
    steps = sorted({step for line in replies.values() for step, _ in line})
    values = {name: dict(line) for name, line in replies.items()}
    rows = [
        [f"{step:,}", *(f"{of_name[step]:.3f}" if step in of_name else "—" for of_name in values.values())]
        for step in steps
    ]
    return DataTable([Column("step"), *map(Column, values)], rows, "loss of held-out replies, nats per token")


def _axes(figure: Any, y: str) -> Any:
    axes = figure.add_subplot()
    axes.set_xlabel("step")
    axes.set_ylabel(y)
    axes.grid(axis="y")
    axes.xaxis.set_major_formatter(lambda value, _: quantity(value))
    return axes


def _draw_replies(figure: Any, tips: Any, replies: Mapping[str, Line], training: Line) -> None:
    axes, ends = _axes(figure, "nats per token"), []
    if training:
        axes.plot(*zip(*training, strict=True), color=PALE, linewidth=0.8)
    for (name, line), colour in zip(replies.items(), SERIES_COLOURS, strict=False):
        artist = axes.plot(*zip(*line, strict=True), color=colour, marker="o", markersize=3)[0]
        tips(artist, f"{name}: {line[0][1]:.3f} at step {line[0][0]:,}, {line[-1][1]:.3f} at step {line[-1][0]:,}")
        ends.append((line[-1][1], name, colour))
    axes.set_xlim(0)
    axes.set_ylim(0)
    end_labels(axes, ends)


def _draw_rate(figure: Any, tips: Any, rate: Line) -> None:
    axes = _axes(figure, "rate")
    axes.yaxis.set_major_formatter(lambda value, _: quantity(value))
    artist = axes.plot(*zip(*rate, strict=True), color=SERIES_COLOURS[3])[0]
    tips(artist, f"learning rate: {rate[0][1]:.3g} at step {rate[0][0]:,}, {rate[-1][1]:.3g} at step {rate[-1][0]:,}")
    axes.set_xlim(0)
    axes.set_ylim(0)
