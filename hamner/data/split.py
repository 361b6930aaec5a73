"""Which texts of a source are held out: decided by a hash of the text, not by order, run or machine; of texts cut from
one video (Document.cut_from), by a hash of the video's name.

How many are held out depends on the source's size (`threshold`), so the same text can be held out in one source
and not in another that also holds it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]

_NUMBER = struct.Struct(">Q").unpack
_SALTED = hashlib.blake2b(digest_size=8, salt=b"heldout")
CHARACTERS_PER_TOKEN = 5  # a cautious guess: the count is needed before the tokenizer may see any text


def unit_hash(text: str) -> float:
    """A number in [0, 1) that belongs to the text: blake2b, salted with the split's name.

    A keyed hash of another kind would not do: a folder already split by its sha256 would hold out nothing.
    """
    hasher = _SALTED.copy()  # a third quicker than a new one, and synthetic items come by the million
    hasher.update(text.encode())
    return float(_NUMBER(hasher.digest())[0] / 2**64)


def threshold(
    draws: Sequence[float] | Numbers, lengths: Sequence[int] | Numbers, fraction: float, tokens: int
) -> float:
    """Documents drawn below this are held out.

    `fraction` of the source as a rule; more, in the order of the draws, while the held-out characters do not
    make about `tokens` tokens, but never above a fifth of the documents. Documents of one draw are together: of
    such groups those that fit are held out, and the first even if it does not. None is where there is one draw only.
    """
    drawn, most = np.asarray(draws), len(draws) // 5
    low = np.flatnonzero(drawn <= np.partition(drawn, most)[most])  # the rest is not sorted: there may be millions
    order = low[np.argsort(drawn[low], kind="stable")]
    ordered = drawn[order]
    characters = np.cumsum(np.asarray(lengths)[order])
    enough = int(np.searchsorted(characters, tokens * CHARACTERS_PER_TOKEN)) + 1  # documents that suffice
    by_rule = int(np.searchsorted(ordered, fraction))
    count = min(max(by_rule, enough), most)
    first = ordered[0]
    if ordered[count] > first:
        return float(ordered[count])  # the same text twice has one draw: both copies go to one side
    above = drawn[drawn > first]
    return float(above.min()) if len(above) else float(first)
