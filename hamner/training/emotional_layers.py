"""Parameter groups that learn at their own share of the rate, such as the slow middle layers.

The recorded "emotional" model trained the middle layers of the stack at a fifth of everybody else's rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch

from hamner.config.errors import BadInput
from hamner.config.schema import ModelConfig, ParameterGroup
from hamner.model.transformer import Hamner


def middle_layers(num_layers: int, count: int) -> range:
    """The `count` consecutive 0-based layers around the middle of the stack."""
    start = (num_layers - count) // 2
    return range(start, start + count)


def rate_scales(hamner: Hamner, groups: Sequence[ParameterGroup]) -> dict[str, float]:
    """The share of the rate each named parameter learns at; 1 outside of all groups, the last group counts.

    Raises BadInput for a group that no parameter is in.
    """
    scales = {name: 1.0 for name, _ in hamner.named_parameters()}
    for group in groups:
        names = [name for name in scales if _belongs(name, group, hamner.config)]
        if not names:
            raise BadInput(f"parameter group {group} holds none of the parameters, such as {next(iter(scales))}")
        scales |= dict.fromkeys(names, group.learning_rate_scale)
    return scales


def _belongs(name: str, group: ParameterGroup, model: ModelConfig) -> bool:
    if group.middle_layers:
        layers = middle_layers(model.num_layers, group.middle_layers)
        return name.startswith("blocks.") and int(name.split(".")[1]) in layers
    return fnmatch(name, group.parameters)
