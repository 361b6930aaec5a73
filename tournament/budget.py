"""How long a round is: equal tokens for all, or equal FLOPs, or equal seconds of training."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from hamner.config.schema import Config


@dataclass(frozen=True)
class Budget:
    """The rounds of one contestant, counted from the league's start."""

    steps: tuple[int, ...]  # optimizer steps at the end of each round
    seconds: tuple[float, ...] = ()  # of training; when given, they count and not the steps

    def done(self, round_index: int, step: int, seconds: float) -> bool:
        if self.seconds:
            return seconds >= self.seconds[round_index]
        return step >= self.steps[round_index]


def budgets(config: Config, flops: Mapping[str, float]) -> dict[str, Budget]:
    """Of each contestant, given its training FLOPs per token.

    budget = flops: what `steps` cost the median contestant is what everybody may spend.
    """
    league = config.tournament
    seconds = tuple(sum(league.seconds[: i + 1]) for i in range(len(league.seconds)))
    found = {}
    for name, per_token in flops.items():
        factor = statistics.median(flops.values()) / per_token if league.budget == "flops" else 1.0
        ends: list[int] = []
        for index in range(len(league.steps)):
            before = ends[-1] if ends else 0
            ends.append(max(before + 1, round(reference_end(config, index) * factor)))
        found[name] = Budget(tuple(ends), seconds)
    return found


def reference_end(config: Config, round_index: int) -> int:
    """Steps from the league's start to the end of a round, as the config gives them."""
    return sum(config.tournament.steps[: round_index + 1])


def probe_steps(config: Config) -> int:
    """Optimizer steps of one trial of the learning-rate round."""
    league = config.tournament
    return league.lr_probe_steps or max(round(0.2 * league.steps[0]), 3 * league.warmup_steps, 1)
