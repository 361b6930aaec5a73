"""Learning curves of a league's report: held-out loss over tokens and training FLOPs, with the cuts, seeds as a band.

In: LeagueFiles. Out: charts (hamner.reports.parts), each with the table of what it shows; None where there is nothing
to show. The best eight contestants have a colour, the same in every chart; the others are grey.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hamner.reports.charts import INK, PALE, SERIES_COLOURS, SOFT, end_labels, quantity, scientific
from hamner.reports.parts import Chart, DataTable
from hamner.runs.tables import Column
from tournament.league_files import LeagueFiles
from tournament.learning_curve import Point

EARLY = 0.3  # share of round 1's cost before which a curve only falls, and is not drawn
NAME = Column("contestant", justify="left", may_wrap=True)


def colours(files: LeagueFiles) -> dict[str, str]:
    """Of each contestant, by its place."""
    names = files.contestants
    return {name: SERIES_COLOURS[place] if place < len(SERIES_COLOURS) else PALE for place, name in enumerate(names)}


def loss_text(loss: float | None) -> str:
    """A loss with four decimals, as in the standings."""
    return "–" if loss is None else f"{loss:.4f}"


@dataclass(frozen=True)
class MeanCurve:
    """The curves of a contestant's seeds at the looks of the longest: cost, mean loss, lowest and highest seed."""

    costs: list[float]
    losses: list[float]
    low: list[float]
    high: list[float]
    seeds: int


def mean_curve(curves: Sequence[Sequence[Point]], axis: str) -> MeanCurve | None:
    """The mean over seeds, at each look over those that have come so far. axis: tokens or flops."""
    import numpy as np

    curves = [curve for curve in curves if curve and getattr(curve[0], axis) > 0]
    if not curves:
        return None
    costs = [getattr(point, axis) for point in max(curves, key=lambda curve: curve[-1].tokens)]
    columns = []
    for curve in curves:
        at = np.interp(np.log(costs), np.log([getattr(p, axis) for p in curve]), [p.loss for p in curve])
        columns.append(np.where(np.array(costs) > 1.001 * getattr(curve[-1], axis), np.nan, at))
    losses = np.array(columns)  # (seeds, looks)
    reduce: Sequence[Callable[..., Any]] = (np.nanmean, np.nanmin, np.nanmax)
    middle, low, high = ([float(value) for value in function(losses, axis=0)] for function in reduce)
    return MeanCurve(costs, middle, low, high, len(curves))


def curves_chart(files: LeagueFiles, axis: str = "tokens") -> Chart | None:
    """Held-out loss over tokens or training FLOPs."""
    curves = {
        name: curve
        for name in files.contestants
        if (curve := mean_curve([files.curve(run) for run in files.runs(name)], axis))
    }
    if not curves:
        return None
    has_seeds = any(curve.seeds > 1 for curve in curves.values())
    words = {"tokens": "tokens", "flops": "training FLOPs"}[axis]
    notes = ["Held-out loss in nats per token, on the scale of the ranking."]
    notes += ["Band: from a contestant's lowest to its highest seed."] if has_seeds else []
    if axis == "tokens" and files.decided:
        notes.append("Dotted: a cut, with the loss of the last that stayed in; bars: ± standard error of the distance.")
    rows = [
        [name, f"{cost:,.0f}" if axis == "tokens" else scientific(cost, 3), *map(loss_text, (loss, low, high))]
        for name, curve in curves.items()
        for cost, loss, low, high in zip(curve.costs, curve.losses, curve.low, curve.high, strict=True)
    ]
    columns = (NAME, *map(Column, (words, "loss", "lowest seed", "highest seed")))
    return Chart(
        f"curves-{axis}",
        f"Learning curves over {words}",
        lambda figure, tips: _draw_curves(figure, tips, files, curves, axis),
        DataTable(columns, rows, f"learning curves over {words}"),
        notes,
        (4.8, 3.6),
    )


def _draw_curves(figure: Any, tips: Any, files: LeagueFiles, curves: Mapping[str, MeanCurve], axis: str) -> None:
    axes, colour = figure.add_subplot(), colours(files)
    for name, curve in reversed(list(curves.items())):  # the best on top
        if curve.seeds > 1:
            axes.fill_between(curve.costs, curve.low, curve.high, color=colour[name], alpha=0.18, linewidth=0)
        (line,) = axes.plot(curve.costs, curve.losses, color=colour[name])
        tips(line, f"{name}: {loss_text(curve.losses[-1])} at {_cost_text(curve.costs[-1], axis)}")
    begin, end = _span(files, curves, axis)
    axes.set_xscale("log")
    axes.set_xlim(begin, end)
    shown = [
        loss
        for curve in curves.values()
        for cost, loss in zip(curve.costs, curve.losses, strict=True)
        if begin <= cost <= end
    ]
    low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
    pad = 0.05 * (high - low) or 0.1
    axes.set_ylim(low - pad, high + pad)
    _cost_axis(axes, axis)
    axes.set_xlabel(axis.replace("flops", "training FLOPs") + ", on a log scale")
    axes.grid(axis="y")
    if axis == "tokens":
        _draw_cuts(axes, tips, files, colour)
    named = [(curve.losses[-1], name, colour[name]) for name, curve in curves.items()][: len(SERIES_COLOURS)]
    end_labels(axes, named)


def _cost_text(cost: float, axis: str) -> str:
    return f"{cost:,.0f} tokens" if axis == "tokens" else f"{scientific(cost, 3)} FLOPs"


def _span(files: LeagueFiles, curves: Mapping[str, MeanCurve], axis: str) -> tuple[float, float]:
    """The costs that are drawn."""
    ends = [curve.costs[-1] for curve in curves.values()]
    firsts = [getattr(point, axis) for name in curves for run in files.runs(name) for point in files.curve(run)[:1]]
    of_round = files.decided[0]["tokens"] if files.decided and axis == "tokens" else min(ends)
    begin = max(min(firsts), EARLY * float(of_round))
    return (begin, max(ends)) if begin < max(ends) else (0.5 * max(ends), max(ends))


def _cost_axis(axes: Any, axis: str) -> None:
    """Few ticks, as short numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 300 else (1.0, 2.0, 5.0)))
    text = scientific if axis == "flops" else quantity
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: text(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _draw_cuts(axes: Any, tips: Any, files: LeagueFiles, colour: Mapping[str, str]) -> None:
    for index, row in enumerate(files.decided):
        at = float(row["tokens"])
        line = axes.axvline(at, color=SOFT, linewidth=0.8, linestyle=(0, (1, 2)))
        last = files.standing(index, row["compared_with"]) if row["compared_with"] else None
        loss = last["heldout_loss"] if last else None
        tips(line, f"end of round {row['round']}: the best {row['keep']} stay in; the last of them {loss_text(loss)}")
        if loss is not None:
            axes.plot([0.9 * at, 1.1 * at], [loss, loss], color=INK, linewidth=1.2)
        for standing in row["standings"]:
            error, own = standing["standard_error"], standing["heldout_loss"]
            if own is not None and error:
                axes.errorbar(at, own, error, color=colour[standing["contestant"]], elinewidth=1, capsize=2)
