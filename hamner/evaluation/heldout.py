"""Held-out loss: nats per token on rows fixed beforehand, the same for everybody.

The number ranked and judged is cross-entropy alone; no balance loss is in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hamner.config.errors import BadInput
from hamner.config.schema import Compute
from hamner.config.special_tokens import END_OF_TEXT
from hamner.data.corpus import Corpus
from hamner.data.synthetic_rows import LEVEL_1, Levels, SyntheticRows
from hamner.data.tokenizer import Tokenizer
from hamner.model.distributed import in_a_group, workers_share
from hamner.model.loss import head_losses
from hamner.model.transformer import Hamner


def heldout_rows(
    corpus: Corpus, tokenizer: Tokenizer, source: str, seq_len: int, count: int, levels: Levels = LEVEL_1
) -> Tensor:
    """Up to `count` held-out rows (n, T) of a source, spread evenly over its held-out text."""
    return heldout_text(corpus, tokenizer, source, seq_len, count, levels).rows


@dataclass(frozen=True)
class HeldoutText:
    """Held-out rows of one source, and which document each token is part of."""

    rows: Tensor  # (n, T) int64
    documents: Tensor  # (n, T) int64, counted from 0 without gaps
    bytes_per_token: float  # of the source's held-out text in UTF-8

    def part(self, count: int) -> HeldoutText:
        """About `count` rows, evenly spread."""
        every = max(1, len(self.rows) // count)
        return HeldoutText(self.rows[::every], _renumber(self.documents[::every]), self.bytes_per_token)


def heldout_text(
    corpus: Corpus, tokenizer: Tokenizer, source: str, seq_len: int, count: int, levels: Levels = LEVEL_1
) -> HeldoutText:
    """As heldout_rows, with the documents' borders. Raises BadInput when less than one row is held out."""
    if source == "synthetic":
        drawn = SyntheticRows(tokenizer, seq_len, corpus.seed, corpus.heldout_fraction, held_out=True)
        rows = np.stack([drawn.row(index, levels) for index in range(count)])
        ends = np.cumsum(rows.reshape(-1) == END_OF_TEXT).reshape(rows.shape)  # the item that an end closes
        items = ends - (rows == END_OF_TEXT) + np.arange(count)[:, None]  # and none goes on in the next row
        text = "".join(tokenizer.decode(row.tolist()) for row in rows)
        return HeldoutText(
            torch.from_numpy(rows.astype(np.int64)), _renumber(torch.from_numpy(items)), len(text.encode()) / rows.size
        )
    tokens = corpus.heldout(source)
    whole = len(tokens) // seq_len
    if whole == 0:
        raise BadInput(
            f"source '{source}' holds out {len(tokens)} tokens, less than one row of {seq_len}: give more text"
        )
    chosen = np.unique(np.linspace(0, whole - 1, min(count, whole)).astype(int))
    rows = np.stack([tokens[row * seq_len : (row + 1) * seq_len] for row in chosen.tolist()])
    places = chosen[:, None] * seq_len + np.arange(seq_len)
    documents = np.searchsorted(corpus.heldout_ends(source), places, side="right")
    facts = corpus.manifest["sources"][source]
    return HeldoutText(
        torch.from_numpy(rows.astype(np.int64)),
        _renumber(torch.from_numpy(documents)),
        facts["heldout_bytes"] / facts["heldout_tokens"],
    )


def _renumber(documents: Tensor) -> Tensor:
    return torch.unique(documents, return_inverse=True)[1]


@torch.no_grad()
def document_losses(
    hamner: Hamner, text: HeldoutText, compute: Compute, *, batch_size: int
) -> tuple[list[float], list[int]]:
    """Of each held-out document: its cross-entropy in nats, summed in float64, and the tokens predicted.

    Within a torch.distributed group each worker takes its share of the rows and all get the same numbers.
    """
    mine = workers_share(torch.arange(len(text.rows)))
    count = int(text.documents.max()) + 1
    nats = torch.zeros(count, dtype=torch.float64, device=compute.device)
    for rows, losses in _losses(hamner, text.rows[mine], compute, batch_size):
        documents = text.documents[mine[rows], 1:].to(compute.device)
        nats.index_add_(0, documents.flatten(), losses.double().flatten())
    if in_a_group():
        torch.distributed.all_reduce(nats)
    return nats.tolist(), torch.bincount(text.documents[:, 1:].flatten(), minlength=count).tolist()


@torch.no_grad()
def heldout_loss(hamner: Hamner, rows: Tensor, compute: Compute, *, batch_size: int) -> float:
    """Mean cross-entropy of rows (n, T) in nats per token, summed in float64.

    Within a torch.distributed group each worker takes its share of the rows and all get the same number.
    """
    total = torch.zeros(2, dtype=torch.float64, device=compute.device)
    for _, losses in _losses(hamner, workers_share(rows), compute, batch_size):
        total += torch.stack((losses.double().sum(), total.new_tensor(losses.numel())))
    if in_a_group():
        torch.distributed.all_reduce(total)
    return float(total[0] / total[1])


def _losses(hamner: Hamner, rows: Tensor, compute: Compute, batch_size: int) -> Iterator[tuple[slice, Tensor]]:
    """Next-token losses (b, T - 1) of `rows`, part by part, and which rows they are of."""
    was_training = hamner.training
    hamner.eval()
    try:
        for start in range(0, len(rows), batch_size):  # a worker may be left without a row
            part = rows[start : start + batch_size].to(compute.device)
            hidden, _ = hamner.hidden_states(part)
            yield slice(start, start + batch_size), head_losses(hidden, hamner.embedding.weight, part)
    finally:
        hamner.train(was_training)
