"""Command: print examples of the synthetic tasks.

    hamner show_tasks --show [--type T] [--level L] [--seed S] [--count N]

Data in: a seed. Data out: items, one a line, under a heading for each task and level.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from hamner.config.errors import BadInput, Problems, did_you_mean
from hamner.data.synthetic_tasks import LEVELS, TASKS, generate
from hamner.runs.cli import Parser, run_command

COUNT = 5  # examples of each task and level
EXAMPLES = (
    "hamner show_tasks --show                                 # five of each of the nine tasks and five levels",
    "hamner show_tasks --show --type logic --level 4          # one task at one level",
    "hamner show_tasks --show --type listops --count 20       # more of them",
)


def parser() -> Parser:
    """The options of the command, numbers as words, so that one message can have all that is wrong with them."""
    options = Parser(
        "hamner show_tasks", "Examples of the synthetic tasks, small exercises with exact answers.", EXAMPLES
    )
    options.add_argument("--show", action="store_true", help="print examples")
    options.add_argument("--type", metavar="T", help=f"one of {', '.join(TASKS)} (default: all nine)")
    options.add_argument("--level", metavar="L", help="1 to 5 (default: all five)")
    options.add_argument("--seed", metavar="S", default="0", help="same seed, same examples (default: 0)")
    options.add_argument(
        "--count", metavar="N", default=str(COUNT), help=f"examples per type and level (default: {COUNT})"
    )
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    problems = Problems()
    if options.type is not None and options.type not in TASKS:
        problems.lines.append(
            f"--type: unknown synthetic task '{options.type}'; {did_you_mean(options.type, list(TASKS))}"
        )
    level = seed = count = 0
    with problems.collect():
        level = _whole("--level", options.level, LEVELS[0], LEVELS[-1]) if options.level is not None else 0
    with problems.collect():
        seed = _whole("--seed", options.seed)
    with problems.collect():
        count = _whole("--count", options.count, 1)
    problems.raise_all()
    if not options.show:
        parser().print_help()
        return 0
    for task in [options.type] if options.type else TASKS:
        for shown in [level] if level else LEVELS:
            rng = random.Random(f"show/{seed}/{task}/{shown}")  # the same items whatever else is shown
            print(f"# {task}, level {shown}")
            for _ in range(count):
                print(generate(rng, shown, task).text)
    return 0


def _whole(option: str, word: str, low: int | None = None, high: int | None = None) -> int:
    """The whole number of an option's word. Raises BadInput where it is not one from low to high."""
    bounds = "" if low is None else f" of {low} or more" if high is None else f" from {low} to {high}"
    try:
        number = int(word)
    except ValueError:
        number = None
    if number is None or (low is not None and number < low) or (high is not None and number > high):
        raise BadInput(f"{option} must be a whole number{bounds}, not '{word}'")
    return number


if __name__ == "__main__":
    raise SystemExit(main())
