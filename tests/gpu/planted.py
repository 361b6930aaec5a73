"""Planted faults, each a change to the model that the dry run must catch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import torch
from torch import Tensor

from hamner.model.attention import GroupedQueryAttention

_merge, _attend = GroupedQueryAttention.merge, GroupedQueryAttention.attend


def item(self: GroupedQueryAttention, attended: Tensor) -> Tensor:
    """Waits for a number of the card."""
    return _merge(self, attended) if attended.abs().max().item() < math.inf else attended


def cpu_tensor(self: GroupedQueryAttention, attended: Tensor) -> Tensor:
    """Adds a tensor of the host's."""
    return _merge(self, attended) + torch.zeros(attended.shape[1] * attended.shape[3], dtype=attended.dtype)


def fp32_product(self: GroupedQueryAttention, attended: Tensor) -> Tensor:
    """Multiplies in single precision."""
    return _merge(self, attended.float()).to(attended.dtype)


def square_mask(self: GroupedQueryAttention, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Makes the causal mask by hand."""
    return _attend(self, q, k, v, torch.ones(1, 1, q.shape[2], k.shape[2], dtype=q.dtype, device=q.device).tril().log())


FAULTS: dict[str, tuple[str, Callable[..., Tensor]]] = {
    "item": ("merge", item),
    "cpu_tensor": ("merge", cpu_tensor),
    "fp32_product": ("merge", fp32_product),
    "square_mask": ("attend", square_mask),
}


@contextmanager
def planted(fault: str) -> Iterator[None]:
    """The model with a fault of FAULTS; "" is none."""
    if not fault:
        yield
        return
    method, replacement = FAULTS[fault]
    with mock.patch.object(GroupedQueryAttention, method, replacement):
        yield
