"""List all runs on disk, with their state, size and age: the command `hamner runs`, also `python -m hamner.list_runs`.

Data in: the results folder. Data out: a table on stdout.
"""

from __future__ import annotations

from collections.abc import Sequence

from hamner.runs.cli import Parser, add_results_option, console, run_command
from hamner.runs.folders import place_words, results_folder

EXAMPLES = (
    "hamner runs                       # all runs, the last written first",
    "hamner runs --results DIR         # those of another results folder",
    "hamner runs --results ../results  # of a clone beside this one",
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser("hamner runs", "All runs on disk: kind, state, size, and how long ago each was written.", EXAMPLES)
    add_results_option(options)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    from hamner.runs.inventory import age_text, runs_on_disk, size_text
    from hamner.runs.tables import Column, fitted_table

    results, screen = results_folder(options.results), console()
    runs = runs_on_disk(results)
    if not runs:
        print(f"no runs in {results}; begin one with `hamner friend`, or `tournament --config laptop`")
        return 0
    columns = (
        Column("run", justify="left", may_wrap=True),
        Column("kind", justify="left"),
        Column("state", justify="left"),
        Column("size", 1),
        Column("last written", 2),
    )
    rows = [[run.name, run.kind, run.state, size_text(run.size), f"{age_text(run.written)} ago"] for run in runs]
    title = f"{len(runs)} run{'s' * (len(runs) > 1)} in {results}, {size_text(sum(run.size for run in runs))}"
    screen.print(fitted_table(screen, columns, rows, title=title))
    print(f"what can be removed: `hamner clean{place_words(results)}`, which removes nothing without --yes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
