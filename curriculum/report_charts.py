"""Charts of a curriculum's report: losses over the whole run with its borders, gains, strikes, epochs, rate, speed.

In: a RunRecord. Out: Charts of hamner/reports/parts.py, each with the numbers behind it as a table. A chart that has
nothing to show is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from curriculum.endings import limit, percent
from curriculum.run_record import RunRecord, StageRecord
from hamner.reports.charts import BAD, LINE, PALE, SERIES_COLOURS, SOFT, end_labels, quantity
from hamner.reports.parts import Cell, Chart, DataTable
from hamner.runs.read_back import Row, mapping, numbers_of
from hamner.runs.tables import Column

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_POINTS = 300  # of one line, or of all stages together: more is not to be seen, and makes the page heavy
FEWEST_POINTS = 10  # of a stage, however many there are
SIZE = (4.8, 3.0)
WIDE = (9.8, 3.4)
Point = tuple[float, float]
T = TypeVar("T")


def measured(run: RunRecord) -> list[StageRecord]:
    """The stages whose losses can be compared: over, and not given up."""
    return [stage for stage in run.stages if stage.losses and stage.state != "abandoned"]


def source_names(run: RunRecord) -> list[str]:
    """All sources that a loss is known of, in the order of the stages."""
    return list(dict.fromkeys(name for stage in measured(run) for name in stage.losses))


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name; the ninth is that of the first."""
    return {name: SERIES_COLOURS[place % len(SERIES_COLOURS)] for place, name in enumerate(names)}


def thinned(points: Sequence[T], stages: int = 1) -> list[T]:
    """At most MOST_POINTS of them, evenly spread, the last one among them. stages: how many share that number."""
    stride = -(-len(points) // max(MOST_POINTS // stages, FEWEST_POINTS))
    return [*points[:-1:stride], points[-1]] if stride > 1 else list(points)


def points(rows: Sequence[Row], name: str, scale: float = 1.0) -> list[Point]:
    """(global step, value) of a column, where it has one."""
    return [(row.step, value * scale) for row in rows if (value := row[name]) is not None]


# -- the axes all of them share


def _axes(figure: Any, run: RunRecord, y: str) -> Axes:
    """Axes over the global step, with a line at each border and the number of its stage."""
    axes: Axes = figure.add_subplot()
    axes.set_xlabel("step")
    axes.set_ylabel(y)
    axes.grid(axis="y")
    axes.xaxis.set_major_formatter(lambda value, _: quantity(value))
    axes.set_xlim(0, max(run.step, 1))
    shown = [stage for stage in run.stages if stage.steps]
    room, taken = max(run.step, 1) * 0.025, -1.0
    for stage in shown:
        axes.axvline(stage.first, color=LINE, linewidth=0.8, zorder=0)
        if stage.first > taken:
            text, colour = str(stage.number), SOFT if stage.state != "abandoned" else PALE
            axes.annotate(
                text, (stage.first, 1), (2, 1), xycoords=("data", "axes fraction"), textcoords="offset points",
                fontsize=7, color=colour,
            )  # fmt: skip
            taken = stage.first + room
    return axes


def _line(axes: Axes, line: Sequence[Point], colour: str, stages: int = 1, **style: Any) -> Any:
    xs, ys = zip(*thinned(line, stages), strict=True)
    return axes.plot(xs, ys, color=colour, **style)[0]


# -- losses


def loss_charts(run: RunRecord) -> Iterator[Chart]:
    """Held-out loss of each source at the borders, and of each stage's mix within it."""
    lines = _source_lines(run)
    if lines:
        yield Chart(
            "loss-of-sources",
            "Held-out loss of each source, nats per token",
            lambda figure, tips: _draw_sources(figure, tips, run, lines),
            losses_table(run),
            notes=("measured at each stage's beginning and end, on the same documents",),
            size=SIZE,
        )
    parts = [(stage, points(stage.rows, "heldout_loss")) for stage in run.stages]
    parts = [(stage, line) for stage, line in parts if line]
    if parts:
        yield Chart(
            "loss-of-mix",
            "Held-out loss on each stage's own mix, nats per token",
            lambda figure, tips: _draw_mix(figure, tips, run, parts),
            _mix_table(parts),
            notes=("dark: of the averaged weights, which the plateau is judged on; pale: training loss",),
            size=SIZE,
        )


def _source_lines(run: RunRecord) -> dict[str, list[Point]]:
    """Of each source its losses at the borders."""
    stages, lines = measured(run), {name: list[Point]() for name in source_names(run)}
    for place, stage in enumerate(stages):
        start = numbers_of(stage.facts.get("started_at")) if place == 0 else {}
        for name, line in lines.items():
            line += [(stage.first, start[name])] if name in start else []
            line += [(stage.last, stage.losses[name])] if name in stage.losses else []
    return {name: line for name, line in lines.items() if line}


def _draw_sources(figure: Any, tips: Any, run: RunRecord, lines: Mapping[str, Sequence[Point]]) -> None:
    axes, ends = _axes(figure, run, "nats per token"), []
    for name, colour in colours(list(lines)).items():
        line = lines[name]
        artist = _line(axes, line, colour, marker="o", markersize=2.5)
        (first, before), (last, now) = line[0], line[-1]
        tips(artist, f"{name}: {before:.3f} at step {first:,.0f}, {now:.3f} at step {last:,.0f}")
        ends.append((line[-1][1], name, colour))
    end_labels(axes, ends)


def losses_table(run: RunRecord) -> DataTable:
    """Held-out loss of each source at each stage's end; of the last stage also the loss on text that was read."""
    names, stages = source_names(run), measured(run)
    forgotten = [_rises(stage) for stage in stages]
    rows = [
        [stage.label, *(_loss_cell(stage.losses.get(name), rises.get(name)) for name in names)]
        for stage, rises in zip(stages, forgotten, strict=True)
    ]
    read = numbers_of(stages[-1].facts.get("train_loss")) if stages else {}
    if read:
        rows.append([f"{stages[-1].label}, on text it read", *(f"{read[n]:.3f}" if n in read else "—" for n in names)])
    columns = [Column("after stage", justify="left"), *(Column(name) for name in names)]
    notes = ["red: higher than after its best earlier stage, beyond the error"] if any(forgotten) else []
    return DataTable(columns, rows, "held-out loss, nats per token", notes)


def _rises(stage: StageRecord) -> dict[str, float]:
    """How far each source that is forgotten has risen."""
    drops = mapping(stage.facts.get("forgotten"))
    return numbers_of({name: mapping(drop).get("rise") for name, drop in drops.items()})


def _loss_cell(loss: float | None, rise: float | None) -> str | Cell:
    if loss is None:
        return "—"
    return Cell(f"{loss:.3f}", "bad", f"+{rise:.3f}") if rise else f"{loss:.3f}"


def _draw_mix(figure: Any, tips: Any, run: RunRecord, parts: Sequence[tuple[StageRecord, Sequence[Point]]]) -> None:
    axes = _axes(figure, run, "nats per token")
    for stage, line in parts:
        training = points(stage.rows, "mean_loss")
        if training:
            _line(axes, training, PALE, len(parts), linewidth=0.8)
        style = {"marker": "o", "markersize": 2.5} if len(line) == 1 else {}
        artist = _line(axes, line, SERIES_COLOURS[1], len(parts), **style)
        tips(artist, f"{stage.label}: {line[0][1]:.3f} to {line[-1][1]:.3f}")


def _mix_table(parts: Sequence[tuple[StageRecord, Sequence[Point]]]) -> DataTable:
    rows = [
        [stage.label, f"{line[0][1]:.3f}", f"{best:.3f}", f"{step - stage.first:,.0f}", f"{line[-1][1]:.3f}"]
        for stage, line in parts
        for step, best in [min(line, key=lambda point: point[1])]
    ]
    columns = [Column("stage", justify="left"), *map(Column, ("first", "lowest", "at its step", "last"))]
    return DataTable(columns, rows, "held-out loss on the stage's mix, nats per token")


# -- the plateau


def plateau_charts(run: RunRecord) -> Iterator[Chart]:
    """Gain a window of each look with its error, and the strikes they brought."""
    stages = [stage for stage in run.stages if points(stage.looks, "gain")]
    if not stages:
        return
    rule = run.rule
    yield Chart(
        "gain",
        f"Gain of each look, % of the loss a window of {rule.window_steps:,} steps",
        lambda figure, tips: _draw_gain(figure, tips, run, stages),
        notes=(f"bars: one standard error; red: {percent(limit(rule))}, below which a stage has nothing to gain",),
        size=SIZE,
    )
    if any(points(stage.looks, "strikes") for stage in stages):
        yield Chart(
            "strikes",
            f"Strikes: {rule.strikes} end a stage",
            lambda figure, tips: _draw_strikes(figure, tips, run, stages),
            notes=("evidence of all looks of a stage together; one of a fixed length is not ended by it",),
            size=SIZE,
        )


def _draw_gain(figure: Any, tips: Any, run: RunRecord, stages: Sequence[StageRecord]) -> None:
    axes, bound = _axes(figure, run, "% a window"), 100 * limit(run.rule)
    gains = [100 * gain for stage in stages for _, gain in points(stage.looks, "gain")]
    middle = sorted(gains)[len(gains) // 10 : max(len(gains) - len(gains) // 10, 1)]
    top, bottom = max([*middle, 3 * bound]) * 1.2, min([*middle, -bound]) * 1.2
    for place, stage in enumerate(stages):
        colour = SERIES_COLOURS[1 if place % 2 else 0]
        looks = [row for row in stage.looks if row["gain"] is not None]
        looks = thinned(looks, 2 * len(stages))
        xs, ys = [row.step for row in looks], [100 * (row["gain"] or 0) for row in looks]
        errors = [100 * (row["gain_error"] or 0) for row in looks]
        bars = axes.errorbar(xs, ys, errors, fmt="o", markersize=2.5, elinewidth=0.8, color=colour)
        tips(bars.lines[0], f"{stage.label}: {len(stage.looks)} looks, the last {ys[-1]:.2f} ± {errors[-1]:.2f} %")
    axes.axhline(bound, color=BAD, linewidth=1, linestyle="--")
    axes.axhline(0, color=SOFT, linewidth=0.6)
    axes.set_ylim(bottom, top)


def _draw_strikes(figure: Any, tips: Any, run: RunRecord, stages: Sequence[StageRecord]) -> None:
    axes = _axes(figure, run, "strikes")
    for place, stage in enumerate(stages):
        line = points(stage.looks, "strikes")
        if line:
            colour = SERIES_COLOURS[1 if place % 2 else 0]
            artist = _line(axes, line, colour, len(stages), marker="o", markersize=2.5)
            tips(artist, f"{stage.label}: {line[-1][1]:.1f} at its end")
    axes.axhline(run.rule.strikes, color=BAD, linewidth=1, linestyle="--")
    axes.set_ylim(0)


# -- what was read, rate and speed


def epochs_chart(run: RunRecord) -> Iterator[Chart]:
    """How often each source was read, stage after stage."""
    stages = [stage for stage in run.stages if numbers_of(stage.facts.get("epochs"))]
    lines = {name: [(0.0, 0.0)] for stage in stages for name in numbers_of(stage.facts["epochs"])}
    for stage in stages:
        for name, count in numbers_of(stage.facts["epochs"]).items():
            lines[name].append((stage.last, count))
    if lines:
        yield Chart(
            "epochs",
            "Epochs: how often each source was read",
            lambda figure, tips: _draw_epochs(figure, tips, run, lines),
            notes=_epoch_notes(run),
            size=SIZE,
        )


def _epoch_notes(run: RunRecord) -> Sequence[str]:
    most = run.settings.get("max_epochs")
    return (f"{most:g} are allowed (max_epochs)",) if isinstance(most, int | float) else ()


def _draw_epochs(figure: Any, tips: Any, run: RunRecord, lines: Mapping[str, Sequence[Point]]) -> None:
    axes, ends = _axes(figure, run, "epochs"), []
    for name, colour in colours(list(lines)).items():
        line = lines[name]
        tips(_line(axes, line, colour, marker="o", markersize=2.5), f"{name}: read {line[-1][1]:.2f} times")
        ends.append((line[-1][1], name, colour))
    axes.set_ylim(0)
    end_labels(axes, ends)


def speed_charts(run: RunRecord) -> Iterator[Chart]:
    """Learning rate and tokens a second."""
    yield from _of_column(run, "learning_rate", "learning-rate", "Learning rate", "rate", SERIES_COLOURS[3])
    yield from _of_column(run, "tokens_per_second", "speed", "Tokens a second", "tokens / s", SERIES_COLOURS[5])


def _of_column(run: RunRecord, column: str, name: str, title: str, unit: str, colour: str) -> Iterator[Chart]:
    line = points(run.rows, column)
    if line:

        def draw(figure: Any, tips: Callable[[Any, str], None]) -> None:
            axes = _axes(figure, run, unit)
            axes.yaxis.set_major_formatter(lambda value, _: quantity(value))
            values = [value for _, value in line]
            tips(_line(axes, line, colour), f"{title.lower()}: {min(values):.4g} to {max(values):.4g}")
            axes.set_ylim(0)

        yield Chart(name, title, draw, _column_table(run, column, title), size=SIZE)


def _column_table(run: RunRecord, column: str, title: str) -> DataTable:
    """First, median and last value of each stage."""
    rows = []
    for stage in run.stages:
        values = [value for _, value in points(stage.rows, column)]
        if values:
            median = sorted(values)[len(values) // 2]
            rows.append([stage.label, *(f"{value:,.6g}" for value in (values[0], median, values[-1]))])
    columns = [Column("stage", justify="left"), Column("first"), Column("median"), Column("last")]
    return DataTable(columns, rows, title.lower())
