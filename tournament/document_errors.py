"""Evaluation error of a difference: standard errors clustered by held-out document, and when there are too few; pure.

In: the losses of documents under each contestant. Out: variances of differences with their degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hamner.config.errors import shortened

if TYPE_CHECKING:  # loaded where a round is decided; Ray's start need not wait for it
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]

FEWEST_DOCUMENTS, FEW_DOCUMENTS = 2, 6  # of a source: below, nothing is settled; below, its error is a guess

# source -> {"share": its part of the mix, "nats": [loss summed over each document], "tokens": [of each document]}
Documents = Mapping[str, Mapping[str, float | Sequence[float]]]
MOST = 2**53  # of any of these numbers


def checked_documents(value: Any) -> Documents:
    """The value of a file, where it is what a run reports. Raises ValueError, KeyError or TypeError where it is not."""
    for source, cells in dict(value).items():
        nats, tokens = cells["nats"], cells["tokens"]
        if not all(type(number) in (int, float) and abs(number) < MOST for number in (cells["share"], *nats, *tokens)):
            raise ValueError(f"{shortened(source)}: share, nats and tokens are finite numbers")
        if len(nats) != len(tokens) or (tokens and not sum(tokens)):
            raise ValueError(f"{shortened(source)}: {len(nats)} losses of {len(tokens)} documents")
    documents: Documents = value
    return documents


class DocumentErrors:
    """How far differences of contestants move with other held-out documents, clustered by document.

    Tokens of one document err together, so documents are what is counted (Liang & Zeger 1986): with gap g_d of document
    d between two contestants (nats, means over their seeds), its n_d tokens and N in all, m = Σ g_d / N,

        variance of a source = D / (D - 1) · Σ (g_d - m · n_d)² / N²        D documents

    (statistics.clustered_error, here for all pairs at once), and sources add up, by the square of their share. Long
    documents count for more, so the degrees of freedom are those of the effective number of documents,
    (Σ n²)² / Σ n⁴ - 1 (Carter, Schnepel & Steigerwald 2017).
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
