"""Write the report of a run of any kind: the command `hamner report`, also `python -m hamner.report`.

Data in: the name or folder of a league, a curriculum or a fine-tuning (default: the newest of all), and the files in
its folder. Data out: report.html, report.md and PNGs there, results/index.html, and the page's path on stdout. A league
and a curriculum know best what to show of themselves: `tournament report` and `curriculum report` are run for them.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from hamner.runs.cli import Parser, add_results_option, console, run_command

EXAMPLES = (
    "hamner report                      # the newest run, whatever it is",
    "hamner report friend               # the fine-tuned run `friend`: its card, ten conversations, its curves",
    "hamner report mine --results DIR   # a run of another results folder, finished or not",
)
REPORTS = {"tournament": "tournament.report", "curriculum": "curriculum.report"}  # kind: command that writes its report


def parser() -> Parser:
    """The options of the command."""
    options = Parser("hamner report", "Write a run's report: one page, to open from disk.", EXAMPLES)
    options.add_argument("run", nargs="?", metavar="RUN", help="a run of any kind, or its folder (default: the newest)")
    add_results_option(options)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    from hamner.runs.folders import find_run, results_folder

    folder = find_run(results_folder(options.results), ("sft", *REPORTS), options.run)
    command, results = REPORTS.get(folder.parent.name), folder.parents[1]
    if command:
        return int(importlib.import_module(command).main([folder.name, "--results", str(results)]))
    from hamner.reports.friend_report import write_friend_report

    path, screen = write_friend_report(folder), console()
    screen.print(f"report: {path}", soft_wrap=True)
    screen.print(f"all runs: {results / 'index.html'}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
