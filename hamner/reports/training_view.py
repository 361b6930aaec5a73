"""Training curves at a terminal: a chart of the loss, a line for each other quantity or contestant, the newest sample.

Data in: what training_curves.py has read, and the terminal's size. Data out: lines of text that fit it; pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from hamner.reports.terminal_charts import border_line, line_chart, sparkline
from hamner.reports.training_curves import Line, Panel, TrainingCurves

MARGIN = 9  # cells left of the chart, for the numbers of its axis
LABEL = 15  # cells of the name of a quantity
FEWEST_ROWS, MOST_ROWS = 4, 20  # of the chart
LOSSES = ("Loss", "Held-out loss", "Training loss")


def training_view(curves: TrainingCurves, width: int, height: int, *, ascii_only: bool = False) -> list[str]:
    """Lines of at most `width` characters, as many as `height` where that is enough for all there is."""
    rest = _contestants(curves, width, ascii_only) if curves.is_league else _quantities(curves, width, ascii_only)
    rows = min(max(height - len(rest) - 5, FEWEST_ROWS), MOST_ROWS)
    panel = next((panel for panel in curves.panels if panel.title in LOSSES), curves.panels[0])
    head = f"{curves.name}  step {curves.step:,}  {panel.title.lower()}, {panel.unit}"
    lines = [head, *_chart(curves, panel, width, rows, ascii_only), "", *rest]
    return [line[:width].rstrip() for line in lines]


def _chart(curves: TrainingCurves, panel: Panel, width: int, rows: int, ascii_only: bool) -> list[str]:
    """The lines of a panel between their lowest and highest value, and below them the borders."""
    room = max(width - MARGIN, 1)
    points = [line.points for line in panel.lines if not line.is_sparse]
    cells, low, high = line_chart(points, room, rows, x_range=curves.x_range, ascii_only=ascii_only)
    labels = [f"{high:>{MARGIN - 1}.3f}", *[""] * (rows - 2), f"{low:>{MARGIN - 1}.3f}"]
    chart = [f"{label:<{MARGIN}}{row}" for label, row in zip(labels, cells, strict=True)]
    return [*chart, " " * MARGIN + border_line(curves.borders, room, x_range=curves.x_range)]


def _quantities(curves: TrainingCurves, width: int, ascii_only: bool) -> list[str]:
    """A line for each quantity: its curve and its newest value; then the newest sample."""
    lines = []
    for panel in curves.panels:
        for name in dict.fromkeys(line.name for line in panel.lines):
            parts = [line for line in panel.lines if line.name == name]
            label = name if panel.title in LOSSES else panel.title.lower()
            lines.append(_labelled(label, parts, panel.unit, width, ascii_only))
    if curves.samples:
        sample = curves.samples[-1]
        text = " ".join(f"{sample.prompt} {sample.text}".split())
        lines += ["", f"sample of step {sample.step:,}, {sample.stage}:", text]
    return lines


def _labelled(label: str, parts: Sequence[Line], unit: str, width: int, ascii_only: bool) -> str:
    values = [value for part in parts for _, value in part.points]
    newest = f"{number(values[-1])} {unit}".rstrip()
    room = max(width - LABEL - len(newest) - 2, 0)
    return f"{label[: LABEL - 1]:<{LABEL}}{sparkline(values, min(room, 60), ascii_only=ascii_only)}  {newest}"


def _contestants(curves: TrainingCurves, width: int, ascii_only: bool) -> list[str]:
    """A line for each run of a league, the one with the lowest newest held-out loss first."""
    panel = curves.panels[0]
    label = max(len(line.name) for line in panel.lines) + 2
    lines = []
    for line in sorted(panel.lines, key=lambda line: line.points[-1][1]):
        step, loss = line.points[-1]
        newest = f"{loss:.4f} at step {step:,.0f}"
        room = max(width - label - len(newest) - 2, 0)
        spark = sparkline([value for _, value in line.points], min(room, 40), ascii_only=ascii_only)
        lines.append(f"{line.name:<{label}}{newest}  {spark}")
    return lines


def number(value: float) -> str:
    """Four significant digits, thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
