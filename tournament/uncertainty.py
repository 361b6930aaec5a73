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
from functools import cache, cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Literal

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
FEWEST_DOCUMENTS, FEW_DOCUMENTS = 2, 6  # of a source: below, nothing is settled; below, its error is a guess

# source -> {"share": its part of the mix, "nats": [loss summed over each document], "tokens": [of each document]}
Documents = Mapping[str, Mapping[str, float | Sequence[float]]]


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
    design = _design(seeds)
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
    means = _design(tuple(tuple(of_one) for of_one in losses.values())).means @ values
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
    """Degrees of freedom of a sum of independent variances, each given with its own (Satterthwaite 1946)."""
    total = sum(part for part, _ in parts)
    uncertainty = sum(part**2 / df for part, df in parts)
    return total**2 / uncertainty if uncertainty > 0 else min(df for _, df in parts)


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


class DocumentErrors:
    """How far differences of contestants move with other held-out documents, clustered by document.

    Tokens of one document err together, so documents are what is counted (Liang & Zeger 1986): with gap g_d of document
    d between two contestants (nats, means over their seeds), its n_d tokens and N in all, m = Σ g_d / N,

        variance of a source = D / (D - 1) · Σ (g_d - m · n_d)² / N²        D documents

    and sources add up, by the square of their share. Long documents count for more, so the degrees of freedom are those
    of the effective number of documents, (Σ n²)² / Σ n⁴ - 1 (Carter, Schnepel & Steigerwald 2017).
    """

    def __init__(self, texts: Sequence[Sequence[Documents]]) -> None:
        """texts: of each contestant, the documents of its seeds."""
        self._kinds = [_kind(of_seeds) for of_seeds in texts]
        self._deviations = [
            None if kind is None else _deviations(of_seeds) for kind, of_seeds in zip(self._kinds, texts, strict=True)
        ]
        self._df = {
            source: sum(n**2 for n in tokens) ** 2 / sum(n**4 for n in tokens) - 1
            for kind in self._kinds
            for source, tokens in kind or ()
        }

    def parts(self, a: int, b: int) -> list[tuple[float, float]] | None:
        """Variance of the difference of two contestants by source, each with its degrees of freedom.

        None, which settles nothing, when a source has fewer than two documents or the documents are not the same.
        """
        one, other = self._deviations[a], self._deviations[b]
        if one is None or other is None or self._kinds[a] != self._kinds[b]:
            return None
        return [(float(((one[source] - other[source]) ** 2).sum()), self._df[source]) for source in one]

    def covariance(self) -> Array:
        """[C, C] nats² per token²; 0 for contestants that cannot be compared."""
        import numpy as np

        total = np.zeros((len(self._kinds), len(self._kinds)))
        for kind in {kind for kind in self._kinds if kind}:
            places = [place for place, other in enumerate(self._kinds) if other == kind]
            for source, _ in kind:
                rows = np.stack([deviations[source] for p in places if (deviations := self._deviations[p])])
                total[np.ix_(places, places)] += rows @ rows.T
        return total


def _kind(of_seeds: Sequence[Documents]) -> tuple[tuple[str, tuple[float, ...]], ...] | None:
    """The sources and lengths of a contestant's documents, if they are two or more and the same with every seed."""
    kinds = {tuple((source, tuple(cells["tokens"])) for source, cells in one.items()) for one in of_seeds}  # type: ignore[arg-type]
    if len(kinds) != 1:
        return None if of_seeds else ()
    (kind,) = kinds
    return kind if all(len(tokens) >= FEWEST_DOCUMENTS for _, tokens in kind) else None


def _deviations(of_seeds: Sequence[Documents]) -> dict[str, Array]:
    """source -> [D] of each document, scaled so that squared gaps between two contestants sum to the variance."""
    import numpy as np

    found = {}
    for source, cells in (of_seeds[0] if of_seeds else {}).items():
        tokens = np.asarray(cells["tokens"], float)
        nats = np.mean([one[source]["nats"] for one in of_seeds], axis=0)
        scale = float(cells["share"]) / tokens.sum() * math.sqrt(len(tokens) / (len(tokens) - 1))  # type: ignore[arg-type]
        found[source] = scale * (nats - nats.sum() / tokens.sum() * tokens)
    return found


def document_problems(texts: Sequence[Documents]) -> list[str]:
    """What a reader has to know of held-out texts with few documents in a source, one line each."""
    counts = {source: len(cells["tokens"]) for one in texts for source, cells in one.items()}  # type: ignore[arg-type]
    lines = []
    for source, count in counts.items():
        if count < FEWEST_DOCUMENTS:
            lines.append(
                f"{source}: {count} held-out document, so nothing can be settled: how far other text moves a "
                "difference cannot be told. Use more documents, or a larger eval_sequences"
            )
        elif count < FEW_DOCUMENTS:
            lines.append(
                f"{source}: {count} held-out documents; with fewer than {FEW_DOCUMENTS} a difference is hardly ever "
                "settled. Use more documents, or a larger eval_sequences"
            )
    return lines


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
        rows = zip(weights * self._variances, self._df, strict=True)
        return [(float(part), float(df)) for part, df in rows if part > 0]

    def covariance(self) -> Array:
        """[C, C] nats² per token²."""
        means = self._design.means
        return (means * self._variances[self._design.owners]) @ means.T


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
def _design(seeds: tuple[tuple[int, ...], ...]) -> Design:
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
