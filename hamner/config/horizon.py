"""Training horizon of a league, in tokens or hours: how much training the winner is meant for.

Data in: the words of tournament.horizon. Data out: a Horizon, or one line of what is wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hamner.config.errors import BadInput

MULTIPLES = {"": 1.0, "k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
LARGEST = 1e18  # tokens or hours: beyond it is no plan of anybody's


@dataclass(frozen=True)
class Horizon:
    """One of the two is given."""

    tokens: float | None = None
    hours: float | None = None


def read_horizon(words: str) -> Horizon | None:
    """None for "": the league's own end. Raises BadInput."""
    if not words:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?(?:e\d+)?)\s*(?:([kMBT]?)\s*tokens|(h|hours))\s*", words)
    number = float(match[1]) * MULTIPLES[match[2] or ""] if match else 0.0
    if not match or not 0 < number < LARGEST:
        raise BadInput(
            f"tournament.horizon = '{words}': say how much training the winner is for, as '28M tokens' or '48h', or "
            "leave it empty for the league's own end"
        )
    return Horizon(hours=number) if match[3] else Horizon(tokens=number)
