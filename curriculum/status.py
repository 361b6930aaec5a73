"""Command `curriculum status`: where a run stands, from its own files; also of a job elsewhere, or one that died.

    curriculum status [RUN] [--watch] [--results DIR]

Data in: the name of a run. Data out: its live table, once or until it is over; run_status.py reads it. Neither torch
nor Ray is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence

from hamner.runs.cli import Parser, add_status_options, run_command

EXAMPLES = (
    "curriculum status                    # the newest run: stages, loss, gain, when it ends",
    "curriculum status mine --watch       # the same, drawn anew until it is over",
    "curriculum status --results /shared  # of a job on a cluster that writes there",
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser("curriculum status", "Where a run stands, read from its files.", EXAMPLES)
    add_status_options(options, "curriculum run")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    from curriculum.run_status import print_run_status

    return print_run_status(options.run, options.results, is_watched=options.watch)


if __name__ == "__main__":
    raise SystemExit(main())
