"""Charts (Matplotlib) as SVG inside a page and as PNG for a README: colours by theme, tooltips, text that stays text.

In: a Chart of parts.py. Out: an `<svg>` element whose colours are the page's CSS variables, so that it is light and
dark with the page, and whose ids no other chart has; or the bytes of a PNG in the light colours. The same chart gives
the same bytes. Colours are chosen from those below; others stay as they are in both themes.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from hamner.reports.parts import Chart, Tips

if TYPE_CHECKING:  # Matplotlib takes half a second to load: only what draws does
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# (light, dark); each at least 3 : 1 on the page's paper. style.css has the variables --c1, …
SERIES = {
    "c1": ("#a8462a", "#f2a67f"),
    "c2": ("#2b6693", "#8fc1e8"),
    "c3": ("#477a37", "#9fd08a"),
    "c4": ("#7a4f9b", "#c9a5ea"),
    "c5": ("#8f650d", "#e6c05c"),
    "c6": ("#1d7774", "#6fd0cb"),
    "c7": ("#ae396a", "#f096bd"),
    "c8": ("#5a6b7d", "#b3c0ce"),
}
PLAIN = {
    "ink": ("#2e2620", "#f2e9de"),
    "soft": ("#6d5f53", "#b5a697"),
    "line": ("#d9cbb8", "#483d34"),
    "paper": ("#faf5ee", "#1b1714"),
    "pale": ("#a89a8b", "#7d7064"),  # of lines that are not looked at
    "good": ("#2c6e3f", "#8ed1a0"),
    "bad": ("#b3261e", "#ff9c8f"),
    "warn": ("#8a5a00", "#e8bd66"),
    "surface": ("#fffdfa", "#26201b"),
    "shade": ("#f2e9dc", "#332a23"),
}
COLOURS: Mapping[str, tuple[str, str]] = SERIES | PLAIN
SERIES_COLOURS = [light for light, _ in SERIES.values()]
INK, SOFT, LINE, PAPER, PALE, GOOD, BAD, WARN, SURFACE, SHADE = (light for light, _ in PLAIN.values())
LABEL_LETTERS = 22  # of a name inside a chart; its tooltip and table have the whole
PNG_DPI = 150
PNG_TITLE = 0.3  # inches above a chart for its title
SETTINGS = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name may hold a $
    "font.family": ["DejaVu Sans"],
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "axes.formatter.use_mathtext": False,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.5,
    "patch.linewidth": 0.8,
    "legend.frameon": False,
    "path.simplify": True,
    "savefig.facecolor": "none",
    "figure.facecolor": "none",
}


def svg(chart: Chart) -> str:
    """The chart as an `<svg>` element for a page with the CSS variables of style.css."""
    data = io.BytesIO()
    with _settings(chart):
        figure, tips = _drawn(chart)
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(data, format="svg", metadata=nothing)
    return _for_page(data.getvalue().decode(), chart, tips)


def png(chart: Chart) -> bytes:
    """The chart as a PNG in the light colours, on paper, with its title."""
    data, (width, height) = io.BytesIO(), chart.size
    with _settings(chart):
        from matplotlib.transforms import Bbox

        figure, _ = _drawn(chart)
        # above the chart, whose places stay as they are
        title = figure.text(0.02, 1 + 0.08 / height, chart.title, fontsize=10, fontweight="bold")
        whole = Bbox.from_extents(0, 0, width, height + PNG_TITLE)
        nothing = {"Software": None}
        figure.savefig(data, format="png", dpi=PNG_DPI, facecolor=PAPER, metadata=nothing, bbox_inches=whole)
        title.remove()
    return data.getvalue()


class _settings:
    """Matplotlib's settings for a chart, put back afterwards; its warnings of missing letters are not ours to print."""

    def __init__(self, chart: Chart) -> None:
        logging.getLogger("matplotlib").setLevel(logging.ERROR)  # a home that cannot be written is no matter
        import matplotlib

        self._settings = matplotlib.rc_context(SETTINGS | {"svg.hashsalt": chart.name})
        self._warnings = warnings.catch_warnings()

    def __enter__(self) -> None:
        self._settings.__enter__()
        self._warnings.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, *error: Any) -> None:
        self._warnings.__exit__(*error)
        self._settings.__exit__(*error)


_figures: WeakKeyDictionary[Chart, tuple[Figure, Tips]] = WeakKeyDictionary()


def _drawn(chart: Chart) -> tuple[Figure, Tips]:
    """The chart's figure and its tooltips: drawn once, since finding room for all words takes longest."""
    if chart not in _figures:
        from matplotlib.figure import Figure

        figure, tips = Figure(figsize=chart.size, dpi=PNG_DPI, layout="constrained"), Tips()
        chart.draw(figure, tips)
        layout = figure.get_layout_engine()
        assert layout is not None
        layout.execute(figure)
        figure.set_layout_engine(None)  # else each file would draw once more to find room again
        _figures[chart] = figure, tips
    return _figures[chart]


VARIABLES = {light: f"var(--{name})" for name, (light, _) in COLOURS.items()}


def _for_page(text: str, chart: Chart, tips: Tips) -> str:
    """Matplotlib's SVG file as an element: no prolog, metadata or style of its own, ids and colours of the page."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->\n?|<metadata>.*?</metadata>\s*", "", text, flags=re.S)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", text, count=1, flags=re.S)
    box = re.search(r'viewBox="[^"]*"', text)
    assert box is not None
    opening = f'<svg {box[0]} role="img" aria-label="{escape(chart.title)}">'
    text = opening + text[text.index(">") + 1 :]
    text = re.sub(r"font: (?:\w+ )*?([\d.]+px) [^;\"]*", r"font-size: \1", text)
    text = re.sub(r" font-family: [^;\"]*;| transform=\"rotate\(-0 [^\"]*\"", "", text)
    text = re.sub(r"#[0-9a-f]{6}(?=[;\"])", lambda found: VARIABLES.get(found[0], found[0]), text)
    text = re.sub(r'(?<=\bid=")|(?<=xlink:href="#)|(?<=url\(#)', f"{chart.name}-", text)
    for name, tip in tips.texts.items():
        text = text.replace(f'<g id="{chart.name}-{name}">', f"<g><title>{escape(tip)}</title>")
    text = re.sub(rf'<g id="{chart.name}-[\w.]+">', "<g>", text)  # nothing refers to Matplotlib's names of groups
    text = re.sub(r'<g>\s*<path d="[^"]*" style="fill: none"/>\s*</g>\s*', "", text)  # empty backgrounds
    return re.sub(r"(?<!\s)\s*\n\s*", "\n", text)  # begun at a gap's first letter alone: else its square in time


# -- what several charts need


def label(name: str) -> str:
    """A name as it is written inside a chart."""
    return name if len(name) <= LABEL_LETTERS else f"{name[: LABEL_LETTERS - 1]}…"


def end_labels(axes: Axes, ends: Sequence[tuple[float, str, str]], *, gap: float = 0.055) -> None:
    """Write names at the right edge beside the ends of their lines, moved apart where they would overlap.

    ends: (y in data, name, colour). gap: the least distance, in heights of the axes.
    """
    to_axes = axes.transData + axes.transAxes.inverted()
    x = axes.get_xlim()[1]
    rows = sorted((min(1.0, max(0.0, float(to_axes.transform((x, y))[1]))), name, colour) for y, name, colour in ends)
    places: list[float] = []
    for place, _, _ in rows:
        places.append(max(place, places[-1] + gap) if places else place)
    overhang = max(0.0, places[-1] - 1.0) if places else 0.0
    for index in reversed(range(len(places))):  # down again from the top
        above = places[index + 1] - gap if index + 1 < len(places) else places[index] - overhang
        places[index] = min(places[index], above)
    for place, (_, name, colour) in zip(places, rows, strict=True):
        axes.annotate(
            label(name),
            (1.0, place),
            (4, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color=colour,
        )


def scientific(value: float, digits: int = 2) -> str:
    """A number as `2.29e13`, with at most so many digits after the point."""
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"


def quantity(value: float) -> str:
    """A number as it stands on an axis: 640, 1.2k, 41k, 2.1M, 13B, 1.4T; from 1e15 on as that."""
    if abs(value) >= 1e15:
        return scientific(value, 1)
    sizes = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
    size, letter = next((pair for pair in sizes if abs(value) >= pair[0]), (1.0, ""))
    return f"{value / size:.3g}{letter}"
