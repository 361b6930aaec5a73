"""Pictures of training curves (Matplotlib): one PNG and SVG of a run, and a page that reloads itself.

Data in: what training_curves.py has read. Data out: training_curves.png and .svg, or dashboard.html: the run's report
where it has one, else the curves as a page of their own. Files of other names are left alone.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamner.reports.charts import COLOURS, INK, PALE, PAPER, SERIES_COLOURS, SOFT, end_labels, png, quantity, svg
from hamner.reports.html import report_html
from hamner.reports.parts import Chart, DataTable, Items, Part, Report, Section, Tips
from hamner.reports.training_curves import Panel, TrainingCurves, read_training_curves
from hamner.reports.training_view import number
from hamner.runs.files import write_bytes, write_text
from hamner.runs.tables import Column

if TYPE_CHECKING:  # Matplotlib takes half a second to load: only what draws does
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STEM, PAGE, REPORT = "training_curves", "dashboard.html", "report.html"
MOST_POINTS = 400  # of a line of a picture: more cannot be told apart
DASHES = ("-", "--", ":", "-.")
SAMPLE_LETTERS = 118  # of a sample's line
WIDTH, ROW, SAMPLE_ROW = 10.0, 2.7, 0.17  # inches


def write_pictures(curves: TrainingCurves, folder: Path, out: Path) -> list[Path]:
    """Write the PNG and the SVG of a run; returns their paths. In another folder they bear the run's name."""
    stem = STEM if out.resolve() == folder.resolve() else f"{STEM}_{folder.resolve().parent.name}_{curves.name}"
    chart, paths = whole_chart(curves), [out / f"{stem}.png", out / f"{stem}.svg"]
    write_bytes(paths[0], png(chart))
    write_text(paths[1], standalone_svg(chart))
    return paths


def write_dashboard(folder: Path, out: Path, every: float) -> Path:
    """Write the page that reloads itself `every` seconds; returns its path."""
    report = folder / REPORT
    text = report.read_text(encoding="utf-8") if report.is_file() else curves_page(read_training_curves(folder))
    refresh = f'<head>\n<meta http-equiv="refresh" content="{max(1, round(every))}">'
    write_text(out / PAGE, text.replace("<head>", refresh, 1))
    return out / PAGE


def curves_page(curves: TrainingCurves) -> str:
    """A page of a run that has no report: a chart of each quantity, and the samples."""
    charts: list[Part] = [panel_chart(curves, panel) for panel in curves.panels]
    sections = [Section("Training", charts)]
    if curves.samples:
        lines = [f"step {sample.step:,}, {sample.stage}: {sample.text.strip()}" for sample in curves.samples]
        sections.append(Section(f"“{curves.samples[0].prompt}”", [Items(lines)]))
    lead = f"Step {curves.step:,}: " + "; ".join(newest_values(curves)) + "."
    return report_html(Report("training", curves.name, lead, sections=sections))


def newest_values(curves: TrainingCurves) -> list[str]:
    """A few words a quantity: its newest value; of a league the lowest held-out loss and whose it is."""
    if curves.is_league:
        panel = curves.panels[0]
        best = min(panel.lines, key=lambda line: line.points[-1][1])
        return [f"{len(panel.lines)} runs", f"lowest {panel.title.lower()} {number(best.points[-1][1])} of {best.name}"]
    return [
        f"{panel.title.lower()} {number(panel.lines[-1].points[-1][1])} {panel.unit}".rstrip()
        for panel in curves.panels
    ]


def panel_chart(curves: TrainingCurves, panel: Panel) -> Chart:
    """One quantity, with the first, lowest and newest value of each line as its table."""

    def draw(figure: Figure, tips: Tips) -> None:
        draw_panel(figure.subplots(), curves, panel, tips)

    columns = (Column("line", justify="left"), Column("first"), Column("lowest"), Column("newest"), Column("step"))
    rows = [
        (line.name, *(number(value) for value in (values[0], min(values), values[-1])), f"{line.points[-1][0]:,.0f}")
        for line in panel.lines
        if (values := [value for _, value in line.points])
    ]
    name = panel.title.lower().replace(" ", "-")
    return Chart(name, _heading(panel), draw, DataTable(columns, rows))


def whole_chart(curves: TrainingCurves) -> Chart:
    """All quantities in one picture, two beside each other, and the samples below."""
    rows = (len(curves.panels) + 1) // 2
    below = SAMPLE_ROW * (len(curves.samples) + 3) if curves.samples else 0.0

    def draw(figure: Figure, tips: Tips) -> None:
        grid = figure.add_gridspec(rows + bool(below), 2, height_ratios=[ROW] * rows + [below] * bool(below))
        for index, panel in enumerate(curves.panels):
            axes = figure.add_subplot(grid[index // 2, index % 2])
            axes.set_title(_heading(panel))
            draw_panel(axes, curves, panel, tips, has_names=index == 0)
        if below:
            _draw_samples(figure.add_subplot(grid[rows, :]), curves)

    return Chart(STEM.replace("_", "-"), f"{curves.name}, step {curves.step:,}", draw, size=(WIDTH, ROW * rows + below))


def _heading(panel: Panel) -> str:
    return f"{panel.title}, {panel.unit}" if panel.unit else panel.title


def draw_panel(axes: Axes, curves: TrainingCurves, panel: Panel, tips: Tips, *, has_names: bool = True) -> None:
    """Draw the lines of a quantity over the steps, their names at the right edge, and the borders.

    has_names: whether the borders bear the names of their stages.
    """
    names = list(dict.fromkeys(line.name for line in panel.lines))
    styles = {name: _style(index) for index, name in enumerate(names)}
    for line in panel.lines:
        colour, dash = styles[line.name]
        steps, values = zip(*(line.points if line.is_sparse else thinned(line.points)), strict=True)
        is_marked = line.is_sparse or len(steps) == 1
        marks = {"linestyle": "", "marker": "o", "markersize": 3.5} if is_marked else {"linestyle": dash}
        (artist,) = axes.plot(steps, values, color=colour, linewidth=1.1, **marks)
        tips(artist, f"{line.name}: {number(line.points[-1][1])} {panel.unit} at step {line.points[-1][0]:,.0f}")
    axes.set_xlim(*curves.x_range)
    if panel.is_log:
        axes.set_yscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: quantity(value))
    axes.yaxis.set_major_formatter(lambda value, _: quantity(value))
    axes.yaxis.set_minor_formatter(lambda value, _: "")
    axes.grid(axis="y")
    _draw_borders(axes, curves, has_names=has_names)
    if len(names) > 1:
        ends = {line.name: line for line in reversed(panel.lines)}
        end_labels(axes, [(ends[name].points[-1][1], name, styles[name][0]) for name in names])


def _style(index: int) -> tuple[str, str]:
    """Colour and dashes of a line: the colours first, then the same with other dashes."""
    count = len(SERIES_COLOURS)
    return SERIES_COLOURS[index % count], DASHES[index // count % len(DASHES)]


def _draw_borders(axes: Axes, curves: TrainingCurves, *, has_names: bool) -> None:
    """A line where each stage or round begins, with its name along it."""
    paper: dict[str, Any] = {"facecolor": PAPER, "linewidth": 0, "pad": 0.6, "alpha": 0.75}
    place: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    for step, name in curves.borders:
        if step:
            axes.axvline(step, color=PALE, linewidth=0.6, linestyle=":")
        if has_names:
            axes.annotate(
                name,
                (step, 1.0),
                (3, -2),
                rotation=90,
                va="top",
                fontsize=6,
                color=SOFT,
                bbox=paper,
                zorder=1.5,
                **place,
            )


def _draw_samples(axes: Axes, curves: TrainingCurves) -> None:
    """The continuations of one prompt, a line a stage."""
    axes.axis("off")
    rows = len(curves.samples) + 2
    axes.set(xlim=(0, 1), ylim=(rows, 0))
    axes.text(0, 0.6, f"“{curves.samples[0].prompt}” …", fontsize=8.5, fontweight="bold", color=INK, va="center")
    for row, sample in enumerate(curves.samples):
        text = textwrap.shorten(sample.text, SAMPLE_LETTERS, placeholder=" …")
        axes.text(0, row + 1.8, f"step {sample.step:,}, {sample.stage}", fontsize=7.5, color=SOFT, va="center")
        axes.text(0.17, row + 1.8, text, fontsize=7.5, color=INK, va="center")


def thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """At most MOST_POINTS points, each the mean of its neighbours."""
    if len(points) <= MOST_POINTS:
        return points
    bounds = [index * len(points) // MOST_POINTS for index in range(MOST_POINTS + 1)]
    parts = [points[begin:end] for begin, end in pairwise(bounds)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]


def standalone_svg(chart: Chart) -> str:
    """A chart as an SVG file of its own: with the colours that a page would give it, light and dark."""
    themes = []
    for theme in (0, 1):
        variables = " ".join(f"--{name}: {pair[theme]};" for name, pair in COLOURS.items())
        themes.append(f"svg {{ {variables} background: {COLOURS['paper'][theme]}; font-family: sans-serif; }}")
    style = f"<style>{themes[0]}\n@media (prefers-color-scheme: dark) {{ {themes[1]} }}</style>"
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    text = svg(chart)
    opening, rest = text[: text.index(">") + 1], text[text.index(">") + 1 :]
    return f"{opening.replace('<svg ', f'<svg {spaces}', 1)}\n{style}{rest}\n"
