"""Command `tournament compare`: what two leagues differ in, in their settings and then in their outcome.

    tournament compare RUN RUN [--results DIR]

Data in: names of two leagues, each with a decided round. Data out: tables and lines; comparison.py does the work.
"""

from __future__ import annotations

from collections.abc import Sequence

from hamner.runs.cli import Parser, add_results_option, console, run_command

EXAMPLES = (
    "tournament compare first second                 # what was set otherwise, and who ended where",
    "tournament compare small large                  # one field at two sizes: does the order hold?",
    "tournament compare small large --results other  # the same in another results folder",
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser("tournament compare", "Two leagues: their settings, and how far they agree.", EXAMPLES)
    options.add_argument("first", metavar="RUN", help="a league")
    options.add_argument("second", metavar="RUN", help="the league to set beside it")
    add_results_option(options)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    from hamner.runs.folders import place_words, results_folder
    from tournament.comparison import comparison_report, read_league_result

    results, output = results_folder(options.results), console()
    leagues = [read_league_result(results, name) for name in (options.first, options.second)]
    for part in comparison_report(output, *leagues):
        output.print(part, soft_wrap=isinstance(part, str))
    like = f"tournament --plan --simulate --like {options.second}{place_words(results)}"
    output.print(f"what more seeds would settle: `{like}`", soft_wrap=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
