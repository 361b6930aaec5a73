"""Cross-field checks of a config: relations between keys, which no single field can state.

Data in: a Config. Data out: one line for each relation that does not hold.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from hamner.config.errors import BadInput, did_you_mean, shortened
from hamner.config.horizon import read_horizon
from hamner.config.schema import SOURCE_NAMES, Config, Curriculum, Tournament

FEWEST_EVALUATIONS = 4  # a round, for forecasts
SOURCE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def source_problems(names: Iterable[str], where: str, data_path: str | None = None) -> Iterator[str]:
    """Names that cannot be sources: hub and builtin text have the known ones, a folder any.

    data_path: the config's data.path; None where it is not known.
    """
    for name in names:
        if data_path in ("hub", "builtin") and name not in SOURCE_NAMES:
            hint = did_you_mean(name, SOURCE_NAMES)
            yield (
                f"{where}: unknown source '{name}'; {hint + ' ' if hint.startswith('did') else ''}--data {data_path} "
                f"has {', '.join(SOURCE_NAMES)}; in a folder of your own (--data DIR) any DIR/NAME/ is a source"
            )
        elif not SOURCE_NAME.fullmatch(name):
            yield (
                f"{where}: '{name}' cannot name a source, which is a folder DIR/NAME/: use letters, digits, '_' and "
                "'-', beginning with a letter or digit"
            )


def mix_problems(
    mix: Mapping[str, float], where: str, known: Sequence[str] | None = None, data_path: str | None = None
) -> Iterator[str]:
    """What is wrong with the names and ratios of a mix.

    known: the sources there are to draw from; None: those that `data_path` can have.
    """
    if known is None:
        yield from source_problems(mix, where, data_path)
    for name, share in mix.items():
        if known is not None and name not in known:
            yield f"{where}: unknown source '{name}'; {did_you_mean(name, known)}"
        if not (math.isfinite(share) and share > 0):
            yield f"{where}: the ratio of '{name}' is {share}; it must be above 0 (leave out what is not read)"
    total = sum(mix.values())
    if abs(total - 1) > 1e-6:
        way_out = f"; divide each by {total:.6g}" if total > 0 and math.isfinite(total) else ""
        yield f"{where}: ratios sum to {total:.6g}, not 1{way_out}"


def relation_problems(config: Config) -> Iterator[str]:
    """One line for each combination of settings that are valid alone and impossible together."""
    league, stages = config.tournament, config.curriculum
    if any(s <= 0 for s in league.steps) or not league.steps:
        yield f"tournament.steps = {list(league.steps)}: every round needs at least 1 step"
    if len(league.steps) != len(league.keep):
        yield f"tournament.steps has {len(league.steps)} rounds but tournament.keep {len(league.keep)}"
    if any(a <= b for a, b in pairwise(league.keep)) or any(k < 1 for k in league.keep):
        yield f"tournament.keep = {list(league.keep)}: each round must keep fewer than the one before, at least 1"
    elif league.keep and league.keep[-1] != 1:
        yield f"tournament.keep = {list(league.keep)}: the last round must keep 1, the winner"
    yield from mix_problems(league.mix, "tournament.mix", data_path=config.data.path)
    yield from _league_problems(config)
    for name, part in (("tournament", league), ("curriculum", stages)):
        if part.batch_size % part.gradient_accumulation_steps:
            yield (
                f"{name}.batch_size {part.batch_size} is not a multiple of {name}.gradient_accumulation_steps "
                f"{part.gradient_accumulation_steps}"
            )
    if stages.batch_size % (stages.gradient_accumulation_steps * config.compute.workers):
        yield (
            f"curriculum.batch_size {stages.batch_size} cannot be shared by {config.compute.workers} workers "
            f"in {stages.gradient_accumulation_steps} gradient accumulation steps"
        )
    yield from _elastic_problems(config)
    yield from _stage_problems(stages)
    if config.compute.device == "cpu" and config.compute.precision == "fp16":
        yield "compute.precision = fp16 needs a GPU; use bf16 or fp32"
    is_fp16_on_a_card = (config.compute.device, config.compute.precision) == ("cuda", "fp16")
    if config.compute.kernels.fp16_accumulation == "always" and not is_fp16_on_a_card:
        yield (
            "compute.kernels.fp16_accumulation = always goes with compute.device = cuda and compute.precision = fp16: "
            "use them, or fp16_accumulation=auto"
        )


def _elastic_problems(config: Config) -> Iterator[str]:
    """One line for each number of workers that could be left over and could not share a batch."""
    least, workers, rows = config.compute.min_workers, config.compute.workers, config.curriculum.batch_size
    if least > workers:
        yield f"compute.min_workers {least} is above compute.workers {workers}: lower the one or raise the other"
    odd = ", ".join(str(number) for number in range(least, workers) if least and rows % number)
    if odd:
        yield (
            f"compute.min_workers = {least}: curriculum.batch_size {rows} cannot be shared by {shortened(odd)}: "
            f"raise min_workers, or use a batch_size that every number from {least} to {workers} divides"
        )


def _stage_problems(stages: Curriculum) -> Iterator[str]:
    """One line for each combination of the curriculum's settings by which no stage could end as it should."""
    rule, every = stages.plateau, stages.plateau.evaluation_steps
    if rule.done_gain >= rule.go_on_gain:
        yield f"plateau.done_gain {rule.done_gain} must be below plateau.go_on_gain {rule.go_on_gain}"
    if rule.window_steps < 4 * every:
        yield (
            f"plateau.window_steps {rule.window_steps} must hold at least 4 evaluations, one every "
            f"plateau.evaluate_every = {every} steps"
        )
    if rule.window_steps % every:
        yield f"plateau.window_steps {rule.window_steps} is not a multiple of evaluate_every {every}"
    if rule.min_steps > stages.max_steps:
        yield (
            f"plateau.min_steps {rule.min_steps} is above curriculum.max_steps {stages.max_steps}: no plateau could "
            "end a stage; lower the one or raise the other"
        )
    if stages.warmup_steps > stages.max_steps:
        yield (
            f"curriculum.warmup_steps {stages.warmup_steps} is above curriculum.max_steps {stages.max_steps}: the rate "
            "would never be reached; lower the one or raise the other"
        )
    if stages.decay != "none" and stages.decay_steps >= stages.max_steps:
        yield (
            f"curriculum.decay_steps {stages.decay_steps} leaves nothing of a stage of at most "
            f"curriculum.max_steps {stages.max_steps}"
        )


def _league_problems(config: Config) -> Iterator[str]:
    """One line for each combination of the tournament's settings that is impossible."""
    league = config.tournament
    yield from source_problems(league.report, "tournament.report", config.data.path)
    if league.budget == "seconds" and (len(league.seconds) != len(league.keep) or any(s <= 0 for s in league.seconds)):
        yield (
            f"tournament.seconds = {list(league.seconds)}: budget = seconds needs one positive number a round, "
            f"{len(league.keep)}"
        )
    if league.seconds and league.budget != "seconds":
        yield (
            f"tournament.seconds = {list(league.seconds)} goes with budget = seconds, not {league.budget}: leave it "
            "out, or use budget=seconds"
        )
    if league.budget == "seconds" and league.cooldown:
        yield "tournament.cooldown needs rounds of known length: use budget=tokens or flops, or cooldown=0"
    yield from _seed_problems(league)
    if league.mode == "async" and league.contested != "cut":
        yield (
            f"tournament.contested = {league.contested} decides when all runs are in, mode = async before: "
            "use contested=cut or mode=sync"
        )
    if league.mode == "async" and not isinstance(league.seeds, int):
        yield (
            f"tournament.seeds = {list(league.seeds)}: with mode = async no round is over when the next begins: "
            f"use seeds={max(league.seeds, default=2)} or mode=sync"
        )
    if league.lr_probe_steps and league.lr_probe_steps < 3 * league.warmup_steps:
        yield (
            f"tournament.lr_probe_steps {league.lr_probe_steps} is under three times "
            f"tournament.warmup_steps {league.warmup_steps}: too short to compare rates"
        )
    if league.judge == "forecast" and league.mode == "async":
        yield "tournament.judge = forecast compares curves of a whole round: use mode=sync, or judge=heldout_loss"
    if league.judge == "forecast" and league.evaluations_per_round < FEWEST_EVALUATIONS:
        yield (
            f"tournament.judge = forecast with evaluations_per_round {league.evaluations_per_round}: curves of fewer "
            f"than {FEWEST_EVALUATIONS} looks a round are not forecast; give more"
        )
    if league.shadow and league.mode == "async":
        yield "tournament.shadow needs cuts that are made once: use mode=sync, or shadow=0"
    try:
        read_horizon(league.horizon)
    except BadInput as error:
        yield from error.problems
    if league.league and league.contestants:
        yield "tournament.contestants and tournament.league both say who enters: leave one of them out"


def _seed_problems(league: Tournament) -> Iterator[str]:
    """One line for each way in which the numbers of seeds cannot be played."""
    if isinstance(league.seeds, int):
        counts, typed = [league.seeds] * len(league.keep), f"{league.seeds}"
    else:
        counts, typed = list(league.seeds), f"{list(league.seeds)}"
    if len(counts) != len(league.keep):
        yield (
            f"tournament.seeds = {typed} has {len(counts)} rounds but tournament.keep {len(league.keep)}: give one "
            "number a round, or one for all"
        )
    elif any(a > b for a, b in pairwise(counts)):
        yield f"tournament.seeds = {typed}: a seed that has begun goes on; no round may have fewer than the one before"
    elif league.contested == "keep" and (
        min(counts[:-1], default=2) < 2 or any(len(row.seeds) == 1 for row in league.league)
    ):
        yield (
            f"tournament.contested = keep needs a second seed to know what could be chance, and tournament.seeds = "
            f"{typed}: use seeds=2 or more in every round, or contested=cut"
        )
