"""Learning-rate schedules: warmup, then constant, cosine or a decay to zero, as factors of the peak rate."""

from __future__ import annotations


def warmup_constant(step: int, rate: float, warmup_steps: int) -> float:
    """Rate of 0-based `step`: a straight rise over `warmup_steps`, then constant."""
    return rate * min(1.0, (step + 1) / warmup_steps) if warmup_steps else rate
