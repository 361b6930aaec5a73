"""Charts of a league's report: distances to the cut, ranks at equal cost, learning rates, memory, time.

In: LeagueFiles. Out: charts (hamner.reports.parts), each with the table of what it shows; None where there is nothing
to show. Colours are those of the learning curves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hamner.reports.charts import GOOD, INK, PALE, SERIES_COLOURS, SOFT, SURFACE, end_labels, label, scientific
from hamner.reports.parts import Chart, DataTable
from hamner.runs.durations import duration_text
from hamner.runs.tables import Column
from tournament.league_files import LeagueFiles
from tournament.report_curves import NAME, colours, loss_text

ROW_HEIGHT = 0.21  # inches of a row in a chart of rows
DISTANCE = "Loss less that of the last that stayed in, nats per token. Hollow: out, and not sure to be worse."
WITH_ERRORS = "Thick: ± the standard error of that; thin: twice as much."
WITHOUT_ERRORS = "Its error is unknown: no contestant has losses of two seeds."


# -- distances to the cut


def distances_chart(files: LeagueFiles, index: int) -> Chart | None:
    """Of a round: how far each contestant was from the last that stayed in, with its error."""
    row = files.decided[index]
    standings = [s for s in row["standings"] if s["difference"] is not None]
    if len(standings) < 2:
        return None
    rows = [
        [s["contestant"], f"{s['difference']:+.4f}", loss_text(s["standard_error"]), s["verdict"] or "–"]
        for s in standings
    ]
    columns = (NAME, Column("Δ to cut"), Column("±"), Column("verdict", justify="left"))
    return Chart(
        f"distances-{index + 1}",
        f"Round {index + 1}: distance to the cut",
        lambda figure, tips: _draw_distances(figure, tips, standings, index + 1 == len(files.keep)),
        DataTable(columns, rows, f"distance to the cut of round {index + 1}, nats per token"),
        [DISTANCE, WITH_ERRORS if any(s["standard_error"] for s in standings) else WITHOUT_ERRORS],
        (4.8, 1.0 + ROW_HEIGHT * len(standings)),
    )


def _draw_distances(figure: Any, tips: Any, standings: Sequence[Mapping[str, Any]], is_last: bool) -> None:
    axes = figure.add_subplot()
    for y, row in enumerate(standings):
        is_in = row["status"] in ("advanced", "winner")
        x, error, colour = row["difference"], row["standard_error"] or 0.0, GOOD if is_in else SOFT
        axes.plot([x - 2 * error, x + 2 * error], [y, y], color=colour, linewidth=0.8)
        axes.plot([x - error, x + error], [y, y], color=colour, linewidth=2.6)
        is_sure = is_in or row["verdict"] == "settled"
        face = colour if is_sure else SURFACE
        (dot,) = axes.plot([x], [y], "o", markersize=5, markeredgecolor=colour, markerfacecolor=face)
        sure = f", {row['verdict']}" if row["verdict"] else ""
        tips(dot, f"{row['contestant']}: {x:+.4f} ± {loss_text(row['standard_error'])}{sure}")
    axes.axvline(0, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
    _name_rows(axes, [row["contestant"] for row in standings])
    axes.grid(axis="x")
    axes.set_xlabel("held-out loss less that of the last that is in, nats per token")


def _name_rows(axes: Any, names: Sequence[str]) -> None:
    """Names at the left, the first on top."""
    axes.set_yticks(range(len(names)), [label(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_visible(False)


# -- ranks at equal cost


COSTS = {"tokens": "tokens", "flops": "FLOPs", "seconds": "seconds"}


def ranks_at(row: Mapping[str, Any]) -> dict[str, int | None]:
    """The rank of a contestant of a round at equal tokens, FLOPs and seconds."""
    ranks = {cost: row[f"rank_at_equal_{cost}"] for cost in ("flops", "seconds")}
    return {"tokens": row["rank"] if row["heldout_loss"] is not None else None, **ranks}


def equal_cost_chart(files: LeagueFiles, index: int) -> Chart | None:
    """Of a round: how the ranks differ when not tokens but FLOPs or seconds are equal."""
    standings = files.decided[index]["standings"]
    ranks = {row["contestant"]: ranks_at(row) for row in standings}
    shown = [cost for cost in COSTS if any(rank[cost] is not None for rank in ranks.values())]
    if len(shown) < 2 or files.decided[index]["budget"] != "tokens":
        return None
    return Chart(
        f"equal-cost-{index + 1}",
        f"Round {index + 1}: rank at equal {', '.join(COSTS[cost] for cost in shown)}",
        lambda figure, tips: _draw_ranks(figure, tips, files, ranks, shown),
        equal_cost_table(files.decided[index]),
        ["Who rises to the right makes more of every FLOP, or of every second, than of every token."],
        (4.8, 0.6 + 0.24 * max(6, len(ranks))),
    )


def equal_cost_table(row: Mapping[str, Any]) -> DataTable:
    """Of a round of standings.json: rank and loss at the most that all have spent."""
    rows = []
    for standing in row["standings"]:
        ranks = ranks_at(standing)
        losses = {cost: standing[f"loss_at_equal_{cost}"] for cost in ("flops", "seconds")}
        losses["tokens"] = standing["heldout_loss"]
        cells = ["–" if ranks[cost] is None else f"{ranks[cost]} ({loss_text(losses[cost])})" for cost in COSTS]
        rows.append([standing["contestant"], *cells])
    spent = [f"{scientific(row['equal_flops'], 3)} FLOPs"] if row.get("equal_flops") else []
    spent += [f"{row['equal_seconds']:.1f} s"] if row.get("equal_seconds") else []
    notes = [f"The most that all have spent: {' and '.join(spent)}."] if spent else []
    first = "at equal tokens" if row["budget"] == "tokens" else "as ranked"
    columns = (NAME, Column(first), Column("at equal FLOPs"), Column("at equal seconds"))
    return DataTable(columns, rows, f"round {row['round']}: rank (held-out loss)", notes)


def _draw_ranks(
    figure: Any, tips: Any, files: LeagueFiles, ranks: Mapping[str, Mapping[str, int | None]], shown: Sequence[str]
) -> None:
    axes, colour = figure.add_subplot(), colours(files)
    axes.set_xlim(-0.1, len(shown) - 0.9)
    axes.set_ylim(len(ranks) + 0.6, 0.4)
    ends = []
    for name, rank in reversed(list(ranks.items())):
        places = [(x, rank[cost]) for x, cost in enumerate(shown) if rank[cost] is not None]
        if not places:
            continue
        xs, ys = zip(*places, strict=True)
        (line,) = axes.plot(xs, ys, "o-", color=colour[name], markersize=4)
        tips(line, f"{name}: {', '.join(f'{place} at equal {COSTS[shown[x]]}' for x, place in places)}")
        ends.append((float(ys[-1]), name, colour[name] if colour[name] != PALE else SOFT))
    axes.set_xticks(range(len(shown)), [f"equal {COSTS[cost]}" for cost in shown])
    axes.set_yticks(range(1, len(ranks) + 1) if len(ranks) <= 12 else range(1, len(ranks) + 1, 5))
    axes.spines["bottom"].set_visible(False)
    end_labels(axes, ends, gap=0.9 / (len(ranks) + 1))


# -- learning rates, memory, time


def rates_chart(files: LeagueFiles) -> Chart | None:
    """The trials of the learning-rate searches."""
    searches = {name: files.rates[name] for name in files.contestants if name in files.rates}
    if not searches:
        return None
    rows = [
        [name, f"{float(rate):.3g}", "diverged" if loss is None else loss_text(loss)]
        for name, search in searches.items()
        for rate, loss in search["tried"].items()
    ]
    return Chart(
        "rates",
        "Learning-rate probes",
        lambda figure, tips: _draw_rates(figure, tips, files, searches),
        DataTable((NAME, Column("rate"), Column("loss")), rows, "trials of the learning-rate searches"),
        ["Held-out loss after a short run at each rate tried. Ring: the rate that was chosen."],
    )


def _draw_rates(figure: Any, tips: Any, files: LeagueFiles, searches: Mapping[str, Mapping[str, Any]]) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes, colour, ends = figure.add_subplot(), colours(files), []
    for name, search in reversed(list(searches.items())):
        points = sorted((float(rate), loss) for rate, loss in search["tried"].items() if loss is not None)
        if not points:
            continue
        xs, ys = zip(*points, strict=True)
        (line,) = axes.plot(xs, ys, "o-", color=colour[name], markersize=3)
        tips(line, f"{name}: {', '.join(f'{loss_text(y)} at {x:.3g}' for x, y in points)}")
        chosen = search["learning_rate"]
        if chosen:
            nearest = min(points, key=lambda point: abs(point[0] - chosen))
            axes.plot([chosen], [nearest[1]], "o", markersize=8, markerfacecolor="none", markeredgecolor=colour[name])
        if colour[name] != PALE:
            ends.append((float(ys[-1]), name, colour[name]))
    axes.set_xscale("log")
    ticks = sorted({float(rate) for search in searches.values() for rate in search["tried"]})
    axes.set_xticks(ticks if len(ticks) <= 6 else ticks[:: len(ticks) // 5])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("learning rate, without lr_scale")
    axes.grid(axis="y")
    end_labels(axes, ends)


def memory_chart(rows: Sequence[tuple[str, float | None, float | None]], notes: Sequence[str]) -> Chart:
    """rows: contestant, GiB that were planned, GiB at its peak."""
    cells = [[name, *("–" if gib is None else f"{gib:.2f}" for gib in (planned, used))] for name, planned, used in rows]
    return Chart(
        "memory",
        "Memory planned and used",
        lambda figure, tips: _draw_memory(figure, tips, rows),
        DataTable((NAME, Column("planned, GiB"), Column("used, GiB")), cells, "memory planned and used"),
        notes,
        (4.8, 0.75 + ROW_HEIGHT * len(rows)),
    )


def _draw_memory(figure: Any, tips: Any, rows: Sequence[tuple[str, float | None, float | None]]) -> None:
    axes = figure.add_subplot()
    for y, (name, planned, used) in enumerate(rows):
        if used is not None:
            (bar,) = axes.barh([y], [used], height=0.62, color=SERIES_COLOURS[1], alpha=0.55)
            tips(bar, f"{name}: {used:.2f} GiB used")
        if planned is not None:
            axes.plot([planned, planned], [y - 0.36, y + 0.36], color=INK, linewidth=2)
    axes.set_xlim(left=0)
    axes.set_xlabel("GiB; bar: used at the peak, line: planned")
    _name_rows(axes, [name for name, _, _ in rows])
    axes.grid(axis="x")


def time_chart(files: LeagueFiles) -> Chart | None:
    """Seconds that each contestant's runs were busy, round by round."""
    busy = busy_seconds(files)
    if not busy:
        return None
    count = max(len(of_rounds) for of_rounds in busy.values())
    columns = [NAME, *(Column(f"round {index + 1}") for index in range(count)), Column("together")]
    rows = [
        [name, *(duration_text(seconds) if seconds else "" for seconds in of_rounds), duration_text(sum(of_rounds))]
        for name, of_rounds in busy.items()
    ]
    return Chart(
        "time",
        "Time each contestant took",
        lambda figure, tips: _draw_time(figure, tips, busy),
        DataTable(columns, rows, "time that runs were busy"),
        ["All seeds together, evaluation and checkpoints included; from round 1, the darkest, on."],
        (4.8, 0.75 + ROW_HEIGHT * len(busy)),
    )


def busy_seconds(files: LeagueFiles) -> dict[str, list[float]]:
    """Of each contestant, round by round, over all its runs; contestants that reported none are left out."""
    busy = {
        name: [
            sum(o.facts.get("busy_seconds") or 0.0 for run, o in round_.outcomes.items() if run.contestant == name)
            for round_ in files.rounds
        ]
        for name in files.contestants
    }
    return {name: of_rounds for name, of_rounds in busy.items() if sum(of_rounds)}


def _draw_time(figure: Any, tips: Any, busy: Mapping[str, Sequence[float]]) -> None:
    axes = figure.add_subplot()
    unit, size = ("hours", 3600.0) if max(map(sum, busy.values())) > 7200 else ("minutes", 60.0)
    for y, (name, of_rounds) in enumerate(busy.items()):
        left = 0.0
        for index, seconds in enumerate(of_rounds):
            if not seconds:
                continue
            alpha = max(0.2, 0.9 - 0.25 * index)
            (bar,) = axes.barh([y], [seconds / size], left=[left], height=0.62, color=SERIES_COLOURS[1], alpha=alpha)
            tips(bar, f"{name}, round {index + 1}: {duration_text(seconds)}")
            left += seconds / size
    axes.set_xlabel(unit)
    _name_rows(axes, list(busy))
    axes.grid(axis="x")


def peak_gib(files: LeagueFiles, name: str) -> float | None:
    """The highest peak of a contestant's runs, GiB; None where none reported one."""
    peaks = [o.facts["peak_gib"] for run in files.runs(name) for o in files.outcomes(run) if o.facts.get("peak_gib")]
    return max(peaks, default=None)
