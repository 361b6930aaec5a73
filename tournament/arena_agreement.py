"""Agreement of an automatic metric with human votes: how often the friend with the better figure was preferred.

Plain numbers in and out. Ties, and votes on friends whose figures are equal or missing, say nothing and are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hamner.evaluation.bradley_terry import Duel


@dataclass(frozen=True)
class Agreement:
    """A figure of the friend card beside the votes."""

    section: str
    figure: str
    values: Mapping[int, float]  # of each friend that has it
    votes: int  # that it is compared with
    agreed: int
    low: float  # 95 % interval of the share (Wilson 1927)
    high: float

    @property
    def share(self) -> float:
        """Of the votes, how many went to the friend with the better figure; 0.5 is chance."""
        return self.agreed / self.votes


def figure_agreement(
    duels: Sequence[Duel], section: str, figure: str, better: str, values: Mapping[int, float]
) -> Agreement:
    """better: "higher" or "lower"."""
    from scipy.stats import binomtest

    votes = agreed = 0
    for first, second, outcome in duels:
        if outcome == "tie" or first not in values or second not in values or values[first] == values[second]:
            continue
        votes += 1
        is_first_better = (values[first] > values[second]) == (better == "higher")
        agreed += is_first_better == (outcome == "first")
    interval = binomtest(agreed, votes).proportion_ci(method="wilson") if votes else None
    low, high = (float(interval.low), float(interval.high)) if interval else (0.0, 1.0)
    return Agreement(section, figure, values, votes, agreed, low, high)
