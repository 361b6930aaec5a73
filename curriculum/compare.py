"""Command `curriculum compare`: set finished curricula side by side at equal tokens, with an error over seeds.

    curriculum compare RUN RUN ... [--results DIR]

Data in: names of finished runs. Data out: a table for each pair of curricula; comparison.py does the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from hamner.runs.cli import Parser, add_results_option, console, run_command

FEWEST_SEEDS = 3
EXAMPLES = (
    "curriculum compare seed0 joint0                                  # one seed: a difference, but no error",
    "curriculum compare seed0 seed1 seed2 joint0 joint1 joint2        # three seeds of each: with the 95 % interval",
    "curriculum compare seed0 joint0 shuffled0 --results other        # every pair of three curricula",
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser("curriculum compare", "Finished curricula at equal tokens, with an error over seeds.", EXAMPLES)
    options.add_argument("runs", nargs="+", metavar="RUN", help="finished curriculum runs")
    add_results_option(options)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    from curriculum.comparison import comparison_table, group_by_curriculum, read_run
    from hamner.runs.folders import place_words, results_folder

    results = results_folder(options.results)
    groups = group_by_curriculum([read_run(results, name) for name in dict.fromkeys(options.runs)])
    output = console()
    for one, other in combinations(groups, 2):
        output.print(comparison_table(output, one, other, groups))
    seeds = len(next(iter(groups.values())))
    if seeds < FEWEST_SEEDS:
        output.print(f"{seeds} seed(s): with fewer than {FEWEST_SEEDS} a difference says little", soft_wrap=True)
    output.print(f"talk to one: `hamner chat {options.runs[0]}{place_words(results)}`", soft_wrap=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
