"""Distributed data-parallel training (DDP): rank, world size and the share of each worker."""

from __future__ import annotations

import torch
from torch import Tensor


def in_a_group() -> bool:
    """Whether several workers evaluate together."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def workers_share(rows: Tensor) -> Tensor:
    """This worker's share of rows (n, ...)."""
    return rows[torch.distributed.get_rank() :: torch.distributed.get_world_size()] if in_a_group() else rows
