"""Optimizer: AdamW with weight decay on matrices only, parameter groups with learning rates of their own, its state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatch

import torch
from torch import Tensor, nn

from hamner.config.errors import BadInput
from hamner.config.schema import ModelConfig, Optimizer, ParameterGroup
from hamner.model.transformer import Hamner, decayed_parameters


def adamw(hamner: Hamner, config: Optimizer, groups: Sequence[ParameterGroup] = ()) -> torch.optim.AdamW:
    """Return a fused AdamW (Loshchilov & Hutter 2019) with weight decay on matrices only.

    Each of its groups has a "rate_scale", by which the trainer multiplies the learning rate.
    """
    scales = rate_scales(hamner, groups)
    parameters: dict[tuple[float, bool], list[nn.Parameter]] = {(1.0, True): [], (1.0, False): []}
    for name, weight, decays in decayed_parameters(hamner):
        parameters.setdefault((scales[name], decays), []).append(weight)
    return torch.optim.AdamW(
        [
            {"params": weights, "weight_decay": config.weight_decay if decays else 0.0, "rate_scale": scale}
            for (scale, decays), weights in parameters.items()
            if weights
        ],
        betas=(config.beta1, config.beta2),
        fused=True,
    )


def step_unless(optimizer: torch.optim.AdamW, is_skipped: Tensor) -> None:
    """Take a step of a fused AdamW, which changes nothing where `is_skipped` () is true; nobody waits to learn it.

    In the way of torch.amp.GradScaler: the fused kernel reads `found_inf` on the device that it computes on.
    """
    optimizer.found_inf = is_skipped.float()  # type: ignore[attr-defined]
    try:
        optimizer.step()
    finally:
        del optimizer.found_inf  # type: ignore[attr-defined]


def middle_layers(num_layers: int, count: int) -> range:
    """Return the `count` consecutive 0-based layers around the middle of the stack."""
    start = (num_layers - count) // 2
    return range(start, start + count)


def rate_scales(hamner: Hamner, groups: Sequence[ParameterGroup]) -> dict[str, float]:
    """Return each named parameter's factor of the learning rate: 1 outside of all groups; the last group counts.

    Raises BadInput for a group that matches no parameter.
    """
    scales = {name: 1.0 for name, _ in hamner.named_parameters()}
    for group in groups:
        names = [name for name in scales if _is_in_group(name, group, hamner.config)]
        if not names:
            raise BadInput(f"parameter group {group} matches no parameter: use names like {next(iter(scales))}")
        scales |= dict.fromkeys(names, group.learning_rate_scale)
    return scales


def _is_in_group(name: str, group: ParameterGroup, model: ModelConfig) -> bool:
    if group.middle_layers:
        layers = middle_layers(model.num_layers, group.middle_layers)
        return name.startswith("blocks.") and int(name.split(".")[1]) in layers
    return fnmatch(name, group.parameters)


def optimizer_tensors(hamner: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimizer's moments and step counts, named after their parameters."""
    return {
        f"{name}/{key}": value
        for name, weight in hamner.named_parameters()
        for key, value in optimizer.state.get(weight, {}).items()
    }


def load_optimizer(hamner: torch.nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Load what optimizer_tensors returned."""
    weights = dict(hamner.named_parameters())
    for full_name, value in tensors.items():
        name, key = full_name.rsplit("/", 1)
        weight = weights[name]
        optimizer.state[weight][key] = value.to(weight.device)
