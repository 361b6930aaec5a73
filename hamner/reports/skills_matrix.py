"""Skills matrix (heat map): choice, exact match and held-out loss after every stage of a run, and what each stage lost.

In: `records`, one per finished stage, oldest first, as hamner/evaluation/forgetting.py describes them, with
"choice" (as "skills", of the choice among candidates) and "heldout_loss" (source -> nats per token) too; the chance
baselines of each cell. Out: FOLDER/skills.json and FOLDER/skills.png, and the picture's pixels for TensorBoard. A cell
that dropped has a red frame, one above chance a golden one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hamner.evaluation.forgetting import Record, drops
from hamner.evaluation.statistics import Chance, above_chance, accuracy, binomial_error
from hamner.runs.files import replacing, write_json

if TYPE_CHECKING:  # Matplotlib takes half a second to load: only what draws does
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEW_ITEMS = 40  # a cell with fewer says how many: 5 of 12 items are within two errors of 1 in 7 and of 2 in 3
Pixels = np.ndarray[Any, np.dtype[np.uint8]]  # (H, W, 3)


def write_matrix(folder: Path, records: Sequence[Record], chance: Chance, run: str) -> Path | None:
    """Write skills.json and skills.png; returns the picture's path, None where no stage is finished."""
    if not records:
        return None
    newest = records[-1]["skills"]
    write_json(
        folder / "skills.json",
        {
            "run": run,
            "items_per_cell": {cell: len(hits) for cell, hits in newest.items()},
            "few_items": {cell: len(hits) for cell, hits in newest.items() if len(hits) < FEW_ITEMS},
            "chance": chance.exact_match,
            "choice_chance": chance.choice,
            "stages": [
                {
                    "number": record["number"],
                    "stage": record["stage"],
                    **_shares("exact_match", record["skills"], chance.exact_match),
                    **_shares("choice", record["choice"], chance.choice),
                    "heldout_loss": dict(record["heldout_loss"]),
                    "train_loss": record.get("train_loss"),
                }
                for record in records
            ],
            "drops": [
                [{"stage": records[count - 1]["stage"], **asdict(drop)} for drop in drops(records[:count])]
                for count in range(1, len(records) + 1)
            ],
        },
    )
    path = folder / "skills.png"
    with replacing(path) as temporary:
        picture(records, chance).savefig(temporary, format="png")
    return path


def _shares(name: str, marks: Mapping[str, str], chance: Mapping[str, float]) -> dict[str, Any]:
    """The share of right items of each cell, its standard error, and the cells above chance."""
    return {
        name: {cell: accuracy(hits) for cell, hits in marks.items()},
        f"{name}_error": {cell: binomial_error(hits) for cell, hits in marks.items()},
        f"{name}_above_chance": above_chance(marks, chance),
    }


# --- the picture, 1600 pixels wide; lengths in inches of 100 pixels ---

WIDTH, ROW, LEFT, RIGHT = 16.0, 0.3, 1.7, 0.15
TOP, BETWEEN, HEADING = 1.1, 0.95, 0.4  # above the boxes of the two tables: headings
SOURCE_WIDTH, LINE = 1.05, 0.22
TASK_GAP = 0.35  # columns
RED, GOLD, INK, PALE = "#e31a1c", "#f0a30a", "#222222", "#666666"


def picture(records: Sequence[Record], chance: Chance) -> Figure:
    """Three tables: choice and exact match of every skill after each stage, each with chance; held-out losses.

    Beside the last one what the newest stage lost.
    """
    # where the home folder cannot be written it says so in two lines, and works all the same
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from matplotlib.figure import Figure

    lost = [{drop.skill for drop in drops(records[:count])} for count in range(1, len(records) + 1)]
    above, below = ROW * (len(records) + 1.3), ROW * max(len(records), 4)
    second = TOP + above + BETWEEN + HEADING
    top = second + above + BETWEEN
    height = top + below + 0.15
    figure = Figure(figsize=(WIDTH, height), dpi=100)
    _title(figure, 0.32, "The right answer is the likeliest of up to four of its form, in % of held-out items")
    _note(figure, 0.27, "golden frame: above chance, at 5 % for all cells of a row together", PALE)
    box = (LEFT, TOP, WIDTH - LEFT - RIGHT, above)
    _skills(figure, [record["choice"] for record in records], chance.choice, [set()] * len(records), records, box)
    _title(figure, second - TOP + 0.32, "The right answer would be written (exact match), in %")
    _note(
        figure, second - TOP + 0.27, "red frame: worse than after its best earlier stage, by more than the error", RED
    )
    box = (LEFT, second, WIDTH - LEFT - RIGHT, above)
    _skills(figure, [record["skills"] for record in records], chance.exact_match, lost, records, box)
    losses_width = SOURCE_WIDTH * len(records[-1]["heldout_loss"])
    _losses(figure, records, lost, (LEFT, top, losses_width, below))
    beside = LEFT + losses_width + 0.6
    _newest_drops(figure, records, (beside, top, WIDTH - beside - RIGHT, below))
    return figure


def _title(figure: Figure, top: float, text: str) -> None:
    height = figure.get_figheight()
    figure.text(0.15 / WIDTH, 1 - top / height, text, fontsize=15, weight="bold", color=INK)


def _note(figure: Figure, top: float, text: str, colour: str) -> None:
    """A line at the right, which says what a frame means."""
    figure.text(1 - RIGHT / WIDTH, 1 - top / figure.get_figheight(), text, fontsize=10, color=colour, ha="right")


def _skills(
    figure: Figure,
    marks: Sequence[Mapping[str, str]],
    chance: Mapping[str, float],
    lost: Sequence[set[str]],
    records: Sequence[Record],
    box: tuple[float, float, float, float],
) -> None:
    """Draw a table of skills: rows are stages, columns levels within tasks. marks: of each stage."""
    tasks = list(dict.fromkeys(cell.rsplit(" ", 1)[0] for cell in chance))
    starts = [column + TASK_GAP * tasks.index(cell.rsplit(" ", 1)[0]) for column, cell in enumerate(chance)]
    axes = _panel(figure, box, columns=starts[-1] + 1, rows=len(records) + 1.3)
    above = [set(above_chance(of_stage, chance)) for of_stage in marks]
    for task in tasks:
        places = [x for x, cell in zip(starts, chance, strict=True) if cell.rsplit(" ", 1)[0] == task]
        axes.text((places[0] + places[-1] + 1) / 2, -0.9, task, ha="center", fontsize=11, weight="bold", color=INK)
    for x, cell in zip(starts, chance, strict=True):
        count = len(marks[-1][cell])
        axes.text(x + 0.5, -0.2, cell.rsplit(" ", 1)[1], ha="center", fontsize=9, color=PALE)
        if count < FEW_ITEMS:
            axes.text(x + 0.5, -0.6, f"n={count}", ha="center", fontsize=7, color=RED)
        for y, of_stage in enumerate(marks):
            value = accuracy(of_stage[cell])
            frame = RED if cell in lost[y] else GOLD if cell in above[y] else None
            _cell(axes, x, y, "Blues", 0.92 * value, f"{100 * value:.0f}", frame=frame)
        _cell(axes, x, len(records) + 0.3, "Greys", 0.6 * chance[cell], f"{100 * chance[cell]:.0f}")
    axes.text(-0.3, -0.2, "level", ha="right", fontsize=9, color=PALE)
    _row_names(axes, records)
    axes.text(-0.3, len(records) + 0.8, "chance", ha="right", va="center", fontsize=10.5, style="italic", color=PALE)


def _losses(
    figure: Figure, records: Sequence[Record], lost: Sequence[set[str]], box: tuple[float, float, float, float]
) -> None:
    """Draw the table of held-out losses: rows are stages, columns sources."""
    sources = list(records[-1]["heldout_loss"])
    axes = _panel(figure, box, columns=len(sources), rows=box[3] / ROW)
    axes.text(
        0,
        -1.2,
        "Held-out loss, in nats per token (dark: low, within each column)",
        fontsize=11,
        weight="bold",
        color=INK,
    )
    for x, source in enumerate(sources):
        losses = [record["heldout_loss"][source] for record in records]
        spread = max(losses) - min(losses)
        axes.text(x + 0.5, -0.25, source, ha="center", fontsize=9, color=PALE)
        for y, loss in enumerate(losses):
            shade = 0.1 + 0.6 * (max(losses) - loss) / spread if spread else 0.4
            _cell(axes, x, y, "Greens", shade, f"{loss:.3f}", frame=RED if source in lost[y] else None)
    _row_names(axes, records)


def _newest_drops(figure: Figure, records: Sequence[Record], box: tuple[float, float, float, float]) -> None:
    """Write what the newest stage lost, as many lines as fit."""
    lines = box[3] / LINE
    note = _panel(figure, box, columns=1, rows=lines)
    newest = f"{records[-1]['number']} {records[-1]['stage']}"
    dropped = [drop.line for drop in drops(records)]
    note.text(
        0,
        -1.2 * ROW / LINE,
        f"Lost in {newest}" if dropped else f"Nothing lost in {newest}",
        fontsize=11,
        weight="bold",
        color=RED if dropped else INK,
    )
    if len(dropped) > int(lines):
        dropped = [*dropped[: int(lines) - 1], f"and {len(dropped) - int(lines) + 1} more"]
    for y, line in enumerate(dropped):
        note.text(0, y - 0.3, line, fontsize=9.5, va="center", color=INK)


def _panel(figure: Figure, box: tuple[float, float, float, float], *, columns: float, rows: float) -> Axes:
    """Axes without a frame. box: left, top, width, height in inches from the upper left corner."""
    left, top, width, height = box
    whole = figure.get_figheight()
    axes = figure.add_axes((left / WIDTH, 1 - (top + height) / whole, width / WIDTH, height / whole))
    axes.set(xlim=(0, columns), ylim=(rows, 0))
    axes.axis("off")
    return axes


def _row_names(axes: Axes, records: Sequence[Record]) -> None:
    """Write the stages' numbers and names to the left of their rows."""
    for y, record in enumerate(records):
        axes.annotate(
            f"{record['number']} {record['stage']}",
            (0, y + 0.5),
            (-9, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=10.5,
            color=INK,
        )


def _cell(axes: Axes, x: float, y: float, colours: str, shade: float, text: str, *, frame: str | None = None) -> None:
    """Draw one cell; shade: 0 to 1 of the colour map; frame: its colour."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((x + 0.03, y + 0.03), 0.94, 0.94, facecolor=colormaps[colours](shade), linewidth=0))
    axes.text(x + 0.5, y + 0.53, text, ha="center", va="center", fontsize=9, color="white" if shade > 0.55 else INK)
    if frame:
        axes.add_patch(Rectangle((x + 0.06, y + 0.06), 0.88, 0.88, fill=False, edgecolor=frame, linewidth=2))


def render(figure: Figure) -> Pixels:
    """The figure's pixels (H, W, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
