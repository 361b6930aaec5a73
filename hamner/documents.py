"""Which document each token of a packed row is part of, and where in it: what document-masked attention asks for.

A row holds documents end to end, cut anywhere; END_OF_TEXT closes its document and is part of it. What stands before
the row's first END_OF_TEXT may have begun in another row and counts as a document like the others.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hamner.tokenizer import END_OF_TEXT


def document_ids(tokens: Tensor) -> Tensor:
    """(B, T) int64: documents counted from 0 in each row. tokens: (B, T) of any integer type, on any device."""
    ends = (_checked(tokens) == END_OF_TEXT).long()
    return ends.cumsum(dim=1) - ends    # ends before this token


def document_positions(tokens: Tensor) -> Tensor:
    """(B, T) int64: how many tokens of the same document stand before each in its row."""
    documents = document_ids(tokens)
    places = torch.arange(tokens.shape[1], device=tokens.device).expand_as(documents)
    begins = documents.diff(dim=1, prepend=documents.new_full((len(documents), 1), -1)) > 0
    return places - (places * begins).cummax(dim=1).values


def same_document(tokens: Tensor) -> Tensor:
    """(B, 1, T, T) bool: True where the token of the row may attend to that of the column, causality apart."""
    documents = document_ids(tokens)
    return (documents[:, :, None] == documents[:, None, :]).unsqueeze(1)


def _checked(tokens: Tensor) -> Tensor:
    if tokens.dim() != 2 or tokens.is_floating_point() or tokens.dtype == torch.bool:
        raise ValueError(f"tokens must be integers (B, T), not {tokens.dtype} {tuple(tokens.shape)}")
    return tokens
