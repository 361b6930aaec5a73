"""Train / held-out (validation) split by a hash of the text, so that no order, run or machine changes it.

Of a piece of a whole, such as a sample of a video, the whole is hashed, so that all pieces are on one side (see
preparation/wholes.py). The threshold depends on the size of a source: the same text can be held out in one source and
trained on in another.
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
CHARACTERS_PER_TOKEN = 5  # a cautious guess, needed before the tokenizer may see any text


def unit_hash(text: str) -> float:
    """A number in [0, 1) that depends on the text alone: blake2b, salted with the split's name.

    It must not be sha256: of a folder that was split by that before, nothing would be held out.
    """
    hasher = _SALTED.copy()  # a third quicker than a new one, for millions of synthetic items
    hasher.update(text.encode())
    return float(_NUMBER(hasher.digest())[0] / 2**64)


def threshold(
    hashes: Sequence[float] | Numbers, lengths: Sequence[int] | Numbers, fraction: float, tokens: int
) -> float:
    """The unit hash below which the documents of a source are held out.

    hashes, lengths: of each document, the latter in characters. Held out are `fraction` of the documents; more, in the
    order of their hashes, until they have about `tokens` tokens; never more than a fifth. Documents of the same hash
    stay together: the first such group is held out even where it is more than a fifth, and nothing is held out where
    all hashes are the same.
    """
    unit, most = np.asarray(hashes), len(hashes) // 5
    low = np.flatnonzero(unit <= np.partition(unit, most)[most])  # the rest stays unsorted: there may be millions
    order = low[np.argsort(unit[low], kind="stable")]
    ordered = unit[order]
    characters = np.cumsum(np.asarray(lengths)[order])
    by_tokens = int(np.searchsorted(characters, tokens * CHARACTERS_PER_TOKEN)) + 1
    by_fraction = int(np.searchsorted(ordered, fraction))
    count = min(max(by_fraction, by_tokens), most)
    first = ordered[0]
    if ordered[count] > first:
        return float(ordered[count])  # both copies of a text have one hash and go to one side
    above = unit[unit > first]
    return float(above.min()) if len(above) else float(first)
