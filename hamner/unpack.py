"""Unpack a run that was packed elsewhere: the command `hamner unpack`, also `python -m hamner.unpack`.

Data in: an archive of `hamner pack`. Data out: a run in the results folder, whole or not at all, and what to type next.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hamner.runs.cli import Parser, add_results_option, run_command

DESCRIPTION = """Make a packed run a run again: check its files against their checksums, and put them where runs lie."""
EXAMPLES = (
    "hamner unpack mine.run.zip               # into the results folder; `hamner report mine` writes its report",
    "hamner unpack mine.run.zip --name other  # under another name",
    "hamner unpack mine.run.zip --list        # print what is in it, and write nothing",
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser("hamner unpack", DESCRIPTION, EXAMPLES)
    options.add_argument("archive", metavar="FILE", help="an archive that `hamner pack` wrote")
    options.add_argument("--name", metavar="RUN", help="the run's name here (default: as it was packed)")
    options.add_argument("--list", action="store_true", help="print the files in it, and write nothing")
    add_results_option(options)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    from hamner.runs.folders import absolute, results_folder
    from hamner.runs.unpacking import list_files, next_lines, unpack

    path = absolute(options.archive, "FILE")
    if options.list:
        for line in list_files(path):
            print(line)
        return 0
    results: Path = results_folder(options.results)
    folder = unpack(path, results, options.name)
    for line in next_lines(folder):
        print(line)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
