"""Posterior probability of being the best (ranking and selection, Bayesian): every contestant of a league, the cut too.

In: of each round, the mean losses of its contestants, the covariance of those means and its degrees of freedom. Out: of
each contestant P(best of all) and expected regret in nats, both about true losses at the league's end.

The model is a hierarchical normal one, its widths unknown and integrated over:

    true loss at the end          θ_i = μ + q_i,                 q_i ~ N(0, τ²)
    true loss at round r's end    θ_ir = μ_r + q_i + w_ir + … + w_i,R-1,   w_ir ~ N(0, δ_r²): ranks drift between rounds
    what was measured             y_ir = θ_ir + error,           error ~ N(0, covariance · df / χ²(df))

The error of one run may last from round to round: its correlation ρ is unknown, probably small, and weighted by what
runs show of it that played two rounds in a row. What the held-out text adds lasts, since all rounds read the same.

A contestant that was cut in round r has the evidence of the rounds up to r. How much later rounds would have changed
it, δ, is read off those that played them. Which contestants went on depends on measured losses alone, all of which are
here, so the choice biases nothing (missing at random, Rubin 1976). Widths are drawn from their priors and weighted by
the likelihood of the contrasts of each round (REML: μ_r is free). These priors were chosen among a few by simulated
leagues with and without drift (results/reference/verdict.md). Seeded.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

DRAWS = 4096  # of the widths
SAMPLES_PER_DRAW = 4  # of the true losses
WIDEST_FIELD = 3.0  # prior: τ² is uniform, τ at most so many standard deviations of round 1's means
DRIFT_PROBABILITY = 0.15  # prior: that ranks drift between rounds at all
DRIFT_WIDTH = 0.5  # ... and then how far: half-Cauchy (Gelman 2006) of so many of these
CHUNK_BYTES = 2**28  # of covariances at a time: up to 45 contestants all draws at once
LASTING_POWER = 4  # prior: ρ is a uniform number to this power, 0.2 on average; between rounds of a real league 0.1
NOISE_JUMP = 0.3  # prior: scale of log(seed noise of a round / that of the round before), of which
NOISE_JUMP_DF = 3  # ... this makes far jumps possible: Student's t, since in real leagues the noise falls, once by half


@dataclass(frozen=True, eq=False)
class RoundEvidence:
    """What one round measured of the contestants that came to its end.

    Only contrasts of the means count: a constant added to all, or to the whole covariance, changes nothing.
    """

    names: Sequence[str]  # k contestants
    means: Array  # (k,) mean loss over seeds, nats per token
    covariance: Array  # (k, k) of the means, with other seeds
    df: float  # degrees of freedom of the covariance's scale; 0: unknown, and taken for drift
    spreads: Array  # (k,) standard deviation of one seed of each contestant, less what it moves all by
    seeds: Sequence[int]  # (k,) seeds that each mean is of; those of an earlier round are among those of a later one
    text_covariance: Array | None = None  # (k, k) of the means, with other held-out documents
    losses: Mapping[str, Mapping[int, float]] = field(default_factory=dict)  # of runs, by contestant and seed index


@dataclass(frozen=True)
class Chance:
    """Of one contestant: the probability that none is better, and its expected loss beyond the best's, nats."""

    best: float
    regret: float


@dataclass(frozen=True)
class BestOfAll:
    """What a league says of all its contestants. Widths are medians, nats per token."""

    chances: dict[str, Chance]
    spread: float  # standard deviation of the true losses at the league's end: τ
    drift: tuple[float, ...]  # of each round: standard deviation of true losses there less those at the end


def best_of_all(rounds: Sequence[RoundEvidence], *, draws: int = DRAWS, seed: int = 0) -> BestOfAll | None:
    """P(best of all) and expected regret of each contestant of the first round.

    None where the last round's seed noise is unknown: nothing can be said then. Raises ValueError for a round whose
    contestants were not in the one before.
    """
    if not rounds or rounds[-1].df <= 0:
        return None
    names = list(rounds[0].names)
    for before, after in itertools.pairwise(rounds):
        strangers = set(after.names) - set(before.names)
        if strangers:
            raise ValueError(f"{', '.join(sorted(strangers))} played a round but not the one before")
    if len(names) == 1:
        return BestOfAll({names[0]: Chance(1.0, 0.0)}, 0.0, (0.0,) * len(rounds))
    rng = np.random.default_rng(seed)
    variances, coefficients, prior = _draw_widths(rounds, draws, rng)
    model = _Model(rounds, names)
    means, covariances, likelihood = _posterior(model, variances, coefficients)
    chosen = _resample(prior + likelihood, SAMPLES_PER_DRAW * draws, rng)
    losses = means[chosen]  # (S, N) true losses at the end, less the field's mean
    unit = rng.standard_normal((len(chosen), len(names), 1))
    for part in _slices(len(chosen), model.size):
        alive, of_sample = np.unique(chosen[part], return_inverse=True)
        here = model.posterior(variances[alive], coefficients[alive])[1] if covariances is None else covariances[alive]
        losses[part] += (_square_roots(here)[of_sample] @ unit[part])[:, :, 0]
    best = losses.argmin(axis=1)
    regrets = (losses - losses.min(axis=1, keepdims=True)).mean(axis=0)
    chances = {name: Chance(float((best == i).mean()), float(regrets[i])) for i, name in enumerate(names)}
    drifts = np.sqrt(np.cumsum(coefficients[chosen, : len(rounds) - 1][:, ::-1], axis=1)[:, ::-1])
    drift = (*map(float, np.median(drifts, axis=0)), 0.0)
    return BestOfAll(chances, float(np.median(np.sqrt(variances[chosen]))), drift)


def _slices(count: int, size: int) -> list[slice]:
    """Slices of so many draws that have CHUNK_BYTES of matrices (size, size) each, or less."""
    length = max(1, CHUNK_BYTES // (8 * size**2))
    return [slice(first, min(first + length, count)) for first in range(0, count, length)]


def _posterior(model: _Model, variances: Array, coefficients: Array) -> tuple[Array, Array | None, Array]:
    """Of each draw mean, covariance and log likelihood; the covariances are None where they would be too many bytes."""
    parts = _slices(len(variances), model.size)
    if len(parts) == 1:
        return model.posterior(variances, coefficients)
    means, likelihood = [], []
    for part in parts:
        mean, _, of_part = model.posterior(variances[part], coefficients[part])
        means.append(mean)
        likelihood.append(of_part)
    return np.concatenate(means), None, np.concatenate(likelihood)


def _resample(likelihood: Array, samples: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Indices of so many draws by their likelihood; systematic, which is less noisy than one by one."""
    cumulative = np.cumsum(np.exp(likelihood - likelihood.max()))
    places = (np.arange(samples) + rng.random()) / samples * cumulative[-1]
    return np.minimum(np.searchsorted(cumulative, places), len(likelihood) - 1)


def _draw_widths(rounds: Sequence[RoundEvidence], draws: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Draws from the priors: τ² (draws,), coefficients (draws, T) of the model's other terms, log weights (draws,).

    Terms: δ² of each round but the last, the noise of each round, and what of it two rounds have in common.
    """
    scale = max(float(np.std(rounds[0].means, ddof=1)), 1e-12)

    def strata() -> Array:
        return (rng.permutation(draws) + rng.random(draws)) / draws

    def half_cauchy(width: float) -> Array:
        return width * np.tan(np.pi / 2 * strata())

    spread = WIDEST_FIELD * scale * np.sqrt(strata())
    do_ranks_drift = strata() < DRIFT_PROBABILITY
    # where the noise is unknown, drift stands for it
    drifts = [np.where(do_ranks_drift | (row.df <= 0), half_cauchy(DRIFT_WIDTH * scale), 0.0) for row in rounds[:-1]]
    noise = [row.df / rng.chisquare(row.df, draws) if row.df > 0 else np.zeros(draws) for row in rounds]
    lasting = strata() ** LASTING_POWER
    pairs = [lasting * (noise[a] * noise[b]) ** 0.5 for a, b in itertools.combinations(range(len(rounds)), 2)]
    logs = [0.5 * np.log(n * _seed_variance(row)) for row, n in zip(rounds, noise, strict=True) if row.df > 0]
    weight = np.zeros(draws)
    for before, after in itertools.pairwise(logs):
        weight -= (NOISE_JUMP_DF + 1) / 2 * np.log1p(((after - before) / NOISE_JUMP) ** 2 / NOISE_JUMP_DF)
    for early, late in itertools.pairwise(zip(rounds, noise, strict=True)):
        weight += _lasting_likelihood(early, late, lasting)
    coefficients = np.stack([*(drift**2 for drift in drifts), *noise, *pairs], axis=1)
    return spread**2, coefficients, weight


def _lasting_likelihood(
    before: tuple[RoundEvidence, Array], after: tuple[RoundEvidence, Array], lasting: Array
) -> Array | float:
    """Log likelihood of each draw's ρ: do runs that were lucky in one round have luck in the next?

    before, after: a round and draws of its noise. Residuals of contestants and seeds that played both are normal in
    pairs. The draws of the noise have used each round's variance already, so this is the density relative to that of
    ρ = 0; 0 where fewer than two contestants or two seeds played both rounds.
    """
    (early, early_noise), (late, late_noise) = before, after
    names, seeds = _in_both(early, late)
    if min(len(names), len(seeds)) < 2 or min(early.df, late.df) <= 0:
        return 0.0
    a, b = (_residuals(row, names, seeds) for row in (early, late))
    own = (a * a).sum() / early_noise + (b * b).sum() / late_noise
    both = (a * b).sum() / np.sqrt(early_noise * late_noise)
    df, rest = (len(names) - 1) * (len(seeds) - 1), np.maximum(1 - lasting**2, 1e-6)
    return -0.5 * (df * np.log(rest) + (own - 2 * lasting * both) / rest - own)


def _in_both(early: RoundEvidence, late: RoundEvidence) -> tuple[list[str], list[int]]:
    """Contestants and seeds of which every run has played both rounds: all contestants, or those that lost no run."""
    of = {name: {*early.losses[name]} & {*late.losses[name]} for name in late.losses if name in early.losses}
    if not of:
        return [], []
    some, every = set.intersection(*of.values()), set.union(*of.values())
    whole = [name for name, seeds in of.items() if seeds == every]
    choices = ([*of], sorted(some)), (whole, sorted(every))
    return max(choices, key=lambda choice: (len(choice[0]) - 1) * (len(choice[1]) - 1))


def _residuals(row: RoundEvidence, names: Sequence[str], seeds: Sequence[int]) -> Array:
    """(names, seeds): losses without what a contestant or a seed does to them, in the contestant's own spreads.

    What a seed does to all is a mean weighted by 1 / spread², so that one that spreads far disturbs none of the others.
    """
    losses = np.array([[row.losses[name][seed] for seed in seeds] for name in names])
    spreads = np.maximum(row.spreads[[row.names.index(name) for name in names]], 1e-12)[:, None]
    rest, weights = losses - losses.mean(axis=1, keepdims=True), (spreads.min() / spreads) ** 2
    return (rest - (weights * rest).sum(axis=0) / weights.sum()) / spreads


def _seed_variance(row: RoundEvidence) -> float:
    """Variance of one seed of the mean contestant, nats² per token²."""
    return max(float(np.mean(np.square(row.spreads))), 1e-24)


class _Model:
    """The normal model given its widths. M measured means in all, m contrasts of them, N contestants."""

    def __init__(self, rounds: Sequence[RoundEvidence], names: Sequence[str]) -> None:
        sizes = [len(row.names) for row in rounds]
        place = {name: index for index, name in enumerate(names)}
        self._who = np.eye(len(names))[[place[name] for row in rounds for name in row.names]]  # (M, N)
        of_round = np.repeat(np.arange(len(rounds)), sizes)  # (M,)
        contrasts = _block_diagonal([_contrasts(size) for size in sizes])
        same = self._who @ self._who.T
        terms = [same * np.outer(of_round <= index, of_round <= index) for index in range(len(rounds) - 1)]
        terms += [_in_block(row.covariance, of_round == index) for index, row in enumerate(rounds)]
        spreads, seeds = (
            np.concatenate(column) for column in zip(*((r.spreads, r.seeds) for r in rounds), strict=True)
        )
        common = same * np.outer(spreads, spreads) / np.maximum.outer(seeds, seeds)
        for pair in itertools.combinations(range(len(rounds)), 2):
            a, b = (of_round == index for index in pair)
            terms.append(common * (np.outer(a, b) | np.outer(b, a)))
        self._contrasts = contrasts
        self._same = contrasts @ same @ contrasts.T  # (m, m)
        self._terms = np.array([contrasts @ term @ contrasts.T for term in terms])  # (T, m, m)
        self._text = contrasts @ _text_covariance(rounds, place) @ contrasts.T
        self._seen = contrasts @ np.concatenate([row.means for row in rounds])  # (m,)
        self.size = len(self._seen)  # m

    def posterior(self, spread: Array, coefficients: Array) -> tuple[Array, Array, Array]:
        """Of each draw: mean (N,) of q, its covariance (N, N), and the log likelihood."""
        size, count = self.size, self._who.shape[1]
        covariance = spread[:, None, None] * self._same + np.tensordot(coefficients, self._terms, 1) + self._text
        # where two seeds came out equal, or a width is far beyond all others
        ridge = 1e-10 * np.trace(covariance, axis1=1, axis2=2) / size + 1e-24
        covariance += ridge[:, None, None] * np.eye(size)
        to_truth = self._contrasts @ self._who  # (m, N); times τ²: covariance of contrasts and q
        right = np.column_stack([self._seen, to_truth])
        solved = np.linalg.solve(covariance, np.broadcast_to(right, (len(spread), *right.shape)))
        means = spread[:, None] * (to_truth.T @ solved[:, :, :1])[:, :, 0]
        shrunk = np.eye(count) - spread[:, None, None] * (to_truth.T @ solved[:, :, 1:])
        squares = (self._seen[None, :] * solved[:, :, 0]).sum(axis=1)
        return means, spread[:, None, None] * shrunk, -0.5 * (np.linalg.slogdet(covariance)[1] + squares)


def _square_roots(covariances: Array) -> Array:
    """The symmetric roots of covariances (D, N, N), which may be singular, but for rounding errors."""
    values, vectors = np.linalg.eigh((covariances + covariances.transpose(0, 2, 1)) / 2)
    roots = (vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]) @ vectors.transpose(0, 2, 1)
    return np.asarray(roots, np.float64)


def _contrasts(size: int) -> Array:
    """(size - 1, size) orthonormal rows, each of sum 0."""
    centred = np.eye(size) - 1 / size
    return np.linalg.svd(centred)[2][: size - 1]


def _block_diagonal(blocks: Sequence[Array]) -> Array:
    rows, columns = sum(len(block) for block in blocks), sum(block.shape[1] for block in blocks)
    whole = np.zeros((rows, columns))
    row = column = 0
    for block in blocks:
        whole[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return whole


def _in_block(covariance: Array, is_in: npt.NDArray[np.bool_]) -> Array:
    """A round's covariance at its place among all means."""
    whole = np.zeros((len(is_in), len(is_in)))
    whole[np.ix_(is_in, is_in)] = covariance
    return whole


def _text_covariance(rounds: Sequence[RoundEvidence], place: Mapping[str, int]) -> Array:
    """(M, M): what other documents would change. Of two rounds, along the same directions in the field."""
    roots = []
    for row in rounds:
        places = [place[name] for name in row.names]
        whole = np.zeros((len(place), len(place)))
        if row.text_covariance is not None:
            whole[np.ix_(places, places)] = row.text_covariance
        roots.append(_square_roots(whole[None])[0][places])
    together = np.concatenate(roots)
    return together @ together.T
