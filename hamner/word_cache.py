"""Token ids of short texts made of the same words again and again: word by word, each word tokenised once.

Several times as fast as the library where words repeat, as in synthetic items; the ids are the same.
"""

from __future__ import annotations

from hamner.tokenizer import Tokenizer

MOST_WORDS = 50_000    # about 13 MB; then it begins anew, since made-up words never end


class WordCache:
    """`encode` of a tokenizer. One that joins words across spaces is asked for whole texts, and so is any tokenizer
    about a text with other white space than single spaces between words.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._by_word = tokenizer.splits_at_spaces
        self._first, self._later = _Known(tokenizer, ""), _Known(tokenizer, " ")

    def encode(self, text: str) -> list[int]:
        words = text.split()
        if not self._by_word or not words or " ".join(words) != text:
            return self._tokenizer.encode(text)
        first, *later = words
        ids = list(self._first[first])
        known = self._later
        for word in later:
            ids += known[word]
        return ids


class _Known(dict[str, list[int]]):
    """word -> ids of `before` + word."""

    def __init__(self, tokenizer: Tokenizer, before: str) -> None:
        super().__init__()
        self._tokenizer, self._before = tokenizer, before

    def __missing__(self, word: str) -> list[int]:
        if len(self) >= MOST_WORDS:
            self.clear()
        ids = self._tokenizer.encode(self._before + word)
        self[word] = ids
        return ids
