"""Command `curriculum report`: write a run's report, one page that opens from disk, whole or half-finished.

    curriculum report [RUN] [--results DIR]

Data in: the name or folder of a run (default: the newest), and the files in it. Data out: report.html, report.md and
PNGs in its folder, results/index.html, and the page's path on stdout. report_sections.py says what stands in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from hamner.runs.cli import Parser, add_run_argument, console, run_command

EXAMPLES = (
    "curriculum report                      # the newest run",
    "curriculum report mine                 # finished, under way, or killed in its third stage",
    "curriculum report mine --results DIR   # a run of another results folder",
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser("curriculum report", "Write a run's report: one page, to open from disk.", EXAMPLES)
    add_run_argument(options, "a run or its folder")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    from curriculum.report_files import write_run_report
    from hamner.reports.report_files import print_written
    from hamner.runs.find_run import find_run
    from hamner.runs.folders import results_folder

    folder = find_run(options.run, results_folder(options.results), ("curriculum",))
    print_written(console(), write_run_report(folder))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
