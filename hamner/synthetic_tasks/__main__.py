"""Print examples: `python -m hamner.synthetic_tasks --show [--task NAME] [--level N] [--n 5] [--seed 0]`."""

import argparse
import random

from hamner.synthetic_tasks import LEVELS, TASKS, generate


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m hamner.synthetic_tasks", description="Small exact exercises.")
    parser.add_argument("--show", action="store_true", help="print examples")
    parser.add_argument("--task", choices=list(TASKS), help="one task (default: all nine)")
    parser.add_argument("--level", type=int, choices=LEVELS, help="one level (default: all five)")
    parser.add_argument("--n", type=int, default=5, help="examples per task and level (default: 5)")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same examples (default: 0)")
    options = parser.parse_args(arguments)
    if not options.show:
        parser.print_help()
        return
    rng = random.Random(options.seed)
    for task in [options.task] if options.task else TASKS:
        for level in [options.level] if options.level else LEVELS:
            print(f"# {task}, level {level}")
            for _ in range(options.n):
                print(generate(rng, level, task).text)


if __name__ == "__main__":
    main()
