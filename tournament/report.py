"""Command `tournament report`: one page that says who won, how sure that is, what it cost, what failed, how to go on.

    tournament report [RUN] [--results DIR]

Data in: the name of a league, finished or not (default: the newest). Data out: report.html, report.md and pictures in
its folder, and the page of all runs, results/index.html; league_report.py does the work.
"""

from __future__ import annotations

from collections.abc import Sequence

from hamner.runs.cli import Parser, add_run_argument, console, run_command

EXAMPLES = (
    "tournament report                          # of the newest league, also of one that runs or was killed",
    "tournament report first --results other    # of that one, in another results folder",
    "tournament report concepts/first           # of concept experiments",
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser("tournament report", "One page: who won, how sure that is, what it cost, how to go on.", EXAMPLES)
    add_run_argument(options, "a league, or its folder")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    from hamner.reports.report_files import print_written
    from hamner.runs.find_run import find_run
    from hamner.runs.folders import results_folder
    from tournament.league_report import write_league_report

    folder = find_run(options.run, results_folder(options.results), ("tournament",))
    if folder.parent.name == "concepts":
        from tournament.concept_report import write_concept_report

        print_written(console(), write_concept_report(folder))
    else:
        print_written(console(), write_league_report(folder))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
