"""Command: plot the training of a run of any kind: `hamner plot_training`, also `python -m hamner.plot_training`.

    hamner plot_training [RUN] [--save | --live | --dashboard] [--out DIR] [--every SECONDS]

Data in: metrics.csv and samples.jsonl of a run, or of all contestants of a league. Data out: a PNG and an SVG, a
drawing at the terminal, or a page that reloads itself. Each is of one run, of which nothing is changed or removed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hamner.runs.cli import Parser, add_results_option, console, number, run_command

DESCRIPTION = """Plot the training of a run: loss, perplexity, learning rate, throughput, stage borders, samples.

Of a league it draws a line of every contestant."""
EXAMPLES = (
    "hamner plot_training                            # the newest run of any kind: a PNG and an SVG in its folder",
    "hamner plot_training first/v03_diffattn_small   # one contestant of the league `first`",
    "hamner plot_training curriculum/first --live    # at the terminal, drawn anew until Ctrl-C",
)
EVERY = 5.0  # seconds


def parser() -> Parser:
    """The options of the command."""
    options = Parser("hamner plot_training", DESCRIPTION, EXAMPLES)
    options.add_argument(
        "run", nargs="?", metavar="RUN", help="a run, KIND/RUN, LEAGUE/CONTESTANT or a folder (default: the newest run)"
    )
    how = options.add_mutually_exclusive_group()
    how.add_argument("--save", action="store_true", help="write training_curves.png and .svg (the default)")
    how.add_argument("--live", action="store_true", help="draw at the terminal, anew while the run trains")
    how.add_argument("--dashboard", action="store_true", help="open a page that shows the run and reloads itself")
    options.add_argument("--out", metavar="DIR", help="where the pictures or the page go (default: the run's folder)")
    options.add_argument(
        "--every",
        type=number(0.2, 3600),
        default=EVERY,
        metavar="SECONDS",
        help=f"between drawings (default: {EVERY:g})",
    )
    add_results_option(options)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    from hamner.reports.training_curves import read_training_curves
    from hamner.runs.find_run import find_run
    from hamner.runs.folders import absolute, results_folder

    folder = find_run(options.run, results_folder(options.results))
    out = absolute(options.out, "--out") if options.out else folder
    read_training_curves(folder)  # what is wrong is said before anything is drawn
    if options.live:
        return _live(folder, options.every)
    return _dashboard(folder, out, options.every) if options.dashboard else _save(folder, out)


def _save(folder: Path, out: Path) -> int:
    """Write the pictures, and print where."""
    from hamner.reports.training_curves import read_training_curves
    from hamner.reports.training_plots import write_pictures

    for path in write_pictures(read_training_curves(folder), folder, out):
        print(path)
    return 0


def _live(folder: Path, every: float) -> int:
    """Draw at the terminal until Ctrl-C; once where the output is none."""
    from rich.live import Live
    from rich.text import Text

    from hamner.reports.training_curves import read_training_curves
    from hamner.reports.training_view import training_view
    from hamner.runs.output import is_unicode

    terminal = console()

    def view() -> Text:
        width = terminal.width if terminal.is_terminal else 100
        height = terminal.height - 1 if terminal.is_terminal else 40
        lines = training_view(read_training_curves(folder), width, height, ascii_only=not is_unicode(terminal.encoding))
        return Text("\n".join(lines), no_wrap=True, overflow="crop")

    if not terminal.is_terminal or terminal.is_dumb_terminal:
        terminal.print(view().plain, soft_wrap=True)
        return 0
    try:
        with Live(view(), console=terminal, auto_refresh=False) as live:
            while True:
                time.sleep(every)
                live.update(view(), refresh=True)
    except KeyboardInterrupt:
        return 0  # that is how one leaves it


def _dashboard(folder: Path, out: Path, every: float) -> int:
    """Write the page and open it, and write it anew until Ctrl-C."""
    import webbrowser

    from hamner.reports.training_plots import write_dashboard

    page = write_dashboard(folder, out, every)
    print(f"dashboard: {page}; it is written anew every {every:g} s until Ctrl-C")
    webbrowser.open(page.as_uri())
    if not sys.stdout.isatty():
        return 0
    try:
        while True:
            time.sleep(every)
            write_dashboard(folder, out, every)
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    raise SystemExit(main())
