"""Data mixing law (RegMix, Ye et al. 2024): a log-linear fit of each source's held-out loss, and the mix it proposes.

    log loss_i = sum over sources j of b_ij · share_j + c_i · √share_i + error_i

Shares sum to 1, so no constant is needed (a mixture model of Scheffé 1958). The root is the source's own share: what is
read of it first lowers its loss most, and without that term the fit ranked mixes no better than chance on real text.
Least squares for each source. The errors of one run are correlated between sources; their covariance over runs makes
the interval of a target loss, which is a weighted sum of the sources' (delta method). Pure numbers, no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
SPARE_MIXES = 3  # degrees of freedom that the residuals need at least

Mix = Mapping[str, float]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Prediction:
    """The target loss of a mix. interval: half of the 95 % interval that one run of the mix lies in."""

    loss: float
    interval: float


@dataclass(frozen=True)
class MixingLaw:
    """The fit: S sources of the mixes, m held-out losses, n mixes."""

    sources: tuple[str, ...]
    losses: tuple[str, ...]
    coefficients: Array  # (m, S + 1), of the shares and the root; nats in logarithm
    weights: Array  # (m, S + 1, n): what the log losses of the n runs weigh in the coefficients
    covariance: Array  # (m, m) of the errors of log losses within one run
    df: int

    def predict(self, mix: Mix) -> dict[str, float]:
        """The held-out loss of each source, nats per token."""
        logs = [self.regressors(mix, name) @ row for name, row in zip(self.losses, self.coefficients, strict=True)]
        return dict(zip(self.losses, np.exp(logs).tolist(), strict=True))

    def target_loss(self, mix: Mix, target: Mix) -> Prediction:
        """The loss of the target mix, and how far one run of `mix` may lie from it."""
        from scipy.stats import t

        losses = self.predict(mix)
        slopes = np.array([target.get(name, 0.0) * losses[name] for name in self.losses])
        runs = np.stack([self.regressors(mix, name) @ w for name, w in zip(self.losses, self.weights, strict=True)])
        variance = float(slopes @ (self.covariance * (1 + runs @ runs.T)) @ slopes)
        loss = sum(share * losses[name] for name, share in target.items())
        return Prediction(loss, float(t.ppf((1 + CONFIDENCE) / 2, self.df)) * variance**0.5)

    def regressors(self, mix: Mix, name: str) -> Array:
        """What the log loss of a source is linear in: (S + 1,), or (S,) where it is in no mix."""
        return regressors(np.array([mix.get(source, 0.0) for source in self.sources]), self.sources, name)


def regressors(shares: Array, sources: Sequence[str], name: str) -> Array:
    """Shares (..., S) and the root of the share of `name` (0 for a source that is in no mix): (..., S + 1)."""
    own = shares[..., sources.index(name)] if name in sources else np.zeros(shares.shape[:-1])
    return np.concatenate([shares, np.sqrt(own)[..., None]], axis=-1)


def fewest_mixes(sources: int) -> int:
    """Mixes that a fit over so many sources needs."""
    return sources + 1 + SPARE_MIXES


def fit_law(mixes: Sequence[Mix], losses: Sequence[Mapping[str, float]]) -> MixingLaw | None:
    """The law of these mixes and their held-out losses; None for too few, or too alike, to tell the sources apart."""
    sources = tuple(dict.fromkeys(name for mix in mixes for name in mix))
    shares = np.array([[mix.get(name, 0.0) for name in sources] for mix in mixes])
    if len(mixes) < fewest_mixes(len(sources)) or np.linalg.matrix_rank(shares) < len(sources):
        return None
    names, df = tuple(losses[0]), len(mixes) - len(sources) - 1
    logs = np.log(np.array([[row[name] for name in names] for row in losses]))  # (n, m)
    known = [regressors(shares, sources, name) for name in names]
    weights = np.stack([np.linalg.pinv(matrix) for matrix in known])
    coefficients = np.stack([w @ column for w, column in zip(weights, logs.T, strict=True)])
    rest = logs - np.stack([x @ row for x, row in zip(known, coefficients, strict=True)], axis=1)
    return MixingLaw(sources, names, coefficients, weights, rest.T @ rest / df, df)


def propose(law: MixingLaw, mixes: Sequence[Mix], target: Mix) -> dict[str, float]:
    """The mix with the least predicted target loss among those between the mixes that were trained (their hull).

    With a root that lowers its own loss the predicted loss is convex in the shares, so this is the least one; a fit may
    come out otherwise, so the search begins in the middle and near the best.
    """
    from scipy.optimize import minimize

    corners = np.array([[mix.get(name, 0.0) for name in law.sources] for mix in mixes])
    rows = [(share, law.coefficients[law.losses.index(name)], name) for name, share in target.items()]

    def loss(weights: Array) -> float:
        shares = (weights @ corners).clip(0)
        return float(sum(part * np.exp(regressors(shares, law.sources, name) @ row) for part, row, name in rows))

    count = len(mixes)
    alone, middle = np.eye(count), np.full(count, 1 / count)
    nearly_best = 0.5 * middle + 0.5 * min(alone, key=loss)
    sum_to_1 = {"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": np.ones_like}
    ends = [
        minimize(loss, begin, bounds=[(0, 1)] * count, constraints=[sum_to_1], options={"maxiter": 300}).x.clip(0)
        for begin in (middle, nearly_best)
    ]
    best = min(ends, key=lambda weights: loss(weights / weights.sum()))
    shares = (best / best.sum()) @ corners
    return dict(zip(law.sources, shares.tolist(), strict=True))


def left_out_losses(mixes: Sequence[Mix], losses: Sequence[Mapping[str, float]], target: Mix) -> list[float] | None:
    """The target loss of each mix as a fit over all the others predicts it; None when they are too few."""
    predicted = []
    for index in range(len(mixes)):
        law = fit_law([*mixes[:index], *mixes[index + 1 :]], [*losses[:index], *losses[index + 1 :]])
        if law is None or not {*mixes[index]} <= {*law.sources}:
            return None
        predicted.append(law.target_loss(mixes[index], target).loss)
    return predicted


def rank_correlation(predicted: Sequence[float], real: Sequence[float]) -> float:
    """Spearman's rank correlation."""
    from scipy.stats import spearmanr

    return float(spearmanr(predicted, real).statistic)
