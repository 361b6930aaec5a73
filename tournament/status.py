"""Command `tournament status`: where a league stands, from its own files; also of a job elsewhere, or one that died.

    tournament status [RUN] [--watch] [--results DIR]

Data in: the name of a league. Data out: its live table, once or until it is over; league_status.py reads it. Neither
torch nor Ray is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence

from hamner.runs.cli import Parser, add_status_options, run_command

EXAMPLES = (
    "tournament status                    # the newest league: rounds, contestants, time left",
    "tournament status first --watch      # the same, drawn anew until it is over",
    "tournament status --results /shared  # of a job on a cluster that writes there",
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser("tournament status", "Where a league stands, read from its files.", EXAMPLES)
    add_status_options(options, "tournament")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    from hamner.reports.live_view import show_status
    from hamner.runs.find_run import find_run
    from hamner.runs.folders import results_folder
    from tournament.league_status import LeagueReader

    folder = find_run(options.run, results_folder(options.results), ("tournament",))
    show_status(LeagueReader(folder).status, is_watched=options.watch)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
