"""Print examples: `python -m hamner.show_tasks --show [--type T] [--level L] [--seed S] [--count N]`."""

import argparse
import random
import sys
from collections.abc import Sequence

from hamner.config.errors import BadInput, Problems, did_you_mean
from hamner.data.synthetic_tasks import LEVELS, TASKS, generate
from hamner.runs.cli import run_command

PER_CELL = 5


def command(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m hamner.synthetic_tasks", description="Small exact exercises.")
    parser.add_argument("--show", action="store_true", help="print examples")
    parser.add_argument("--type", metavar="T", help=f"one of {', '.join(TASKS)} (default: all nine)")
    parser.add_argument("--level", metavar="L", help="1 to 5 (default: all five)")
    parser.add_argument("--seed", metavar="S", default="0", help="same seed, same examples (default: 0)")
    parser.add_argument(
        "--count", metavar="N", default=str(PER_CELL), help=f"examples per type and level (default: {PER_CELL})"
    )
    options = parser.parse_args(arguments)
    problems = Problems()  # options are read as words, so that one message has all that is wrong with them
    if options.type is not None and options.type not in TASKS:
        problems.found.append(
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
        parser.print_help()
        return 0
    for task in [options.type] if options.type else TASKS:
        for shown in [level] if level else LEVELS:
            rng = random.Random(f"show/{seed}/{task}/{shown}")  # the same items whatever else is shown
            print(f"# {task}, level {shown}")
            for _ in range(count):
                print(generate(rng, shown, task).text)
    return 0


def _whole(option: str, word: str, low: int | None = None, high: int | None = None) -> int:
    """The whole number an option's word says. Raises BadInput for what is none, or not from low to high."""
    bounds = "" if low is None else f" of {low} or more" if high is None else f" from {low} to {high}"
    try:
        number = int(word)
    except ValueError:
        number = None
    if number is None or (low is not None and number < low) or (high is not None and number > high):
        raise BadInput(f"{option} must be a whole number{bounds}, not '{word}'")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(command, arguments)


if __name__ == "__main__":
    sys.exit(main())
