"""Synthetic rows (data generator): endless rows of synthetic items as token ids, split by hash like any text.

In: a tokenizer, the shares of the five levels. Out: row i of the same levels, always the same, (T,).

Items are made of the same words again and again, so each word is tokenised once and its ids are kept as bytes, which
join without a Python number for each: ten times as fast as the library on whole texts, with the same ids.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence

import numpy as np

from hamner.config.errors import BadInput
from hamner.config.special_tokens import END_OF_TEXT
from hamner.data import split
from hamner.data.corpus import Tokens
from hamner.data.synthetic_tasks import LEVELS, Draws
from hamner.data.synthetic_tasks.texts import generate_texts
from hamner.data.tokenizer import Tokenizer

Levels = Sequence[float]  # shares of the synthetic items of level 1, 2, ...; they sum to 1
LEVEL_1 = (1.0,)

CHUNK_TOKENS = 16_384  # of rows that are drawn together; of held-out rows, being few, an eighth
TYPICAL_ITEM_TOKENS = 40  # assumed of an item until some have been drawn
ENCODE_BATCH = 64  # items tokenised at a time, so that their words stay in the processor's cache
MAX_WORDS = 50_000  # about 13 MB; then the cache is emptied, since made-up words never end
TOKEN = np.dtype(np.int32)  # of packed ids


class SyntheticRows:
    """Rows of synthetic items, each beginning with the first token of an item. Not to be shared by threads.

    The rows of CHUNK_TOKENS tokens are drawn together: many items at once take two thirds of the time of as many
    one by one. Workers whose shares of a batch are smaller draw the same chunk, and are together no faster than one.
    """

    def __init__(
        self, tokenizer: Tokenizer, seq_len: int, seed: int, heldout_fraction: float, *, held_out: bool = False
    ) -> None:
        """held_out: the items that training never reads, `heldout_fraction` of all by the hash of their text."""
        if seq_len < 1 or not 0 < heldout_fraction < 1:
            raise BadInput(
                f"synthetic rows of {seq_len} tokens with {heldout_fraction} of the items held out: use a seq_len of "
                "at least 1 and a heldout_fraction between 0 and 1"
            )
        self._words, self._seq_len, self._seed = WordCache(tokenizer), seq_len, seed
        self._fraction, self._held_out = heldout_fraction, held_out
        self._rows_in_chunk = max(1, (CHUNK_TOKENS // 8 if held_out else CHUNK_TOKENS) // seq_len)
        self._chunk: tuple[int, Levels, list[Tokens]] = (-1, LEVEL_1, [])

    def row(self, index: int, levels: Levels) -> Tokens:
        """Row `index` of items of these levels, (T,)."""
        number, place = divmod(index, self._rows_in_chunk)
        if self._chunk[:2] != (number, levels):
            self._chunk = number, levels, self._draw(number, levels)
        return self._chunk[2][place]

    def _draw(self, number: int, levels: Levels) -> list[Tokens]:
        """The rows of a chunk, (T,) each."""
        side = "heldout" if self._held_out else "train"
        rng = Draws(f"synthetic/{side}/{self._seed}/{'/'.join(map(str, levels))}/{number}")
        share = self._fraction if self._held_out else 1 - self._fraction  # of the items, on this side of the split
        rows, rest, item_count, token_count = list[Tokens](), b"", 0, 0
        while len(rows) < self._rows_in_chunk:
            mean = token_count / item_count if item_count else TYPICAL_ITEM_TOKENS
            tokens_per_row = self._seq_len + mean / 2  # a row drops half an item at its end
            missing = (self._rows_in_chunk - len(rows)) * tokens_per_row - len(rest) / TOKEN.itemsize
            items = generate_texts(rng, levels, math.ceil(max(1, missing / mean) / share))
            items = [i for i in items if (split.unit_hash(i) < self._fraction) == self._held_out]
            packed = b"".join(self._words.pack(items[n : n + ENCODE_BATCH]) for n in range(0, len(items), ENCODE_BATCH))
            item_count, token_count = item_count + len(items), token_count + len(packed) // TOKEN.itemsize
            more, rest = self._cut(rest + packed)
            rows += more
        return rows

    def _cut(self, packed: bytes) -> tuple[list[Tokens], bytes]:
        """Whole rows that begin with an item each, and the rest, which begins with END_OF_TEXT."""
        tokens, rows, end = np.frombuffer(packed, TOKEN), list[Tokens](), 0
        ends = np.flatnonzero(tokens == END_OF_TEXT).tolist()
        while end + self._seq_len < len(tokens):
            begin = end + 1
            rows.append(tokens[begin : begin + self._seq_len])
            after = bisect_left(ends, begin + self._seq_len)  # the rest of the item that is cut off is not read
            end = ends[after] if after < len(ends) else len(tokens)
        return rows, packed[end * TOKEN.itemsize :]


def level_problems(levels: Levels) -> Iterator[str]:
    """What is wrong with the shares of synthetic levels."""
    if not 1 <= len(levels) <= len(LEVELS):
        yield f"levels has {len(levels)} shares: give one for each synthetic level from 1 on, at most {len(LEVELS)}"
    elif not min(levels) >= 0 or not abs(sum(levels) - 1) <= 1e-6:  # "not": of nan, too
        yield f"levels {list(levels)} must be shares of 0 or more that sum to 1"


class WordCache:
    """Packed ids of texts, each word tokenised once.

    Whole texts are tokenised where words cannot be: by a tokenizer that joins words across spaces, and for texts with
    other white space than single spaces between words.
    """

    def __init__(self, tokenizer: Tokenizer, max_words: int = MAX_WORDS) -> None:
        self._tokenizer = tokenizer
        self._words = _Words(tokenizer, max_words)

    def __len__(self) -> int:
        """The number of words in the cache."""
        return len(self._words)

    def pack(self, texts: Sequence[str]) -> bytes:
        """The ids of the texts, TOKEN each, with END_OF_TEXT before each text."""
        together = " ".join(texts)
        # A printable text has no white space but " ".
        if self._tokenizer.splits_at_spaces and together.isprintable() and "  " not in f" {together} ":
            words = ("\n" + " \n".join(texts)).split(" ")
            return b"".join(map(self._words.__getitem__, words))
        return b"".join(_packed([END_OF_TEXT, *self._tokenizer.encode(text)]) for text in texts)


class _Words(dict[str, bytes]):
    """word -> packed ids of " " + word; "\\n" + first word of a text -> END_OF_TEXT and the ids of the word."""

    def __init__(self, tokenizer: Tokenizer, max_words: int) -> None:
        super().__init__()
        self._tokenizer, self._max_words = tokenizer, max_words

    def __missing__(self, key: str) -> bytes:
        if len(self) >= self._max_words:
            self.clear()
        if key.startswith("\n"):
            ids = [END_OF_TEXT, *self._tokenizer.encode(key[1:])]
        elif key.isascii() and key.isalpha():
            ids = self._tokenizer.encode_after_space(key)
        else:
            ids = self._tokenizer.encode(" " + key)
        self[key] = _packed(ids)
        return self[key]


def _packed(ids: list[int]) -> bytes:
    return array(TOKEN.char, ids).tobytes()
