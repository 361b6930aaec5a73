"""Sharing a card (CUDA MPS, time slicing): how many runs of a league train on one card at a time.

Without NVIDIA's Multi-Process Service processes take turns on a card, and a second one only fills what the first leaves
idle: while it starts, compiles, evaluates or writes a checkpoint. With it their kernels run side by side. Both numbers
are guesses until they are measured on a card.

Data in: the `compute` section, the service's folder. Data out: a number of runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from hamner.config.schema import Compute

TAKING_TURNS, SIDE_BY_SIDE = 2, 4  # runs that pay on one card: without the service, and with it
PIPES, PIPES_DEFAULT = "CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps"  # where its processes meet
PROCESS_FILE = "nvidia-cuda-mps-control.pid"


def runs_per_card(compute: Compute, environment: Mapping[str, str] = os.environ) -> int:
    """Runs that share one card at most, if memory allows: compute.runs_per_card, or by whether the service runs."""
    if compute.runs_per_card:
        return compute.runs_per_card
    return SIDE_BY_SIDE if has_mps(environment) else TAKING_TURNS


def has_mps(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the Multi-Process Service (`nvidia-cuda-mps-control -d`) runs where CUDA would look for it."""
    path = Path(environment.get(PIPES) or PIPES_DEFAULT) / PROCESS_FILE
    try:
        os.kill(int(path.read_text(encoding="ascii")), 0)
    except PermissionError:  # another user's, such as root's
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return True
