"""Command `curriculum doctor`: preflight checks of this machine for a curriculum, each with its fix.

    curriculum doctor [WHO] [--config NAME|PATH] [--data hub|builtin|DIR] [--results DIR]
                      [--calibrate] [key=value ...]

Data in: words of a command line. Data out: a line for each check, ok, warn or fail; exit code 1 where one fails. With
--calibrate: tables of what was timed, and results/calibration.json.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hamner.config.schema import SOURCE_NAMES, Config
from hamner.runs.cli import (
    Parser,
    add_calibrate_option,
    add_config_options,
    add_results_option,
    read_config,
    run_command,
)

if TYPE_CHECKING:
    from hamner.runs.preflight_run import Needs

WEIGHT_COPIES, BYTES_PER_WEIGHT = 5, 4  # weights, gradient, Adam's two moments, averaged weights; fp32
EXAMPLES = (
    "curriculum doctor                        # for the newest league's winner",
    "curriculum doctor v2 --config rtx3090    # for the preset V2, what is missing for the real thing",
    "curriculum doctor v3 --data DIR max_steps=5000",
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser("curriculum doctor", "Check this machine: what would stop a curriculum, and the fix.", EXAMPLES)
    options.add_argument("who", metavar="WHO", nargs="?", help="as of `curriculum run` (default: winner, or v3)")
    add_config_options(options)
    add_results_option(options)
    add_calibrate_option(options)
    options.add_settings()
    options.set_defaults(resume=False)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    if options.who and "=" in options.who:
        options.settings.insert(0, options.who)
        options.who = None
    config = read_config(options, options.settings, "curriculum")
    assert config is not None  # nothing is resumed
    from hamner.data.preparation.for_run import absent_sources
    from hamner.data.preparation.preflight_data import data_findings
    from hamner.runs.folders import results_folder
    from hamner.runs.preflight_run import examine, print_findings

    results = results_folder(options.results)
    has_winner = any((results / "tournament").glob("*/winner.json"))
    who = options.who or ("winner" if has_winner else "v3")
    if options.calibrate:
        return _calibrate(who, config, results)
    names = [name for name in SOURCE_NAMES if name not in absent_sources(config, SOURCE_NAMES)]
    needs = _needs(who, config, results)
    findings = examine(config, "curriculum", results, needs, lambda: data_findings(config, names))
    words = shlex.join(word for word in arguments if word != options.who)
    again, way_on = (f"curriculum {verb} {words}".rstrip() for verb in (f"doctor {who}", f"run {who} --plan"))
    return print_findings(findings, again, way_on)


def _calibrate(who: str, config: Config, results: Path) -> int:
    """Calibrate this machine for the stages of a model. Raises BadInput for one that is not there."""
    from curriculum.starting_model import find_starting_model
    from hamner.runs.cluster import check_machine, cores_per_worker

    compute, stages = config.compute, config.curriculum
    model = find_starting_model(who, config, results, None).model
    check_machine(config, compute.workers * cores_per_worker(config))
    from hamner.training.calibration_command import calibrate_machine  # loads PyTorch

    rows = stages.batch_size // (stages.gradient_accumulation_steps * compute.workers)
    return calibrate_machine(config, "curriculum", [model], rows, results, trials=compute.workers)


def _needs(who: str, config: Config, results: Path) -> Needs:
    """What a curriculum of this config needs. Raises BadInput for a model that is not there."""
    from curriculum.disk import checkpoints_gib
    from curriculum.stages import CURRICULA, DEFAULT
    from curriculum.starting_model import find_starting_model
    from hamner.config.cost import GIB, count_parameters
    from hamner.data.preparation.preflight_data import reads_hub, text_gib
    from hamner.runs.cluster import cores_per_worker
    from hamner.runs.preflight_run import CARD_PROCESS_GIB, PROCESS_GIB, Needs

    model, compute = find_starting_model(who, config, results, None).model, config.compute
    each = CARD_PROCESS_GIB
    if compute.device == "cpu":
        each = PROCESS_GIB + WEIGHT_COPIES * BYTES_PER_WEIGHT * count_parameters(model).total / GIB
    return Needs(
        compute.workers * cores_per_worker(config),
        compute.workers,
        each,
        {
            "checkpoints": checkpoints_gib(model, config, CURRICULA[DEFAULT].stages),
            "text": text_gib(config, SOURCE_NAMES, config.data.hub_tokens),
        },
        *reads_hub(config, SOURCE_NAMES),
    )


if __name__ == "__main__":
    raise SystemExit(main())
