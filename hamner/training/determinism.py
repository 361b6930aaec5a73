"""Determinism on a card (reproducibility): how a process sets PyTorch up before it trains.

Data in: the `compute` section. Data out: PyTorch's own switches, for the whole process. A CPU takes sums in one order
as it is, and nothing is set there. docs/card.md says what is promised and what it costs.
"""

from __future__ import annotations

import os

import torch

from hamner.config.schema import Compute
from hamner.runs.card_environment import card_environment


def prepare_device(compute: Compute) -> None:
    """Set PyTorch up for this run's card; call it before anything is on the card.

    With compute.deterministic an operation that has no deterministic kernel raises RuntimeError, and torch.compile
    chooses its kernels without timing them. fp32 stays fp32: no product is rounded to TF32.
    """
    if compute.device == "cpu":
        return
    os.environ.update(card_environment(compute))
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # writes for nothing
    torch.use_deterministic_algorithms(compute.deterministic)
    torch.set_float32_matmul_precision("highest")
