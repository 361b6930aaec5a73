"""Environment variables of a process that trains on a card (CUDA): what is read when CUDA starts, and not after.

Data in: the `compute` section. Data out: variables; none on a CPU. What the user has set for the allocator stays.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from hamner.config.schema import Compute

ALLOCATOR = "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"  # its name, and the older one, which PyTorch reads first
CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
ONE_ORDER = ":4096:8", ":16:8"  # the values with which cuBLAS takes sums in one order; the second is slower


def card_environment(compute: Compute, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that `environment` lacks.

    Segments of memory that can grow lose least to fragments where several runs fill a card.
    """
    if compute.device == "cpu":
        return {}
    variables = {}
    if not any(environment.get(name) for name in ALLOCATOR):
        variables[ALLOCATOR[0]] = "expandable_segments:True"
    if compute.deterministic and environment.get(CUBLAS) not in ONE_ORDER:
        variables[CUBLAS] = ONE_ORDER[0]
    return variables
