"""Training budget of a round: equal tokens for all contestants, or equal FLOPs, or equal seconds of training."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from hamner.config.schema import Config


@dataclass(frozen=True)
class Budget:
    """The rounds of one contestant, counted from the league's start."""

    steps: tuple[int, ...]  # optimizer steps at the end of each round
    seconds: tuple[float, ...] = ()  # of training; when given, they count and not the steps

    def is_spent(self, round_index: int, step: int, seconds: float) -> bool:
        """Whether a run that has trained so long is at the end of the round."""
        if self.seconds:
            return seconds >= self.seconds[round_index]
        return step >= self.steps[round_index]


def budgets(config: Config, flops: Mapping[str, float]) -> dict[str, Budget]:
    """The budget of each contestant, given its training FLOPs per token.

    budget = flops: each may spend what `steps` cost the median contestant.
    """
    league = config.tournament
    seconds = tuple(sum(league.seconds[: i + 1]) for i in range(len(league.seconds)))
    median, of_contestants = statistics.median(flops.values()), {}
    for name, per_token in flops.items():
        factor = median / per_token if league.budget == "flops" else 1.0
        ends: list[int] = []
        for index in range(len(league.steps)):
            before = ends[-1] if ends else 0
            ends.append(max(before + 1, round(reference_end(config, index) * factor)))
        of_contestants[name] = Budget(tuple(ends), seconds)
    return of_contestants


def reference_end(config: Config, round_index: int) -> int:
    """Steps from the league's start to the end of a round, as the config gives them."""
    return sum(config.tournament.steps[: round_index + 1])


def run_steps(steps: Sequence[float], contestants: Sequence[int], seeds: Sequence[float]) -> list[float]:
    """Optimizer steps, or seconds, of all runs in each round.

    steps: length of each round, in either. contestants: how many play it. seeds: of each contestant in each round; one
    that joins later trains from step 0 to that round's end.
    """
    ends, before = list(accumulate(steps)), (seeds[0], *seeds[:-1])
    return [
        count * (earlier * length + (now - earlier) * end)
        for count, length, end, earlier, now in zip(contestants, steps, ends, before, seeds, strict=True)
    ]


def probe_steps(config: Config) -> int:
    """Optimizer steps of one trial of the learning-rate round: those of round 1, at whose end its rate must be right.

    A shorter trial favours rates that are too high for the round: docs/verdict.md has the numbers.
    """
    return config.tournament.lr_probe_steps or config.tournament.steps[0]
