"""Write the report of a run of any kind: the command `hamner report`, also `python -m hamner.report`.

Data in: the name or folder of a league, a curriculum or a fine-tuning (default: the newest of all), and the files in
its folder. Data out: report.html, report.md and PNGs there, results/index.html, and the page's path on stdout. A league
and a curriculum know best what to show of themselves: `tournament report` and `curriculum report` are run for them.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from hamner.runs.cli import Parser, add_run_argument, console, run_command

EXAMPLES = (
    "hamner report                      # the newest run, whatever it is",
    "hamner report friend               # the fine-tuned run `friend`: its card, ten conversations, its curves",
    "hamner report mine --results DIR   # a run of another results folder, finished or not",
)
REPORTS = {  # kind: command that writes its report
    "tournament": "tournament.report",
    "concepts": "tournament.report",
    "curriculum": "curriculum.report",
}


def parser() -> Parser:
    """The options of the command."""
    options = Parser("hamner report", "Write a run's report: one page, to open from disk.", EXAMPLES)
    add_run_argument(options, "a run of any kind, or its folder")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    from hamner.runs.find_run import find_run
    from hamner.runs.folders import results_folder

    folder = find_run(options.run, results_folder(options.results))
    if (folder.parent / "bracket.json").is_file():  # a contestant: its league
        folder = folder.parent
    command, results = REPORTS.get(folder.parent.name), folder.parents[1]
    if command:
        return int(importlib.import_module(command).main([str(folder), "--results", str(results)]))
    from hamner.reports.friend_report import write_friend_report
    from hamner.reports.report_files import print_written

    print_written(console(), write_friend_report(folder))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
