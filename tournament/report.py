"""Command `tournament report`: one page that says who won, how sure that is, what it cost, what failed, how to go on.

    tournament report [RUN] [--results DIR]

Data in: the name of a league, finished or not (default: the newest). Data out: report.html, report.md and pictures in
its folder, and the page of all runs, results/index.html; league_report.py does the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hamner.config.errors import BadInput, did_you_mean
from hamner.runs.cli import Parser, add_results_option, console, run_command

EXAMPLES = (
    "tournament report                          # of the newest league, also of one that runs or was killed",
    "tournament report first                    # of that one",
    "tournament report first --results other    # the same in another results folder",
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser("tournament report", "One page: who won, how sure that is, what it cost, how to go on.", EXAMPLES)
    options.add_argument("run", nargs="?", metavar="RUN", help="a league (default: the newest)")
    add_results_option(options)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    from hamner.runs.folders import results_folder

    folder = _league_folder(results_folder(options.results), options.run)
    from tournament.league_report import write_league_report

    path, screen = write_league_report(folder), console()
    screen.print(f"report: {path}", soft_wrap=True)
    screen.print(f"all runs: {folder.parents[1] / 'index.html'}", soft_wrap=True)
    return 0


def _league_folder(results: Path, name: str | None) -> Path:
    """The folder of the league of that name, or of the newest. Raises BadInput where there is none."""
    from hamner.runs.folders import run_folder, runs

    existing = runs(results, "tournament")
    if name is None:
        if not existing:
            raise BadInput(f"{results / 'tournament'} has no league: play one first, or give --results DIR")
        return existing[0]
    folder = run_folder(results, "tournament", name)
    if not (folder / "config.json").is_file():
        known = [path.name for path in existing]
        hint = did_you_mean(name, known) if known else "play one first, or give --results DIR"
        raise BadInput(f"{results / 'tournament'} has no league '{name}'; {hint}")
    return folder


if __name__ == "__main__":
    raise SystemExit(main())
