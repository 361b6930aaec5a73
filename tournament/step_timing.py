"""Seconds of one training step of each contestant: measured here on random tokens, or read from an earlier league.

Data in: a config, and for an earlier league its folder. Data out: contestant -> seconds a step, with which `--plan`
turns steps into hours. Models that are equal are timed once.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hamner.config.load import parse
from hamner.config.machine_keys import with_keys_of
from hamner.config.schema import Config
from hamner.runs.cores import available_cores
from hamner.runs.files import read_json_as
from tournament.entrants import Contestant, entrants
from tournament.gpu_memory import first_memory_plan

if TYPE_CHECKING:
    from hamner.config.schema import ModelConfig

WARMUP_STEPS, STEPS = 2, 10


def measured_step_seconds(config: Config) -> dict[str, float]:
    """Time ten steps of each contestant on this machine, one contestant at a time: the median."""
    seconds: list[tuple[ModelConfig, float]] = []
    of_contestants: dict[str, float] = {}
    for name, contestant in entrants(config).items():
        known = next((time_ for model, time_ in seconds if model == contestant.model), None)
        if known is None:
            known = time_steps(config, contestant)
            seconds.append((contestant.model, known))
        of_contestants[name] = known
    return of_contestants


def time_steps(config: Config, contestant: Contestant) -> float:
    """Median seconds of STEPS steps, without compiling."""
    import torch

    from hamner.data.mixer import Mixer
    from hamner.model.transformer import build
    from hamner.training.trainer import Trainer

    league, compute, plan = config.tournament, config.compute, first_memory_plan(contestant.model, config)
    generator = torch.Generator().manual_seed(config.seed)

    class RandomRows:
        """Batches (B, T) of random tokens."""

        def next(self) -> torch.Tensor:
            return torch.randint(contestant.model.vocab_size, (league.batch_size, league.seq_len), generator=generator)

    torch.set_num_threads(compute.threads)
    trainer = Trainer(
        build(contestant.model, config.seed, activation_checkpointing=plan.activation_checkpointing),
        cast(Mixer, RandomRows()),
        config.optimizer,
        compute,
        gradient_accumulation_steps=league.gradient_accumulation_steps,
        groups=contestant.groups,
    )
    trainer.begin(league.learning_rate, league.warmup_steps)
    seconds = []
    for _ in range(WARMUP_STEPS + STEPS):
        began = time.perf_counter()
        trainer.step()  # reads the loss back, so a card has finished
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[WARMUP_STEPS:])


def recorded_step_seconds(config: Config, folder: Path) -> dict[str, float]:
    """What the runs of an earlier league took a step, with evaluations and checkpoints, of those with equal models.

    Empty where that league trained on other hardware settings or batches of another size.
    """
    path = folder / "config.json"
    earlier = read_json_as(path, lambda document: parse(Config, document["config"], str(path)))
    league, other = config.tournament, earlier.tournament
    config = with_keys_of(config, earlier)
    if earlier.compute != config.compute or (league.batch_size, league.seq_len) != (other.batch_size, other.seq_len):
        return {}
    models = {name: contestant.model for name, contestant in entrants(earlier).items()}
    same = [name for name, contestant in entrants(config).items() if models.get(name) == contestant.model]
    speeds = read_json_as(folder / "standings.json", _speeds)
    return {name: league.batch_size * league.seq_len / speeds[name] for name in same if name in speeds}


def _speeds(document: Mapping[str, Any]) -> dict[str, float]:
    """Tokens per second of each contestant in the last round it played, slowed by what its runs did beside training."""
    speeds = {}
    for round_row in document["rounds"]:
        for row in round_row["standings"]:
            spent = [(run["seconds"], run["busy_seconds"]) for run in row["runs"] if run["seconds"]]
            if row["tokens_per_second"] and spent:
                training, busy = (sum(column) for column in zip(*spent, strict=True))
                speeds[row["contestant"]] = row["tokens_per_second"] * training / max(training, busy)
    return speeds


def slots(config: Config) -> int:
    """Runs at a time: as many as the cores allow; one on a card, which is no faster for being shared."""
    if config.compute.device == "cuda":
        return 1
    return max(1, available_cores() // config.compute.threads)


def hours(steps: float, step_seconds: Mapping[str, float], contestants: int, slots: int) -> float | None:
    """Hours of so many steps of the mean contestant on equal slots; None while the seconds of one are not known."""
    if len(step_seconds) < contestants:
        return None
    return steps * statistics.mean(step_seconds.values()) / slots / 3600
