"""Grouped split: what a document is a piece of, since all pieces of one whole are on one side of the split.

Samples of a video name their video (Document.cut_from). Conversations are grouped by the first message of the user,
because a talk is often shipped turn by turn: one record of its first exchange, one of its first two and so on.

Data in: documents, and the draws of the split of their wholes. Data out: the wholes as text; the draws to use.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from hamner.data.sources import Document
from hamner.data.split import Numbers

WORD = re.compile(r"\w+")
BEGINNING_WORDS = 13  # at least, of what follows a message that many conversations begin with
FEW = 5  # narrower wholes that a whole may have


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
