"""Document (block-diagonal) attention mask: a token of a packed row attends to its own document alone.

A row holds documents end to end, cut anywhere; END_OF_TEXT closes its document and is part of it. What stands before
the row's first END_OF_TEXT may have begun in another row and counts as a document like the others.

B rows, T tokens of a row, N newest tokens.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hamner.config.special_tokens import END_OF_TEXT


def document_ids(tokens: Tensor) -> Tensor:
    """(B, T) int64: documents counted from 0 in each row. tokens: (B, T) of any integer type, on any device."""
    ends = (_check_tokens(tokens) == END_OF_TEXT).long()
    return ends.cumsum(dim=1) - ends  # ends before this token


def document_positions(tokens: Tensor) -> Tensor:
    """(B, T) int64: how many tokens of the same document stand before each in its row."""
    documents = document_ids(tokens)
    places = torch.arange(tokens.shape[1], device=tokens.device).expand_as(documents)
    is_first = documents.diff(dim=1, prepend=documents.new_full((len(documents), 1), -1)) > 0
    return places - (places * is_first).cummax(dim=1).values


def same_document(tokens: Tensor, newest: int | None = None) -> Tensor:
    """(B, 1, N, T) bool: True where the token of the row may attend to that of the column, causality apart.

    Rows are the newest N tokens (None: all T), columns all.
    """
    documents = document_ids(tokens)
    queries = documents if newest is None else documents[:, tokens.shape[1] - newest :]
    return (queries[:, :, None] == documents[:, None, :]).unsqueeze(1)


def document_mask(tokens: Tensor, newest: int, dtype: torch.dtype) -> Tensor:
    """(B, 1, N, T), added to the scores of the newest N tokens: 0 for what each may attend to, −∞ for the rest.

    Numbers and not booleans, of which PyTorch's attention would make numbers anew in each layer, and keep them.
    """
    allowed = same_document(tokens, newest).tril(tokens.shape[1] - newest)
    return torch.zeros_like(allowed, dtype=dtype).masked_fill_(~allowed, -math.inf)


def _check_tokens(tokens: Tensor) -> Tensor:
    if tokens.dim() != 2 or tokens.is_floating_point() or tokens.dtype == torch.bool:
        raise ValueError(f"tokens must be integers (B, T), not {tokens.dtype} {tuple(tokens.shape)}")
    return tokens
