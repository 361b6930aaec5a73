"""Statistical significance of a cut: seed noise, least-squares means of contestants and seeds, verdict; pure.

The held-out loss of contestant c with seed index s at the end of one round, in nats per token:

    loss(c, s) = mean(c) + shift(s) + noise        noise: normal, with a standard deviation of the contestant's own

A seed index picks the same batches for all contestants, so most of what another seed does it does to all of them
(`shift`), and that cancels from every difference: a two-way analysis without interaction (Scheffé 1959, The Analysis
of Variance, ch. 4). With unequal numbers of seeds plain means do not compare; least-squares means do (Searle, Speed &
Milliken 1980). Two errors add up in the difference of two of these:

noise       training is a draw. Residuals of the model, by contestant, moderated towards all (`moderate`).
documents   a held-out text is a sample: how far the difference moves with other documents (`DocumentErrors`).

A difference is settled when so large a Studentised range (Tukey 1949) of so many equal contestants is improbable: all
pairs are compared after looking at them. Spreads are not equal, so each pair has its own error and its own degrees of
freedom (Games & Howell 1976), combined after Welch (1947) and Satterthwaite (1946).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Literal

from tournament.document_errors import DocumentErrors, Documents
from tournament.seed_design import SeedErrors, design_of

if TYPE_CHECKING:  # NumPy is loaded where a round is decided; Ray's start need not wait for it
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

Verdict = Literal["settled", "contested", "unknown"]
# Of a comparison among all of a round. A league has several rounds, and spreads are hardly ever equal: so that a cut is
# called settled anywhere in at most 8 % of leagues of equals, tests/benchmarks/verdict.py, where one spreads four times
# as far as the others.
CONFIDENCE = 0.975
FIRST_CONFIDENCE = 0.97  # of a first round that is not the last: most contestants, compared with the last that is in
PRIOR_DF = 4.0  # degrees of freedom that the pooled spread adds to a contestant's own


@dataclass(frozen=True)
class SeedNoise:
    """How far another seed moves a contestant in one round, nats per token. sd is None where that was not measured."""

    sd: float | None  # of one contestant alone, pooled over all: what a comparison is made with
    df: int
    shared_sd: float = 0.0  # of all contestants together, which cancels from a difference


@dataclass(frozen=True)
class Label:
    """The difference of two contestants in nats per token and how sure it is; positive: the second is better."""

    difference: float
    evaluation_se: float | None  # None: too few documents, or others; then nothing is settled
    standard_error: float | None
    verdict: Verdict
    df: float | None = None  # degrees of freedom of the standard error
    p_value: float | None = None  # of such a difference between equals, all pairs of the round considered


@dataclass(frozen=True, eq=False)
class Fit:
    """One round: what each contestant would have with every seed index, and how sure the differences are.

    Arrays are in the order of `names`; C contestants. covariance is that of the means without the shifts, which cancel
    from differences: the variance of one is V[a, a] + V[b, b] - 2 V[a, b]. None where no contestant was repeated.
    """

    names: tuple[str, ...]
    means: Array  # [C] least-squares means of the held-out losses, nats per token
    covariance: Array | None  # [C, C] nats² per token², of seeds and documents
    spreads: Array | None  # [C] moderated standard deviations of one seed of each contestant, its own noise alone
    noise: SeedNoise
    repeated: frozenset[str]  # contestants with two losses or more
    is_paired: bool  # whether shifts were fitted; not where contestants share too few seed indices
    documents: DocumentErrors
    _seeds: SeedErrors | None

    @cached_property
    def places(self) -> dict[str, int]:
        """name -> place in the arrays."""
        return {name: place for place, name in enumerate(self.names)}

    @cached_property
    def df(self) -> float:
        """Degrees of freedom of the covariance: the median of those of the differences to the best; inf without any."""
        import numpy as np

        best = self.names[int(np.argmin(self.means))]
        found = [df for name in self.names if name != best and (df := self.compare(name, best).df) is not None]
        return float(np.median(found)) if found else math.inf

    def compare(self, worse: str, better: str, confidence: float = CONFIDENCE) -> Label:
        """How sure it is that one contestant is worse than another."""
        a, b = self.places[worse], self.places[better]
        difference = float(self.means[a] - self.means[b])
        text = self.documents.parts(a, b)
        evaluation_se = None if text is None else math.sqrt(sum(part for part, _ in text))
        if self._seeds is None or not {worse, better} & self.repeated:
            return Label(difference, evaluation_se, None, "unknown")
        parts = self._seeds.parts(a, b)
        variance = sum(part for part, _ in parts)
        # contestants' spreads are moderated by one and the same residuals: together they know no more than those
        parts = [(variance, min(self.noise.df, satterthwaite(parts))), *(text or ())]
        df, error = satterthwaite(parts), math.sqrt(sum(part for part, _ in parts))
        statistic = math.sqrt(2) * difference / error if error > 0 else math.inf
        is_larger = difference > 1e-12  # of rounding errors
        p = studentized_range_tail(statistic, len(self.names), df) if is_larger and text is not None else 1.0
        return Label(difference, evaluation_se, error, "settled" if p < 1 - confidence else "contested", df, p)


def fit(losses: Mapping[str, Mapping[int, float]], documents: Mapping[str, Sequence[Documents]] | None = None) -> Fit:
    """Fit one round.

    losses: of each contestant, seed index -> held-out loss; at least one. documents: of each contestant, one entry a
    seed; None: as if the held-out text were all text there is.
    """
    import numpy as np

    names = tuple(losses)
    seeds = tuple(tuple(losses[name]) for name in names)
    values = np.array([loss for name in names for loss in losses[name].values()])
    repeated = frozenset(name for name, of_name in zip(names, seeds, strict=True) if len(of_name) > 1)
    design = design_of(seeds)
    text = DocumentErrors([(documents or {}).get(name, ()) for name in names])
    means = design.means @ values
    if not repeated:
        return Fit(names, means, None, None, SeedNoise(None, 0), repeated, design.is_paired, text, None)
    squares = np.add.reduceat((design.residuals @ values) ** 2, design.starts)
    own_df = np.add.reduceat(np.diag(design.residuals), design.starts)
    df = len(values) - design.rank
    pooled = float(squares.sum()) / df
    variances, dfs = moderate(squares, own_df, pooled, df)
    errors = SeedErrors(design, variances, dfs)
    noise = SeedNoise(math.sqrt(pooled), df, math.sqrt(design.shift_variance(values, pooled)))
    covariance = errors.covariance() + text.covariance()
    return Fit(names, means, covariance, np.sqrt(variances), noise, repeated, design.is_paired, text, errors)


def least_squares_means(losses: Mapping[str, Mapping[int, float]]) -> dict[str, float]:
    """The means of a fit alone. losses: of each contestant, seed index -> held-out loss; at least one."""
    values = [loss for of_one in losses.values() for loss in of_one.values()]
    means = design_of(tuple(tuple(of_one) for of_one in losses.values())).means @ values
    return dict(zip(losses, map(float, means), strict=True))


def moderate(squares: Array, own_df: Array, pooled: float, df: int) -> tuple[Array, Array]:
    """Variances of contestants, each its own moderated towards the pooled one, and their degrees of freedom.

    Empirical Bayes as in limma (Smyth 2004, Statistical Applications in Genetics and Molecular Biology 3):

        variance(c) = (d0 · pooled + squares(c)) / (d0 + own_df(c))        df(c) = min(d0 + own_df(c), df)

    squares: [C] sums of squared residuals. own_df: [C] the degrees of freedom in them. d0 is PRIOR_DF and not estimated
    as in limma, which has thousands of variances to estimate it from, where a round has ten at most.
    """
    import numpy as np

    return (PRIOR_DF * pooled + squares) / (PRIOR_DF + own_df), np.minimum(PRIOR_DF + own_df, df)


def satterthwaite(parts: Sequence[tuple[float, float]]) -> float:
    """Degrees of freedom of a sum of independent variances, each with its own (Satterthwaite 1946); inf of none."""
    total = sum(part for part, _ in parts)
    uncertainty = sum(part**2 / df for part, df in parts)
    return total**2 / uncertainty if uncertainty > 0 else min((df for _, df in parts), default=math.inf)


def studentized_range_tail(statistic: float, contestants: int, df: float) -> float:
    """Probability that the range of so many equal means, in standard errors of one of them, exceeds the statistic.

    1 below one degree of freedom: such an error is no estimate. Summed over the error's own distribution on a grid, as
    Copenhaver & Holland (1988) do, in 0.1 ms; scipy.stats.studentized_range takes seconds for the quantiles of a round,
    and fails below one degree of freedom.
    """
    if df < 1:
        return 1.0
    import numpy as np

    ranges, chances = _range_distribution(max(2, contestants))
    df = min(df, 1e6)
    scale = np.linspace(-16 / df - 4 / math.sqrt(df), 4 / math.sqrt(df), 1024)  # logarithms of error / true error
    weights = np.exp(df * (scale - np.expm1(2 * scale) / 2))
    return float(1 - np.interp(statistic * np.exp(scale), ranges, chances) @ weights / weights.sum())


@cache
def _range_distribution(contestants: int) -> tuple[Array, Array]:
    """Ranges of so many standard normal draws, and the probability of a smaller one."""
    import numpy as np
    from scipy.special import ndtr

    ranges, least = np.linspace(0, 12, 1201), np.linspace(-8, 8, 321)
    density = np.exp(-(least**2) / 2) / math.sqrt(2 * math.pi)
    others = (ndtr(least + ranges[:, None]) - ndtr(least)) ** (contestants - 1)
    return ranges, contestants * (others @ density) * (least[1] - least[0])
