"""Early stopping by patience: the best of the held-out losses so far, and whether to stop waiting for a better one."""

from __future__ import annotations

import math
from collections.abc import Sequence


def best_index(losses: Sequence[float]) -> int | None:
    """The index of the lowest finite loss, of equal ones the first; None where there is none."""
    finite = [index for index, loss in enumerate(losses) if math.isfinite(loss)]
    return min(finite, key=lambda index: losses[index]) if finite else None


def is_over(losses: Sequence[float], patience: int) -> bool:
    """Whether the last `patience` losses have all failed to be the best so far."""
    best = best_index(losses)
    return len(losses) - 1 - (-1 if best is None else best) >= patience
