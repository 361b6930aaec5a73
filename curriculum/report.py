"""Command `curriculum report`: write a run's report, one page that opens from disk, whole or half-finished.

    curriculum report [RUN] [--results DIR]

Data in: the name or folder of a run (default: the newest), and the files in it. Data out: report.html, report.md and
PNGs in its folder, results/index.html, and the page's path on stdout. report_sections.py says what stands in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from hamner.runs.cli import Parser, add_results_option, console, run_command

EXAMPLES = (
    "curriculum report                      # the newest run",
    "curriculum report mine                 # finished, under way, or killed in its third stage",
    "curriculum report mine --results DIR   # a run of another results folder",
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser("curriculum report", "Write a run's report: one page, to open from disk.", EXAMPLES)
    options.add_argument("run", nargs="?", metavar="RUN", help="a run or its folder (default: the newest)")
    add_results_option(options)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    from curriculum.report_files import write_run_report
    from hamner.runs.folders import find_run, results_folder

    folder = find_run(results_folder(options.results), ("curriculum",), options.run)
    path, screen = write_run_report(folder), console()
    screen.print(f"report: {path}", soft_wrap=True)
    screen.print(f"all runs: {folder.parents[1] / 'index.html'}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
