"""Distributed data-parallel training (DDP): rank, world size, and what the workers of a group tell each other.

Outside a torch.distributed group a process is rank 0 of a world of one, and every function here is a local one.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def is_distributed() -> bool:
    """Whether this process is one of the workers of a torch.distributed group."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def rank() -> int:
    """The number of this worker, counted from 0."""
    return torch.distributed.get_rank() if is_distributed() else 0


def world_size() -> int:
    """The number of workers."""
    return torch.distributed.get_world_size() if is_distributed() else 1


def worker_share(rows: Tensor) -> Tensor:
    """Of rows (n, ...) those of this worker: every world_size-th from its rank on; none may be left for it."""
    return rows[rank() :: world_size()]


def sum_over_workers(values: Tensor) -> Tensor:
    """Add `values` up over all workers, in place (all-reduce); returns `values`."""
    if is_distributed():
        torch.distributed.all_reduce(values)
    return values


def broadcast_tensor(values: Tensor) -> Tensor:
    """Overwrite `values` with those of rank 0, in place; returns `values`. NCCL needs them on the card."""
    if is_distributed():
        torch.distributed.broadcast(values, src=0)
    return values


def broadcast_object(value: T) -> T:
    """The value that rank 0 passes in, in all workers; it must be possible to pickle it."""
    if not is_distributed():
        return value
    values = [value]
    torch.distributed.broadcast_object_list(values, src=0)
    return values[0]
