"""Remove what runs leave on disk: the command `hamner clean`, also `python -m hamner.clean`.

    hamner clean [RUN ...] [--unfinished] [--prepared] [--results DIR] [--yes]

Data in: words of a command line. Data out: a table of what can be removed; with --yes it is removed.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hamner.runs.cli import Parser, add_results_option, console, run_command
from hamner.runs.folders import absolute, home_folder, place_words, results_folder

if TYPE_CHECKING:
    from hamner.runs.inventory import StoredRun
    from hamner.runs.removal import Removable

DESCRIPTION = """Print what can be removed, and how much room that makes; with --yes remove it.

Without a word: what killed processes have left, and the logs of dead Ray sessions that were ours. A run that a process
works on is never removed, and no file outside the results folder, Ray's and the prepared text."""
EXAMPLES = (
    "hamner clean                 # print what nobody needs any more; --yes removes it",
    "hamner clean first           # every run of that name; curriculum/first means one of them",
    "hamner clean --unfinished    # runs that were stopped and could still be resumed",
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser("hamner clean", DESCRIPTION, EXAMPLES)
    options.add_argument("runs", nargs="*", metavar="RUN", help="runs to remove: NAME, of every kind, or KIND/NAME")
    options.add_argument("--unfinished", action="store_true", help="all runs that are neither finished nor running")
    options.add_argument(
        "--prepared",
        metavar="DIR",
        nargs="?",
        const=str(home_folder() / "data" / "prepared"),
        help="text that `hamner prepare_data` wrote (without DIR: data/prepared)",
    )
    add_results_option(options)
    options.add_argument("--yes", action="store_true", help="remove it; without this word nothing is touched")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    from hamner.runs.inventory import runs_on_disk, size_text

    results = results_folder(options.results)
    runs = runs_on_disk(results)
    items, others = _items(options, results, runs)
    if items:
        _print_items(items)
    else:
        print(f"nothing to remove in {results}")
    for line in _hints(options, runs, others):
        print(line)
    if not items:
        return 0
    room = size_text(sum(item.size for item in items))
    if options.yes:
        return _remove(items, place_words(results))
    print(f"nothing was removed; {room}: `{shlex.join(['hamner', 'clean', *arguments, '--yes'])}`")
    return 0


def _items(options: argparse.Namespace, results: Path, runs: Sequence[StoredRun]) -> tuple[list[Removable], int]:
    """What is asked for, and the number of dead Ray sessions that are not marked as ours. Raises BadInput."""
    from hamner.runs.removal import leftovers, named_runs, old_sessions, prepared_data, removable_run, unfinished_runs

    chosen = named_runs(results, runs, options.runs)
    if options.unfinished:
        chosen += [run for run in unfinished_runs(runs) if run not in chosen]
    items, others = [removable_run(run, runs) for run in chosen], 0
    if options.prepared:
        items += prepared_data(absolute(options.prepared, "--prepared"), runs)
    if not (options.runs or options.unfinished or options.prepared):
        sessions, others = old_sessions()
        items += [*leftovers(results, runs), *sessions]
    return items, others


def _print_items(items: Sequence[Removable]) -> None:
    from hamner.runs.inventory import size_text
    from hamner.runs.tables import Column, fitted_table

    screen = console()
    columns = (
        Column("what", justify="left", may_wrap=True),
        Column("size"),
        Column("why it can go", 1, justify="left", may_wrap=True),
    )
    rows = [[item.label, size_text(item.size), item.why] for item in items]
    screen.print(fitted_table(screen, columns, rows, title="can be removed"))


def _hints(options: argparse.Namespace, runs: Sequence[StoredRun], others: int) -> list[str]:
    """What else there is, and the words that remove it."""
    from hamner.runs.inventory import size_text
    from hamner.runs.removal import unfinished_runs

    lines, place = [], place_words(results_folder(options.results))
    rest = [] if options.unfinished or options.runs else unfinished_runs(runs)
    if rest:
        what = f"{len(rest)} unfinished, which --resume could continue, {size_text(sum(run.size for run in rest))}"
        lines.append(f"{what}: `hamner clean --unfinished{place}`")
    if others:
        lines.append(f"{others} dead Ray sessions are not marked as ours, and stay: they may be another program's")
    return lines


def _remove(items: Sequence[Removable], place: str) -> int:
    """Remove all, a line each; returns 1 where one is left. place: words that name the results folder."""
    from hamner.runs.inventory import size_text
    from hamner.runs.removal import remove

    freed, is_whole = 0, True
    for item in items:
        problem = remove(item)
        print(problem or f"removed: {item.label}", flush=True)
        freed += 0 if problem else item.size
        is_whole &= problem is None
    print(f"{size_text(freed)} removed; what is left: `hamner runs{place}`")
    return 0 if is_whole else 1


if __name__ == "__main__":
    raise SystemExit(main())
