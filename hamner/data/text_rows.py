"""The rows of each source: T consecutive tokens, by number, without end.

Text: the tokens of the source's shards, in epochs, each in an order of its own (shuffle.py) that takes no memory and
no buffer: a megabyte and ten billion tokens are read alike. A row may begin in one shard and end in the next, so how
a source is cut into shards changes nothing. Documents are packed: each is closed by END_OF_TEXT, and the next begins
at once. Synthetic items: drawn when asked for, many at a time.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from hamner.config.errors import BadInput
from hamner.config.special_tokens import END_OF_TEXT
from hamner.data import split
from hamner.data.corpus import Corpus, Tokens, TokenShards
from hamner.data.shuffle import Shuffle
from hamner.data.synthetic_rows import TOKEN, WordCache
from hamner.data.synthetic_tasks import LEVELS, Draws, generate_texts
from hamner.data.tokenizer import Tokenizer

LEVEL_1 = (1.0,)
LOT = 16_384    # tokens of synthetic rows that are drawn together; of held-out ones, being few, an eighth
FIRST_GUESS = 40    # tokens of an item, until some are there
PACKED = 64    # items tokenised at a time: their words stay in the processor's cache
WINDOW = 1024    # places whose rows are computed at a time: a fifth of a microsecond each, instead of fifty

Levels = Sequence[float]    # shares of the synthetic items of level 1, 2, ...; they sum to 1


class Rows(Protocol):
    """The rows of one source, without end."""

    def row(self, index: int, levels: Levels) -> Tokens: ...


class TextRows:
    """Rows of a tokenised source, shuffled anew in each epoch. Not to be shared by threads."""

    def __init__(self, tokens: TokenShards | Tokens | Sequence[Tokens], seq_len: int, name: str, seed: int) -> None:
        """tokens: (n,), or the shards of a source, in order. Raises BadInput when they do not make one row."""
        if not isinstance(tokens, TokenShards):
            tokens = TokenShards.of([tokens] if isinstance(tokens, np.ndarray) else tokens)
        total = len(tokens)
        if seq_len < 1:
            raise BadInput(f"source '{name}': rows of {seq_len} tokens cannot be; seq_len must be at least 1")
        if total < seq_len:
            raise BadInput(f"source '{name}' has {total} training tokens, less than one row of {seq_len}")
        self.count = total // seq_len
        self._tokens, self._seq_len, self._key = tokens, seq_len, f"{seed}/{name}"
        self._window, self._order = (-1, -1), list[int]()

    def row(self, index: int, levels: Levels = LEVEL_1) -> Tokens:
        epoch, place = divmod(index, self.count)
        window, offset = divmod(place, WINDOW)
        if (epoch, window) != self._window:
            places = np.arange(window * WINDOW, min((window + 1) * WINDOW, self.count))
            self._order = Shuffle(self.count, f"{self._key}/{epoch}")(places).tolist()
            self._window = (epoch, window)
        first = self._order[offset] * self._seq_len
        row: Tokens = self._tokens[first:first + self._seq_len]
        return row


class SyntheticRows:
    """Rows of synthetic items, drawn when asked for: row i of the same levels is always the same, and begins with the
    first token of an item. Not to be shared by threads.

    The rows of LOT tokens are drawn together: many items at once take two thirds of the time of as many one by one.
    Workers whose shares of a batch are smaller than that draw the same lots, and are together no faster than one.
    """

    def __init__(
        self, tokenizer: Tokenizer, seq_len: int, seed: int, heldout_fraction: float, *, held_out: bool = False,
    ) -> None:
        """held_out: the items that training never reads, `heldout_fraction` of all by the hash of their text."""
        if seq_len < 1 or not 0 < heldout_fraction < 1:
            raise BadInput(f"synthetic rows of {seq_len} tokens, {heldout_fraction} of the items held out, cannot be: "
                           "seq_len must be at least 1 and heldout_fraction between 0 and 1")
        self._words, self._seq_len, self._seed = WordCache(tokenizer), seq_len, seed
        self._fraction, self._held_out = heldout_fraction, held_out
        self._rows_in_lot = max(1, (LOT // 8 if held_out else LOT) // seq_len)
        self._lot: tuple[int, Levels, list[Tokens]] = (-1, LEVEL_1, [])

    def row(self, index: int, levels: Levels) -> Tokens:
        number, place = divmod(index, self._rows_in_lot)
        if self._lot[:2] != (number, levels):
            self._lot = number, levels, self._draw(number, levels)
        return self._lot[2][place]

    def _draw(self, number: int, levels: Levels) -> list[Tokens]:
        """The rows of a lot, (T,) each."""
        side = "heldout" if self._held_out else "train"
        rng = Draws(f"synthetic/{side}/{self._seed}/{'/'.join(map(str, levels))}/{number}")
        kept = self._fraction if self._held_out else 1 - self._fraction
        rows, rest, made, length = list[Tokens](), b"", 0, 0
        while len(rows) < self._rows_in_lot:
            mean = length / made if made else FIRST_GUESS    # tokens of an item; a row drops half of one at its end
            missing = (self._rows_in_lot - len(rows)) * (self._seq_len + mean / 2) - len(rest) / TOKEN.itemsize
            items = generate_texts(rng, levels, math.ceil(max(1, missing / mean) / kept))
            items = [i for i in items if (split.draw(i) < self._fraction) == self._held_out]
            packed = b"".join(self._words.pack(items[n:n + PACKED]) for n in range(0, len(items), PACKED))
            made, length = made + len(items), length + len(packed) // TOKEN.itemsize
            more, rest = self._cut(rest + packed)
            rows += more
        return rows

    def _cut(self, packed: bytes) -> tuple[list[Tokens], bytes]:
        """Whole rows that begin with an item each, and what is left, which begins with END_OF_TEXT."""
        tokens, rows, end = np.frombuffer(packed, TOKEN), list[Tokens](), 0
        ends = np.flatnonzero(tokens == END_OF_TEXT).tolist()
        while end + self._seq_len < len(tokens):
            begin = end + 1
            rows.append(tokens[begin:begin + self._seq_len])
            after = bisect_left(ends, begin + self._seq_len)    # what is left of the item cut off is not read
            end = ends[after] if after < len(ends) else len(tokens)
        return rows, packed[end * TOKEN.itemsize:]


def training_rows(
    corpus: Corpus, tokenizer: Tokenizer, names: list[str], seq_len: int, seed: int | None = None,
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


def level_problems(levels: Levels) -> Iterator[str]:
    """What is wrong with the shares of synthetic levels."""
    if not 1 <= len(levels) <= len(LEVELS):
        yield f"levels has {len(levels)} shares, one for each synthetic level from 1 on, at most {len(LEVELS)}"
    elif not min(levels) >= 0 or not abs(sum(levels) - 1) <= 1e-6:    # "not": of nan, too
        yield f"levels {list(levels)} must be shares of 0 or more that sum to 1"
