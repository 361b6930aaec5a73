"""Command `tournament arena`: whom people prefer, from blind votes (Bradley–Terry), beside the friend card's numbers.

    tournament arena [RUN RUN ...] [--results DIR]

Data in: RESULTS/arena/votes.jsonl, which `hamner serve RUN --arena RUN` writes, and friend cards. Data out: tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hamner.config.errors import BadInput, did_you_mean
from hamner.runs.cli import Parser, add_results_option, console, run_command

if TYPE_CHECKING:
    from hamner.runs.votes import Vote

DESCRIPTION = """Whom people prefer, from the votes of `hamner serve RUN --arena RUN`: strengths with intervals, who is
settled to be better than whom, and how many more votes would settle the others."""
EXAMPLES = (
    "tournament arena                        # all friends that were voted on",
    "tournament arena friend other           # these two alone",
    "tournament arena friend other --results DIR  # the votes in another results folder",
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser("tournament arena", DESCRIPTION, EXAMPLES)
    options.add_argument(
        "runs", metavar="RUN", nargs="*", help="friends, as named to `hamner serve` (default: all with votes)"
    )
    add_results_option(options)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    from hamner.runs.folders import results_folder
    from hamner.runs.votes import read_votes, votes_file

    results = results_folder(options.results)
    path = votes_file(results)
    votes = read_votes(path)
    if not votes:
        raise BadInput(f"no votes in {path}: use `hamner serve RUN --arena RUN`, and vote on its page /arena")
    if len(options.runs) == 1:
        raise BadInput(f"'{options.runs[0]}' alone has nobody to be compared with: name two friends, or none for all")
    friends = _friends(votes, options.runs, path)
    from tournament.arena_report import arena_report

    output = console()
    for part in arena_report(output, votes, friends, results):
        output.print(part, soft_wrap=isinstance(part, str))
    return 0


def _friends(votes: Sequence[Vote], names: Sequence[str], path: Path) -> dict[tuple[str, str], str]:
    """What each friend is called, by name and weights: those that are named, or all. Raises BadInput."""
    from hamner.runs.votes import labels

    known = labels(votes)
    if not names:
        return known
    problems, chosen = [], dict[tuple[str, str], str]()
    for word in names:
        name = Path(word).name
        spellings = [name, name.removesuffix(".gguf")]  # a file is called by its whole name where another has its own
        named = [{f: label for f, label in known.items() if one in (f[0], label)} for one in spellings]
        found = named[0] or named[1]
        chosen |= found
        if not found:
            problems.append(f"no votes on '{word}' in {path}; {did_you_mean(name, sorted({n for n, _ in known}))}")
    if problems:
        raise BadInput(problems)
    return chosen


if __name__ == "__main__":
    raise SystemExit(main())
