"""Sequence packing: the tokens of each source as rows of T consecutive tokens, by number, without end.

In: a prepared corpus. Out: row i of a source, as token ids (T,).

The rows of a text are read in epochs, each in an order of its own (shuffle.py), which takes no memory and no buffer: a
megabyte and ten billion tokens are read alike. Documents are packed: each is closed by END_OF_TEXT, and the next begins
at once. A row may begin in one shard and end in the next, so how a source is cut into shards changes nothing. The rows
of synthetic items are made in synthetic_rows.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from hamner.config.errors import BadInput
from hamner.data.corpus import Corpus, Tokens, TokenShards, row_problems
from hamner.data.shuffle import Shuffle
from hamner.data.synthetic_rows import LEVEL_1, Levels, SyntheticRows
from hamner.data.tokenizer import Tokenizer

WINDOW = 1024  # places whose rows are computed together: 0.2 microseconds each, instead of 50 one by one


class Rows(Protocol):
    """The rows of one source, without end."""

    def row(self, index: int, levels: Levels) -> Tokens:
        """Row `index`, (T,). levels: shares of the synthetic levels, which text has no use for."""
        ...


class TextRows:
    """Rows of a tokenised source, in a new order in each epoch. Not to be shared by threads."""

    def __init__(self, tokens: TokenShards | Tokens | Sequence[Tokens], seq_len: int, name: str, seed: int) -> None:
        """tokens: (n,), or the shards of a source, in order. Raises BadInput when they do not make one row."""
        if not isinstance(tokens, TokenShards):
            tokens = TokenShards.from_arrays([tokens] if isinstance(tokens, np.ndarray) else tokens)
        total = len(tokens)
        if seq_len < 1:
            raise BadInput(f"source '{name}': rows of {seq_len} tokens: use a seq_len of at least 1")
        problems = list(row_problems(name, seq_len, train=total))
        if problems:
            raise BadInput(problems)
        self.count = total // seq_len  # rows of an epoch
        self._tokens, self._seq_len, self._key = tokens, seq_len, f"{seed}/{name}"
        self._window, self._order = (-1, -1), list[int]()

    def row(self, index: int, levels: Levels = LEVEL_1) -> Tokens:
        """Row `index`, (T,), counted over all epochs."""
        epoch, place = divmod(index, self.count)
        window, offset = divmod(place, WINDOW)
        if (epoch, window) != self._window:
            places = np.arange(window * WINDOW, min((window + 1) * WINDOW, self.count))
            self._order = Shuffle(self.count, f"{self._key}/{epoch}")(places).tolist()
            self._window = (epoch, window)
        first = self._order[offset] * self._seq_len
        row: Tokens = self._tokens[first : first + self._seq_len]
        return row


def training_rows(
    corpus: Corpus, tokenizer: Tokenizer, names: list[str], seq_len: int, seed: int | None = None
) -> dict[str, Rows]:
    """The rows of each named source of a prepared corpus, in the order of `seed` (default: the corpus's)."""
    seed = corpus.seed if seed is None else seed
    rows: dict[str, Rows] = {}
    for name in names:
        if name == "synthetic":
            rows[name] = SyntheticRows(tokenizer, seq_len, seed, corpus.heldout_fraction)
        else:
            rows[name] = TextRows(corpus.train(name), seq_len, name, seed)
    return rows
