"""Packing of conversations: whole ones side by side in rows of T tokens, none cut, the rest of a row filled up.

Best fit over a few open rows (Johnson, "Near-optimal bin packing algorithms", 1973), in an order that depends on the
seed alone. That none attends to another is the document mask's part (hamner/model/document_mask.py): each conversation
ends with END_OF_TEXT, and so do the tokens that fill up a row, of which none is trained on.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from hamner.config.special_tokens import END_OF_TEXT
from hamner.data.conversation_tokens import CLOSING, Labelled
from hamner.data.shuffle import Shuffle

OPEN_ROWS = 64  # that a conversation may still go into: more fill rows better and take longer


def pack(conversations: Sequence[Labelled], seq_len: int, key: str) -> npt.NDArray[np.int32]:
    """Rows (n, seq_len) of all conversations, each once. key: of the order.

    Raises ValueError for a conversation that is longer than a row.
    """
    if not conversations:
        return np.empty((0, seq_len), dtype=np.int32)
    rows: list[list[int]] = []  # numbers of the conversations in each row
    open_rows: list[tuple[int, int]] = []  # (space left, row), the fullest first
    for number in Shuffle(len(conversations), key)(np.arange(len(conversations))).tolist():
        length = len(conversations[number])
        if length > seq_len:
            raise ValueError(f"a conversation of {length} tokens does not fit a row of {seq_len}")
        place = bisect_left(open_rows, (length, -1))
        if place < len(open_rows):
            space, row = open_rows.pop(place)
        else:
            space, row = seq_len, len(rows)
            rows.append([])
        rows[row].append(number)
        if space > length:
            insort(open_rows, (space - length, row))
        if len(open_rows) > OPEN_ROWS:
            del open_rows[0]
    packed = np.full((len(rows), seq_len), CLOSING[0], dtype=np.int32)
    for place, numbers in enumerate(rows):
        ids = np.concatenate([conversations[number] for number in numbers])
        packed[place, : len(ids)] = ids
    return packed


def unpack(rows: npt.NDArray[np.int32]) -> Iterator[list[int]]:
    """Yield the ids of each conversation in labelled rows (n, T), in order, without the token that closes it."""
    ids = np.where(rows < 0, ~rows, rows).reshape(-1)
    start = 0
    for end in np.flatnonzero(ids == END_OF_TEXT).tolist():  # a row ends with one
        if end > start:
            yield ids[start:end].tolist()
        start = end + 1
