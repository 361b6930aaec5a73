"""Pieces of a long text for the tokenizer: cut where the pre-tokenizer splits anyway, so that no id changes.

The tokenizers library keeps some 120 bytes a character while it encodes, so a document of 8 MB would peak at a GiB.
Data in: a text. Data out: its pieces, which together are the text. For byte-level BPE with GPT-2's pattern (see
Tokenizer.splits_at_spaces), whose tokens never reach over these places:

- before a space or a line break that something other than white space precedes;
- between a letter and a digit or sign, where both are of a script and kind that every version of Unicode knows.

A text without such a place, such as one word of a megabyte, stays whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

PIECE_CHARACTERS = 2**13  # of a piece, or a little more
BATCH_CHARACTERS = 2**19  # encoded at a time, by all cores
LETTER = "A-Za-z\u0430-\u044f\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3"
SIGN = "!-/0-9:-@\\[-`{-~\u3001\u3002\uff0c\uff01\uff1f\uff1a\uff1b"  # of ASCII, and those that end a clause in Chinese
# U+180E was white space before Unicode 6.3
PLACE = re.compile(f"(?<=[^\\s\u180e])(?=[ \n])|(?<=[{LETTER}])(?=[{SIGN}])")


def text_pieces(text: str, size: int = PIECE_CHARACTERS) -> Iterator[str]:
    """A text in pieces of at least `size` characters; at least one."""
    begin = 0
    while len(text) - begin > size:
        place = PLACE.search(text, begin + size)
        if place is None:
            break
        yield text[begin : place.start()]
        begin = place.start()
    yield text[begin:]


def piece_batches(texts: Sequence[str], *, is_cut: bool) -> Iterator[list[tuple[int, str]]]:
    """All pieces of the texts, each with its text's number, BATCH_CHARACTERS at a time; whole texts if not `is_cut`."""
    batch: list[tuple[int, str]] = []
    size = 0
    for number, text in enumerate(texts):
        for piece in text_pieces(text) if is_cut else [text]:
            batch.append((number, piece))
            size += len(piece)
            if size >= BATCH_CHARACTERS:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch
