"""Train / held-out (validation) split by a hash of the text, so that no order, run or machine changes it.

Of texts cut from one video (Document.cut_from) the video's name is hashed, of conversations the first message of the
user, so that all pieces of a whole are on one side: a talk is often shipped turn by turn, as one record of its first
exchange, one of its first two and so on. The threshold depends on the size of a source: the same text can be held out
in one source and trained on in another.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hamner.data.sources.source import Document

Numbers = npt.NDArray[Any]

_NUMBER = struct.Struct(">Q").unpack
_SALTED = hashlib.blake2b(digest_size=8, salt=b"heldout")
CHARACTERS_PER_TOKEN = 5  # a cautious guess, needed before the tokenizer may see any text
WORD = re.compile(r"\w+")
BEGINNING_WORDS = 13  # at least, of what follows a message that many conversations begin with
FEW = 5  # narrower wholes that a whole may have


def unit_hash(text: str) -> float:
    """A number in [0, 1) that depends on the text alone: blake2b, salted with the split's name.

    It must not be sha256: of a folder that was split by that before, nothing would be held out.
    """
    hasher = _SALTED.copy()  # a third quicker than a new one, for millions of synthetic items
    hasher.update(text.encode())
    return float(_NUMBER(hasher.digest())[0] / 2**64)


def wholes(document: Document) -> tuple[str, str]:
    """What a document is a piece of, and a narrower whole for a source most of which is pieces of one; "" for none.

    Conversations: the first message of the user, and what follows it, message by message, as far as BEGINNING_WORDS.
    Both without case, space and punctuation, and whatever the system prompt says.
    """
    if document.cut_from or not document.messages:
        return document.cut_from, document.cut_from
    roles = [role for role, _ in document.messages]
    first = roles.index("user") if "user" in roles else 0
    following: list[str] = []
    for role, content in document.messages[first + 1 :]:
        if len(following) >= BEGINNING_WORDS:
            break
        following += _words(content) if role != "system" else []
    return " ".join(_words(document.messages[first][1])), " ".join(following)


def _words(text: str) -> list[str]:
    return WORD.findall(text.casefold()) or [text]


def narrowed(draws: Numbers, narrow_draws: Numbers, is_kept: npt.NDArray[np.bool_]) -> Numbers:
    """draws (n,), with the narrow ones for each whole that is no whole but a message which many begin with.

    That is one with more than a fifth of what is kept, and more than FEW narrow wholes in it: a talk turn by turn has
    as many records as exchanges, but these begin alike.
    """
    kept = np.sort(draws[is_kept])
    places = np.unique(kept[:: max(1, len(kept) // 6)])  # so large a whole stands at one of them
    large = [
        draw
        for draw in places
        if np.count_nonzero(kept == draw) > len(kept) // 5
        and len(np.unique(narrow_draws[is_kept & (draws == draw)])) > FEW
    ]
    return np.where(np.isin(draws, large), narrow_draws, draws)


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
