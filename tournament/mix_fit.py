"""Data mixing law (RegMix, Ye et al. 2024): a log-linear fit of each source's held-out loss, and the mix it proposes.

    log loss_i = sum over sources j of b_ij · share_j + error_i

Shares sum to 1, so no constant is needed (a mixture model of Scheffé 1958). Least squares for each source. The errors
of one run are correlated between sources; their covariance over runs makes the interval of a target loss, which is a
weighted sum of the sources' (delta method). Pure numbers, no torch.
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
    coefficients: Array  # (S, m), nats in logarithm
    spread: Array  # (S, S), inverse of the shares' products
    covariance: Array  # (m, m) of the errors of log losses within one run
    df: int

    def predict(self, mix: Mix) -> dict[str, float]:
        """The held-out loss of each source, nats per token."""
        logs = self._shares(mix) @ self.coefficients
        return dict(zip(self.losses, np.exp(logs).tolist(), strict=True))

    def target_loss(self, mix: Mix, target: Mix) -> Prediction:
        """The loss of the target mix, and how far one run of `mix` may lie from it."""
        from scipy.stats import t

        shares, losses = self._shares(mix), self.predict(mix)
        slopes = np.array([target.get(name, 0.0) * losses[name] for name in self.losses])
        variance = float(slopes @ self.covariance @ slopes) * (1 + float(shares @ self.spread @ shares))
        loss = sum(share * losses[name] for name, share in target.items())
        return Prediction(loss, float(t.ppf((1 + CONFIDENCE) / 2, self.df)) * variance**0.5)

    def _shares(self, mix: Mix) -> Array:
        return np.array([mix.get(name, 0.0) for name in self.sources])


def fewest_mixes(sources: int) -> int:
    """Mixes that a fit over so many sources needs."""
    return sources + SPARE_MIXES


def fit_law(mixes: Sequence[Mix], losses: Sequence[Mapping[str, float]]) -> MixingLaw | None:
    """The law of these mixes and their held-out losses; None for too few, or too alike, to tell the sources apart."""
    sources = tuple(dict.fromkeys(name for mix in mixes for name in mix))
    shares = np.array([[mix.get(name, 0.0) for name in sources] for mix in mixes])
    if len(mixes) < fewest_mixes(len(sources)) or np.linalg.matrix_rank(shares) < len(sources):
        return None
    names = tuple(losses[0])
    logs = np.log(np.array([[row[name] for name in names] for row in losses]))
    coefficients = np.linalg.lstsq(shares, logs, rcond=None)[0]
    rest, df = logs - shares @ coefficients, len(mixes) - len(sources)
    return MixingLaw(sources, names, coefficients, np.linalg.inv(shares.T @ shares), rest.T @ rest / df, df)


def propose(law: MixingLaw, mixes: Sequence[Mix], target: Mix) -> dict[str, float]:
    """The mix with the least predicted target loss among those between the mixes that were trained (their hull).

    The predicted loss is convex in the shares, so what is found is the least one.
    """
    from scipy.optimize import minimize

    corners = np.array([[mix.get(name, 0.0) for name in law.sources] for mix in mixes])
    logs = corners @ law.coefficients  # (n, m)
    shares_of_target = np.array([target.get(name, 0.0) for name in law.losses])

    def loss(weights: Array) -> float:
        return float(np.exp(weights @ logs) @ shares_of_target)

    def slope(weights: Array) -> Array:
        return np.asarray(logs @ (np.exp(weights @ logs) * shares_of_target), dtype=np.float64)

    begin = np.full(len(mixes), 1 / len(mixes))
    sum_to_1 = {"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": np.ones_like}
    best = minimize(
        loss, begin, jac=slope, bounds=[(0, 1)] * len(mixes), constraints=[sum_to_1], options={"maxiter": 500}
    ).x.clip(0)
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
