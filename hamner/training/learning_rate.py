"""Learning-rate schedules: warmup, then constant, cosine or a decay to zero, as factors of the peak rate."""

from __future__ import annotations

import math


def warmup_constant(step: int, rate: float, warmup_steps: int) -> float:
    """Rate of 0-based `step`: a straight rise over `warmup_steps`, then constant."""
    return rate * min(1.0, (step + 1) / warmup_steps) if warmup_steps else rate


def cosine(step: int, length: int, floor: float) -> float:
    """Factor of the peak rate at 0-based `step`: half a cosine wave from 1 to `floor`, reached at `length`."""
    return floor + (1 - floor) * (1 + math.cos(math.pi * step / length)) / 2


def linear_decay(step: int, start: int, end: int) -> float:
    """Factor of the rate at 0-based `step`, start <= step <= end: a straight line from 1 to 0, reached at `end`."""
    return 1 - (step - start) / (end - start)
