"""Validation (held-out) loss: cross-entropy in nats per token, on rows that are fixed before training begins.

In: a prepared corpus and its tokenizer, then a model. Out: a HeldoutResult of each source, with the loss of every
document; MixResult weighs the sources by a mix. No balance loss is in any of them.

n rows, b rows of a batch, T tokens of a row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hamner.config.errors import BadInput
from hamner.config.schema import Compute
from hamner.config.special_tokens import END_OF_TEXT
from hamner.data.corpus import Corpus, row_problems
from hamner.data.synthetic_rows import LEVEL_1, Levels, SyntheticRows
from hamner.data.tokenizer import Tokenizer
from hamner.evaluation.statistics import mix_loss
from hamner.model.distributed import is_distributed, sum_over_workers, worker_share
from hamner.model.evaluation_mode import evaluation_mode
from hamner.model.loss import head_losses
from hamner.model.transformer import Hamner
from hamner.runs import watchdog

Stretch = tuple[float, float]  # shares of a held-out text: from where to where
WHOLE: Stretch = (0.0, 1.0)
SYNTHETIC_ROWS = 1_000_000  # more than any evaluation reads; items are made when they are read


@dataclass(frozen=True)
class HeldoutText:
    """Held-out rows of one source, and which document each token is part of."""

    rows: Tensor  # (n, T) int64
    documents: Tensor  # (n, T) int64, counted from 0 without gaps
    bytes_per_token: float  # of the source's held-out text in UTF-8

    def part(self, count: int) -> HeldoutText:
        """About `count` of the rows, evenly spread."""
        every = max(1, len(self.rows) // count)
        return HeldoutText(self.rows[::every], _renumber(self.documents[::every]), self.bytes_per_token)


@dataclass(frozen=True)
class HeldoutResult:
    """What a model makes of the held-out text of one source, document by document."""

    nats: Sequence[float]  # cross-entropy of each document, summed over its tokens in float64
    tokens: Sequence[int]  # predicted of each document
    bytes_per_token: float = math.nan  # of the text in UTF-8; not known of bare rows

    @property
    def loss(self) -> float:
        """Mean cross-entropy, nats per token."""
        return sum(self.nats) / sum(self.tokens)

    @property
    def is_finite(self) -> bool:
        """Whether the loss is a number."""
        return math.isfinite(sum(self.nats))

    @property
    def documents(self) -> dict[str, list[float] | list[int]]:
        """The numbers of each document, as they stand in a run's records."""
        return {"nats": list(self.nats), "tokens": list(self.tokens)}


@dataclass(frozen=True)
class MixResult:
    """Results of several sources, weighted by a mix."""

    results: Mapping[str, HeldoutResult]  # of each source
    mix: Mapping[str, float]  # ratios that sum to 1

    @property
    def loss(self) -> float:
        """Mean cross-entropy of the mix, nats per token."""
        return mix_loss({name: result.loss for name, result in self.results.items()}, self.mix)

    @property
    def is_finite(self) -> bool:
        """Whether the loss is a number."""
        return math.isfinite(self.loss)

    @property
    def bits_per_byte(self) -> float:
        """The loss in bits per byte of text, which models with other tokenizers can be compared by."""
        bits = 0.0
        for name, share in self.mix.items():
            result = self.results[name]
            bits += share * result.loss / result.bytes_per_token / math.log(2)
        return bits


def heldout_rows(
    corpus: Corpus, tokenizer: Tokenizer, source: str, seq_len: int, count: int, levels: Levels = LEVEL_1
) -> Tensor:
    """Up to `count` held-out rows (n, T) of a source, spread evenly over its held-out text."""
    return heldout_text(corpus, tokenizer, source, seq_len, count, levels).rows


def heldout_text(
    corpus: Corpus,
    tokenizer: Tokenizer,
    source: str,
    seq_len: int,
    count: int,
    levels: Levels = LEVEL_1,
    *,
    stretch: Stretch = WHOLE,
) -> HeldoutText:
    """As heldout_rows, with the documents' borders, from a stretch of the held-out text.

    Raises BadInput when the stretch has less than one row.
    """
    if source == "synthetic":
        return _synthetic_text(corpus, tokenizer, seq_len, count, levels, first=round(stretch[0] * SYNTHETIC_ROWS))
    tokens, whole = corpus.heldout(source), stretch_rows(corpus, source, seq_len, stretch)
    chosen = np.unique(np.linspace(whole.start, whole.stop - 1, min(count, len(whole))).astype(int))
    rows = np.stack([tokens[row * seq_len : (row + 1) * seq_len] for row in chosen.tolist()])
    places = chosen[:, None] * seq_len + np.arange(seq_len)
    documents = np.searchsorted(corpus.heldout_ends(source), places, side="right")
    facts = corpus.manifest["sources"][source]
    return HeldoutText(
        torch.from_numpy(rows.astype(np.int64)),
        _renumber(torch.from_numpy(documents)),
        facts["heldout_bytes"] / facts["heldout_tokens"],
    )


def stretch_rows(corpus: Corpus, source: str, seq_len: int, stretch: Stretch) -> range:
    """The rows of a stretch of a source's held-out text, counted from that text's begin.

    A document belongs to the stretch in which it begins: stretches that meet share none. Raises BadInput when the
    stretch has no row.
    """
    tokens = len(corpus.heldout(source))
    problems = list(row_problems(source, seq_len, heldout=tokens))
    if problems:
        raise BadInput(problems)
    whole = tokens // seq_len
    first, last = (round(share * whole) for share in stretch)
    if first:
        ends = corpus.heldout_ends(source)
        after = ends[np.searchsorted(ends, first * seq_len)]  # end of the document that reaches into the stretch
        first = -(-int(after) // seq_len)
    if first >= last:
        raise BadInput(
            f"source '{source}' has too little text or too few documents held out, {whole} rows of {seq_len} tokens, "
            f"for a part of its own: rows {round(stretch[0] * whole) + 1} to {last} are one document or none. "
            "Prepare more text, use a smaller seq_len, or leave out what needs the part (lr=shared)"
        )
    return range(first, last)


def _synthetic_text(
    corpus: Corpus, tokenizer: Tokenizer, seq_len: int, count: int, levels: Levels, first: int
) -> HeldoutText:
    """Held-out rows of synthetic items, from the row of number `first` on; each item is a document."""
    source = SyntheticRows(tokenizer, seq_len, corpus.seed, corpus.heldout_fraction, held_out=True)
    rows = np.stack([source.row(first + index, levels) for index in range(count)])
    ends = np.cumsum(rows.reshape(-1) == END_OF_TEXT).reshape(rows.shape)
    # An end belongs to the item that it closes, and no item continues in the next row.
    items = ends - (rows == END_OF_TEXT) + np.arange(count)[:, None]
    text = "".join(tokenizer.decode(row.tolist()) for row in rows)
    return HeldoutText(
        torch.from_numpy(rows.astype(np.int64)), _renumber(torch.from_numpy(items)), len(text.encode()) / rows.size
    )


def _renumber(documents: Tensor) -> Tensor:
    return torch.unique(documents, return_inverse=True)[1]


@torch.no_grad()
def evaluate_text(hamner: Hamner, text: HeldoutText, compute: Compute, *, batch_size: int) -> HeldoutResult:
    """The loss of each document.

    Within a torch.distributed group each worker takes its share of the rows and all get the same numbers.
    """
    share = worker_share(torch.arange(len(text.rows)))
    count = int(text.documents.max()) + 1
    losses = [part.flatten() for part in _losses(hamner, text.rows[share], compute, batch_size)]
    nats = torch.zeros(count, dtype=torch.float64)  # added up on the host, one by one: a card's order is chance
    if losses:  # a worker may be left without a row
        nats.index_add_(0, text.documents[share, 1:].flatten(), torch.cat(losses).cpu().double())
    if is_distributed():
        nats = sum_over_workers(nats.to(compute.device))
    tokens = torch.bincount(text.documents[:, 1:].flatten(), minlength=count)
    return HeldoutResult(nats.tolist(), tokens.tolist(), text.bytes_per_token)


@torch.no_grad()
def evaluate_rows(hamner: Hamner, rows: Tensor, compute: Compute, *, batch_size: int) -> HeldoutResult:
    """The loss of rows (n, T) as of one document, for rows whose documents do not matter.

    Within a torch.distributed group each worker takes its share of the rows and all get the same number.
    """
    total = torch.zeros(2, dtype=torch.float64, device=compute.device)
    for losses in _losses(hamner, worker_share(rows), compute, batch_size):
        total += torch.stack((losses.double().sum(), total.new_tensor(losses.numel())))
    nats, tokens = sum_over_workers(total).tolist()
    return HeldoutResult([nats], [int(tokens)])


def _losses(hamner: Hamner, rows: Tensor, compute: Compute, batch_size: int) -> Iterator[Tensor]:
    """Next-token losses (b, T - 1) of `rows`, batch by batch."""
    with evaluation_mode(hamner):
        for start in range(0, len(rows), batch_size):
            watchdog.feed()
            part = rows[start : start + batch_size].to(compute.device)
            hidden, _ = hamner.hidden_states(part)
            yield head_losses(hidden, hamner.embedding.weight, part)
