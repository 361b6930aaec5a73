"""Training rows of a concept: short items, several to a row of T tokens, the loss on their answers alone (loss mask).

In: the items of a concept. Out: row i, labelled token ids (T,) as conversation_tokens.py writes them: the complement
of a token that is only read. Each item is a document closed by END_OF_TEXT, which belongs to its answer: a model that
never learns to end an answer never ends one. A row is a function of (seed, name, i), drawn with replacement; what no
whole item fits into is filled with tokens that are not trained on. Masked or not, row i holds the same items.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from hamner.config.errors import BadInput
from hamner.config.special_tokens import END_OF_TEXT
from hamner.data.concepts import Item
from hamner.data.conversation_tokens import Labelled
from hamner.data.synthetic_rows import LEVEL_1, Levels
from hamner.data.tokenizer import Tokenizer


def encode_items(tokenizer: Tokenizer, items: Sequence[Item]) -> list[tuple[list[int], list[int]]]:
    """Ids of each item's question, and of its answer, the space before it and END_OF_TEXT included."""
    texts = [text for item in items for text in (item.prompt, f" {item.answer}")]
    ids = iter(tokenizer.encode_batch(texts))
    return [(next(ids), [*next(ids), END_OF_TEXT]) for _ in items]


class ConceptRows:
    """Rows of one concept, without end."""

    def __init__(
        self, tokenizer: Tokenizer, items: Sequence[Item], seq_len: int, name: str, seed: int, *, is_masked: bool
    ) -> None:
        """is_masked: whether answers alone are trained on. Raises BadInput for an item that fills no row."""
        self._key, self._seq_len = f"{seed}/{name}", seq_len
        self._items: list[Labelled] = []
        for question, answer in encode_items(tokenizer, items):
            read = np.array(question, dtype=np.int32)
            self._items.append(np.concatenate([~read if is_masked else read, np.array(answer, dtype=np.int32)]))
        longest = max(map(len, self._items))
        if longest > seq_len:
            raise BadInput(f"an item of '{name}' has {longest} tokens: use a concepts.seq_len of at least {longest}")

    def row(self, index: int, levels: Levels = LEVEL_1) -> Labelled:
        """Row `index`, (T,). levels: of no use here."""
        rng, row, end = random.Random(f"{self._key}/{index}"), np.full(self._seq_len, ~END_OF_TEXT, np.int32), 0
        while end + len(item := rng.choice(self._items)) <= self._seq_len:
            row[end : end + len(item)] = item
            end += len(item)
        return row
