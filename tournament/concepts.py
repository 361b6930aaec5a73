"""Command `tournament concepts`: what a small model can learn (generalise, compose, retain), with honest baselines.

    tournament concepts [--suite SUITE] [--model RUN|FOLDER|PRESET] [--seeds 5] [--config NAME|PATH] [--results DIR]
                        [--name RUN] [--resume] [--plan] [--notify COMMAND] [--verbose] [key=value ...]

Also `python -m tournament.concepts`. Data in: words of a command line. Data out: RUN/concepts.json, its report, and two
tables of the seed's claims with our numbers; concept_launch.py does the work.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from hamner.config.errors import BadInput, Problems
from hamner.runs.cli import Parser, add_results_option, add_watching_options, read_config, run_command, whole_number

if TYPE_CHECKING:
    from tournament.concept_arms import Arm

SUITES = "masking, generalise, compose, retain, capacity, multitask, incremental or all"
EXAMPLES = (
    "tournament concepts --config laptop --plan               # arms, steps and hours of all suites",
    "tournament concepts --suite retain --model first         # forgetting, from the run `first`",
    "tournament concepts --resume                             # continue the newest from its checkpoints",
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser("tournament concepts", "Concept experiments: train a base on small skills, and test it.", EXAMPLES)
    options.add_argument(
        "--suite", metavar="SUITE", action="append", help=f"{SUITES} (default: all); repeat it for several"
    )
    options.add_argument(
        "--model",
        metavar="RUN|FOLDER|PRESET",
        help="the base of every arm, or a contestant's fresh weights (default: the newest run)",
    )
    options.add_argument("--seeds", metavar="N", type=whole_number(1, 100), help="runs of each arm (default: 5)")
    options.add_argument(
        "--config",
        metavar="NAME|PATH",
        help="a name in ray_configs/ or a TOML file (default: rtx3090 with a CUDA card, else laptop)",
    )
    add_results_option(options)
    options.add_argument("--name", metavar="RUN", help="the run's name (default: date and time)")
    options.add_argument("--resume", action="store_true", help="continue a run from its last checkpoints")
    options.add_argument("--plan", action="store_true", help="print arms, steps and hours, and stop")
    add_watching_options(options, "arm")
    options.add_settings()
    options.set_defaults(data=None)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    if options.plan and options.resume:
        raise BadInput("--plan describes new experiments: leave out --resume")
    config = read_config(options, options.settings, "concepts")
    from hamner.runs.folders import results_folder

    results = results_folder(options.results)
    arms = _checked_arms(options, results)
    if options.plan:
        from hamner.runs.cli import console
        from tournament.concept_arms import SEEDS
        from tournament.concept_base import open_base
        from tournament.concept_plan import print_plan

        assert config is not None
        print_plan(console(), arms, config, open_base(options.model, config, results), options.seeds or SEEDS)
        print("nothing was started: the same words without --plan start it")
        return 0
    from tournament.concept_launch import Request, run_concepts

    request = Request(options.suite, options.model, options.seeds, options.name, options.notify, options.verbose)
    return run_concepts(request, config, results, resume=options.resume)


def _checked_arms(options: argparse.Namespace, results: Path) -> tuple[Arm, ...]:
    """The arms that are asked for. Raises BadInput for unknown suites and, of a new run, an unknown base."""
    from tournament.concept_arms import ALL, arms_of
    from tournament.concept_base import base_folder

    problems, arms = Problems(), cast("tuple[Arm, ...]", ())
    with problems.collect():
        arms = arms_of(tuple(options.suite or (ALL,)))
    if not options.resume:
        with problems.collect():
            base_folder(options.model, results)
    problems.raise_all()
    return arms


if __name__ == "__main__":
    raise SystemExit(main())
