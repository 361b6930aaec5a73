"""Hyperparameters of a contestant, as TensorBoard's HPARAMS page lists them: the same keys for all contestants.

Data in: the config and a contestant as it is trained. Data out: keys and values: numbers, texts, truth values.
"""

from __future__ import annotations

import re

from hamner.config.cost import count_parameters
from hamner.config.schema import Config
from tournament.entrants import Contestant


def hparams(config: Config, contestant: Contestant, rate: float) -> dict[str, bool | float | str]:
    """What sets contestants apart, without their seed, which is no property of one. rate: as trained with."""
    mix = contestant.mix or config.tournament.mix
    groups = [group.model_dump_json(exclude_defaults=True) for group in contestant.groups]
    return {
        **contestant.model.model_dump(),
        "parameters": count_parameters(contestant.model).total,
        "learning_rate": rate,
        "mix": ", ".join(f"{source} {share:g}" for source, share in mix.items()),
        "parameter_groups": " ".join(groups) or "none",
    }


def contestant_of(run: str) -> str:
    """The contestant whose run a folder's name is: all of its seeds make one row."""
    return re.sub(r"-seed\d+$", "", run)
