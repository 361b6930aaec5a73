"""Learning-rate schedules: warmup, constant, cosine and linear decay, as plain functions of the step."""

from __future__ import annotations

import math


def warmup_constant(step: int, rate: float, warmup_steps: int) -> float:
    """Return the rate of 0-based `step`: a straight rise over `warmup_steps`, then constant."""
    return rate * min(1.0, (step + 1) / warmup_steps) if warmup_steps else rate


def cosine(step: int, length: int, floor: float) -> float:
    """Return the factor of the peak rate at 0-based `step`: half a cosine from 1 to `floor` over `length` steps."""
    return floor + (1 - floor) * (1 + math.cos(math.pi * step / length)) / 2


def linear_decay(step: int, start: int, end: int) -> float:
    """Return the factor of the rate at `step`: a straight line from 1 at `start` to 0 at `end`."""
    return 1 - (step - start) / (end - start)
