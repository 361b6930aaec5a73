"""Figures of a report card (metrics): a value, its standard error, and what guessing scores, from single marks.

In: marks of items, numbers of replies. Out: Figures, which are rows of a table and of a JSON file. Plain numbers in and
out; nothing here knows a model.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from hamner.evaluation.statistics import clustered_error

Z95 = 1.959963984540054  # standard errors on each side of a mean that 95 % of a normal distribution lie within


@dataclass(frozen=True)
class Figure:
    """One number of the card."""

    section: str
    name: str
    value: float
    error: float | None  # standard error; None of a maximum, which has none
    guess: float | None  # what guessing scores; None where there is nothing to guess
    unit: str  # share, nats/token, bits/byte, tokens
    count: int  # items behind the number
    items: str  # what they are
    better: Literal["higher", "lower", ""] = ""  # which way is good; "" where neither is
    note: str = ""

    @property
    def errors_above(self) -> float | None:
        """How many standard errors the value is better than guessing; negative where it is worse."""
        if self.guess is None or not self.error or not self.better:
            return None
        gap = self.value - self.guess
        return (gap if self.better == "higher" else -gap) / self.error

    @property
    def row(self) -> dict[str, Any]:
        """The figure as JSON holds it; a number that is not finite is null."""
        values = {**asdict(self), "errors_above": self.errors_above}
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in values.items()
        }


def share_error(right: int, count: int) -> float:
    """Standard error of a share of items that are right or wrong independently of each other.

    Half the width of Wilson's interval (1927) at 95 %, over 1.96: unlike sqrt(p (1 - p) / n) it is not 0 where all
    items or none are right.
    """
    from scipy.stats import binomtest

    interval = binomtest(right, count).proportion_ci(method="wilson")
    return float(interval.high - interval.low) / (2 * Z95)


def clustered_share_error(marks: Sequence[float], clusters: Sequence[Hashable]) -> float:
    """Standard error of the mean of marks from 0 to 1, where those of one cluster hang together.

    Where every cluster has the same mean, so that nothing scatters, that of independent clusters that all agree.
    """
    sums, counts = defaultdict[Hashable, float](float), defaultdict[Hashable, int](int)
    for mark, cluster in zip(marks, clusters, strict=True):
        sums[cluster] += mark
        counts[cluster] += 1
    error = clustered_error(list(sums.values()), list(counts.values()))
    return error if error > 1e-12 else share_error(0, len(counts))


def mean_error(values: Sequence[float]) -> float:
    """Standard error of the mean of independent values; infinite for a single one."""
    return clustered_error(values, [1] * len(values))


def median_error(values: Sequence[float]) -> float:
    """Standard error of the median (Maritz & Jarrett 1978); infinite for a single value."""
    from scipy.stats import mstats

    return float(mstats.mjci(sorted(values), prob=[0.5])[0]) if len(values) > 1 else math.inf


def jackknife_error(values: Sequence[Any], statistic: Callable[[Sequence[Any]], float]) -> float:
    """Standard error of a statistic of independent values (Quenouille 1956): from leaving out each of them once."""
    count = len(values)
    if count < 2:
        return math.inf
    without = [statistic([*values[:i], *values[i + 1 :]]) for i in range(count)]
    mean = math.fsum(without) / count
    return math.sqrt((count - 1) / count * math.fsum((value - mean) ** 2 for value in without))


def share(
    section: str,
    name: str,
    marks: Sequence[float],
    items: str,
    *,
    guess: float | None = None,
    better: Literal["higher", "lower", ""] = "higher",
    clusters: Sequence[Hashable] | None = None,
    note: str = "",
) -> Figure:
    """The figure of marks from 0 (wrong) to 1 (right); 0.5 is a tie. clusters: of each mark, where some hang together.

    Raises ValueError without any mark.
    """
    if not marks:
        raise ValueError(f"{section}, {name}: no items")
    value = math.fsum(marks) / len(marks)
    if clusters is None:
        clusters = range(len(marks))
    is_plain = len(set(clusters)) == len(marks) and set(marks) <= {0, 1}
    error = share_error(int(sum(marks)), len(marks)) if is_plain else clustered_share_error(marks, clusters)
    return Figure(section, name, value, error, guess, "share", len(marks), items, better, note)
