"""Compilation in a league (torch.compile): on a card all contestants compile their steps, or none does.

Else the length of its run would decide for each alone, and speeds of compiled and of plain steps would stand side by
side. Data in: the config. Data out: the `compute` section that every run trains with.
"""

from __future__ import annotations

from hamner.config.schema import Compute, Config
from hamner.training.compilation import seconds_saved
from tournament.entrants import entrants


def league_compute(config: Config) -> Compute:
    """The compute section with compile = auto decided on a card: whether compiling saves time over all of round 1."""
    compute, league = config.compute, config.tournament
    if compute.device == "cpu" or compute.compile != "auto":
        return compute
    tokens = league.steps[0] * league.batch_size * league.seq_len
    saved = sum(
        seconds_saved(compute, contestant.model, league.seq_len, tokens, compute.threads)
        for contestant in entrants(config).values()
    )
    return compute.model_copy(update={"compile": "always" if saved > 0 else "never"})
