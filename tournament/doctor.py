"""Command `tournament doctor`: preflight checks of this machine for a league, each with its fix.

    tournament doctor [--config NAME|PATH] [--data hub|builtin|DIR] [--results DIR] [--calibrate] [key=value ...]

Data in: words of a command line. Data out: a line for each check, ok, warn or fail; exit code 1 where one fails. With
--calibrate: tables of what was timed, and results/calibration.json.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hamner.config.schema import Config
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

EXAMPLES = (
    "tournament doctor                     # this machine, for the config that it would get",
    "tournament doctor --config rtx3090    # what is missing for the real thing",
    "tournament doctor --calibrate         # time the kernels on this machine, and keep what wins",
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser("tournament doctor", "Check this machine: what would stop a league, and the fix.", EXAMPLES)
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
    config = read_config(options, options.settings, "tournament")
    assert config is not None  # nothing is resumed
    from hamner.runs.folders import results_folder

    if options.calibrate:
        return _calibrate(config, results_folder(options.results))
    from hamner.data.preparation.preflight_data import data_findings
    from hamner.runs.preflight_run import examine, print_findings
    from tournament.entrants import all_sources

    names = all_sources(config)
    needs, results = _needs(config), results_folder(options.results)
    findings = examine(config, "tournament", results, needs, lambda: data_findings(config, names))
    words = shlex.join(arguments)
    return print_findings(findings, f"tournament doctor {words}".rstrip(), f"tournament --plan {words}".rstrip())


def _calibrate(config: Config, results: Path) -> int:
    """Calibrate this machine for a league. Raises BadInput for one that cannot be."""
    from hamner.runs.card_sharing import runs_per_card
    from hamner.runs.cluster import check_machine
    from tournament.entrants import entrants
    from tournament.step_timing import slots

    is_card = config.compute.device == "cuda"
    check_machine(config, 1 if is_card else config.compute.threads)
    models = [contestant.model for contestant in entrants(config).values()]
    from hamner.training.calibration_command import calibrate_machine  # loads PyTorch

    trials = runs_per_card(config.compute) if is_card else slots(config)
    rows = config.tournament.batch_size // config.tournament.gradient_accumulation_steps
    return calibrate_machine(config, "tournament", models, rows, results, trials=trials)


def _needs(config: Config) -> Needs:
    """What a league of this config needs. Raises BadInput for one that cannot be."""
    from hamner.config.cost import GIB
    from hamner.data.preparation.preflight_data import reads_hub, text_gib
    from hamner.runs.preflight_run import CARD_PROCESS_GIB, PROCESS_GIB, Needs
    from tournament.disk import disk_gib
    from tournament.entrants import all_sources, entrants
    from tournament.gpu_memory import memory_estimate, share
    from tournament.prepare_in_background import hub_tokens
    from tournament.step_timing import slots

    contestants, names = entrants(config), all_sources(config)
    runs = sum(len(contestant.seeds) for contestant in contestants.values())
    if config.compute.device == "cuda":  # a card has its own memory
        smallest = min(share(contestant.model, config) for contestant in contestants.values())
        side_by_side, each = min(runs, int(1 / smallest)), CARD_PROCESS_GIB
    else:
        side_by_side = min(runs, slots(config))
        each = PROCESS_GIB + max(memory_estimate(c.model, config).peak for c in contestants.values()) / GIB
    text = text_gib(config, names, hub_tokens(config))
    return Needs(
        config.compute.threads if config.compute.device == "cpu" else 1,
        side_by_side,
        each,
        {"checkpoints": disk_gib(contestants, config), "text": text},
        *reads_hub(config, names),
    )


if __name__ == "__main__":
    raise SystemExit(main())
