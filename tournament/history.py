"""Command `tournament history`: all leagues so far, with winners, verdicts and costs, the newest first.

    tournament history [--csv | --parquet FILE] [--results DIR]

Data in: the results folder. Data out: a table; as CSV on stdout, or as a Parquet file, a row a league.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hamner.config.errors import BadInput
from hamner.runs.cli import Parser, add_results_option, console, run_command
from hamner.runs.folders import absolute, place_words, results_folder

if TYPE_CHECKING:
    from tournament.past_leagues import PastLeague

EXAMPLES = (
    "tournament history                            # every league: winner, how sure, hours, tokens, FLOPs",
    "tournament history --csv                      # with every column, for a spreadsheet: > leagues.csv",
    "tournament history --parquet leagues.parquet  # the same for pandas, polars or DuckDB",
)
UNKNOWN = "–"


def parser() -> Parser:
    """The options of the command."""
    options = Parser("tournament history", "All leagues: winners, verdicts and costs, the newest first.", EXAMPLES)
    options.add_argument("--csv", action="store_true", help="as CSV on standard output, with every column")
    options.add_argument("--parquet", metavar="FILE", help="as a Parquet file, with every column")
    add_results_option(options)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    target = _target(options)
    from tournament.past_leagues import past_leagues

    results = results_folder(options.results)
    leagues = past_leagues(results)
    if options.csv:
        _write_csv(leagues)
    elif target:
        _write_parquet(leagues, target)
        print(f"written: {target}, {len(leagues)} league{'s' * (len(leagues) != 1)}")
    else:
        _print_table(leagues, results)
    return 0


def _target(options: argparse.Namespace) -> Path | None:
    """The file of --parquet. Raises BadInput."""
    if not options.parquet:
        return None
    if options.csv:
        raise BadInput("--csv and --parquet are two formats: choose one")
    path = absolute(options.parquet, "--parquet")
    if path.is_dir():
        raise BadInput(f"--parquet {path} is a folder: give a file in it, such as {path / 'leagues.parquet'}")
    return path


def _write_csv(leagues: Sequence[PastLeague]) -> None:
    from tournament.past_leagues import PastLeague

    writer = csv.DictWriter(sys.stdout, [field.name for field in fields(PastLeague)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(league) for league in leagues)


def _write_parquet(leagues: Sequence[PastLeague], path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    from hamner.runs.files import replacing
    from tournament.past_leagues import PastLeague

    types = {"int": pyarrow.int64(), "float": pyarrow.float64(), "str": pyarrow.string()}
    schema = pyarrow.schema([(f.name, types[str(f.type).partition(" ")[0]]) for f in fields(PastLeague)])
    table = pyarrow.Table.from_pylist([asdict(league) for league in leagues], schema=schema)
    with replacing(path) as temporary:
        pyarrow.parquet.write_table(table, temporary)


def _print_table(leagues: Sequence[PastLeague], results: Path) -> None:
    from hamner.runs.tables import Column, fitted_table

    place = place_words(results)
    if not leagues:
        print(f"no leagues in {results / 'tournament'}; play one with `tournament --config laptop{place}`")
        return
    columns = (
        Column("league", justify="left", may_wrap=True),
        Column("started", 3, justify="left"),
        Column("winner", justify="left", may_wrap=True),
        Column("verdict", 1, justify="left"),
        Column("P(best)", 2),
        Column("loss", 7),
        Column("hours"),
        Column("run hours", 6),
        Column("tokens", 4),
        Column("FLOPs", 5),
    )
    captions = [
        ("hours", "hours: from the start to the end, pauses included"),
        ("run hours", "run hours: of all runs added up, which train side by side; tokens, FLOPs: of all runs"),
        ("P(best)", "P(best): that the winner is the best of all that entered"),
    ]
    screen, title = console(), f"{len(leagues)} league{'s' * (len(leagues) > 1)} in {results}"
    rows = [_cells(league) for league in leagues]
    screen.print(fitted_table(screen, columns, rows, title=title, captions=captions))
    print(_next_command(leagues, place))


def _cells(league: PastLeague) -> list[str]:
    from tournament.standings_table import percent

    state = league.state if league.rounds_decided == 0 else f"{league.state}, {_rounds(league)}"
    return [
        league.run,
        _local(league.started),
        league.winner or state,
        league.verdict or UNKNOWN,
        UNKNOWN if league.p_best is None else percent(league.p_best),
        _number(league.heldout_loss, ".4f"),
        _number(league.hours, ".2f"),
        _number(league.run_hours, ".2f"),
        _number(league.tokens, ",.0f"),
        _number(league.flops, ".3g"),
    ]


def _rounds(league: PastLeague) -> str:
    return f"{league.rounds_decided} of {league.rounds} rounds decided"


def _local(time: str | None) -> str:
    """A time in the time zone of this machine, to the minute."""
    return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M") if time else UNKNOWN


def _number(value: float | None, form: str) -> str:
    return UNKNOWN if value is None else format(value, form)


def _next_command(leagues: Sequence[PastLeague], place: str) -> str:
    """The command to type next: set two beside each other, or continue the newest, or train its winner."""
    decided = [league.run for league in leagues if league.rounds_decided]
    if len(decided) > 1:
        return f"set two beside each other: `tournament compare {decided[1]} {decided[0]}{place}`"
    newest = leagues[0]
    if newest.winner:
        return f"train the winner: `curriculum run winner --tournament {newest.run}{place}`"
    return f"continue it: `tournament --resume --name {newest.run}{place}`"


if __name__ == "__main__":
    raise SystemExit(main())
