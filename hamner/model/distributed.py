"""Distributed data-parallel training (DDP): rank, world size and the share of each worker."""

from __future__ import annotations

import torch
from torch import Tensor


def is_distributed() -> bool:
    """Return whether this process is one worker of a torch.distributed group."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def rank() -> int:
    """Return this worker's number, counted from 0."""
    return torch.distributed.get_rank() if is_distributed() else 0


def world_size() -> int:
    """Return how many workers train together; 1 outside of a group."""
    return torch.distributed.get_world_size() if is_distributed() else 1


def broadcast(value: str) -> str:
    """Return rank 0's value in every worker."""
    if world_size() == 1:
        return value
    values = [value]
    torch.distributed.broadcast_object_list(values, src=0)
    return values[0]


def in_a_group() -> bool:
    """Whether several workers evaluate together."""
    return is_distributed()


def workers_share(rows: Tensor) -> Tensor:
    """This worker's share of rows (n, ...)."""
    return rows[rank() :: world_size()]
