"""Design of a round (two-way layout): which contestant ran with which seed index, and what losses say of means; pure.

The model, of contestants and shifts of seed indices, is that of uncertainty.py; here are its linear maps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # loaded where a round is decided; Ray's start need not wait for it
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, eq=False)
class Design:
    """Which contestant ran with which seed index: the linear maps from n losses, contestant by contestant."""

    means: Array  # [C, n] to the least-squares means, at the mean of the shifts
    shifts: Array  # [S, n] to the shifts, which sum to 0
    residuals: Array  # [n, n]
    owners: np.ndarray[Any, np.dtype[np.intp]]  # [n] the contestant of each loss
    starts: np.ndarray[Any, np.dtype[np.intp]]  # [C] place of each contestant's first loss
    rank: int  # parameters of the model
    is_paired: bool

    def shift_variance(self, values: Array, pooled: float) -> float:
        """Variance of the shifts, by the method of moments: what the fitted ones have beyond their own error."""
        count = len(self.shifts) - 1
        if not self.is_paired or count < 1:
            return 0.0
        return max(0.0, float(((self.shifts @ values) ** 2).sum() - pooled * (self.shifts**2).sum()) / count)


@lru_cache(maxsize=64)
def design_of(seeds: tuple[tuple[int, ...], ...]) -> Design:
    """The design of contestants that ran with these seed indices.

    Shifts are left out where they cannot be told from contestants, or would leave nothing to tell the noise from: then
    the noise includes them.
    """
    import numpy as np

    owners = np.repeat(np.arange(len(seeds)), [len(of_one) for of_one in seeds])
    starts = np.searchsorted(owners, np.arange(len(seeds)))
    contestants = np.eye(len(seeds))[owners]
    order = sorted({seed for of_one in seeds for seed in of_one})
    # coded so that the shifts sum to 0: the last is minus the sum of the others
    coding = np.vstack([np.eye(len(order) - 1), -np.ones(len(order) - 1)])
    columns = coding[[order.index(seed) for of_one in seeds for seed in of_one]]
    both = np.hstack([contestants, columns])
    rank = int(np.linalg.matrix_rank(both))
    is_paired = rank == both.shape[1] < len(owners)
    matrix = both if is_paired else contestants
    solution = np.asarray(np.linalg.pinv(matrix), np.float64)
    shifts = coding @ solution[len(seeds) :] if is_paired else np.zeros((len(order), len(owners)))
    residuals = np.eye(len(owners)) - matrix @ solution
    return Design(solution[: len(seeds)], shifts, residuals, owners, starts, matrix.shape[1], is_paired)


class SeedErrors:
    """How far differences of contestants move with other seeds: contestants' variances, as the design weighs them."""

    def __init__(self, design: Design, variances: Array, df: Array) -> None:
        """variances, df: [C] of one seed of each contestant."""
        self._design, self._variances, self._df = design, variances, df

    def parts(self, a: int, b: int) -> list[tuple[float, float]]:
        """Variance of the difference of two contestants by whose noise it is, each with its degrees of freedom."""
        import numpy as np

        means, starts = self._design.means, self._design.starts
        weights = np.add.reduceat((means[a] - means[b]) ** 2, starts)
        rows = zip((weights * self._variances).tolist(), self._df.tolist(), strict=True)
        return [row for row in rows if row[0] > 0]

    def covariance(self) -> Array:
        """[C, C] nats² per token²."""
        means = self._design.means
        return (means * self._variances[self._design.owners]) @ means.T
