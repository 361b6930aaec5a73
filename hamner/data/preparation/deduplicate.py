"""Deduplication (dedup): near-duplicates by MinHash and LSH with banding (Broder 1997; Leskovec et al., ch. 3).

The numbers are those of FineWeb (Penedo et al. 2024): 112 hashes of the 5-word shingles in 14 bands of 8. Two
texts that share a band are near-duplicates: at a Jaccard similarity s with probability 1 - (1 - s⁸)¹⁴, which is
0.05 at s = 0.5, 0.56 at 0.7, 0.92 at 0.8. Near-duplicates of near-duplicates are one cluster. As DataTrove does for the
web, which words are numbers and where accents stand does not tell two texts apart; in conversations it does, since
arithmetic is among them.

Of a cluster one document is kept: the one whose text has the smallest hash, so that neither the order of the files
nor the number of processes matters. The index of bands lies on disk; in memory a document costs some ten bytes, one
that has duplicates some 40, and 4 million keys are compared at a time.

Data in: documents. Data out: of each, whether it is kept, an exact or a near-duplicate.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rensa import RMinHash

from hamner.data.sources.source import Document

BANDS, ROWS = 14, 8
SHINGLE_WORDS = 5
SEED = 1
KEYS_AT_ONCE = 2**22  # sorted at a time
KEPT, EXACT, NEAR = range(3)  # kinds of documents
WORD = re.compile(r"\w+")
MANY_NUMBERS = 0.1  # of the words of a text: more may be what tells it from others
ACCENT = re.compile("[\u0300-\u036f]+")  # those of Latin, Greek and Cyrillic letters
# Chinese and Japanese, Thai, Lao, Burmese, Khmer: between two signs of punctuation stands a clause, not a word.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff]"
)

Keys = npt.NDArray[np.uint64]


def words(document: Document) -> list[str]:
    """The words that are compared: lower case, without punctuation, of a conversation without its system prompt.

    Of other text also without accents, and each number is 0, unless numbers are much of it, as in arithmetic. Where a
    script has no spaces between words, each sign is one.
    """
    text = document.without_system_prompt().text.lower()
    if not text.isascii():
        text = _spaced(text, strips_accents=not document.messages)
    found = WORD.findall(text) or list(text)
    return found if document.messages else _without_numbers(found)


def _without_numbers(words: list[str]) -> list[str]:
    """Words with 0 for each number, such as 12, 1,234.5 or 2026-11-28; unchanged where they are much of a text."""
    is_number = [word.isdecimal() for word in words]
    if not any(is_number):
        return words
    as_0 = [
        "0" if number else word
        for word, number, follows_number in zip(words, is_number, [False, *is_number], strict=False)
        if not (number and follows_number)
    ]
    return as_0 if as_0.count("0") <= MANY_NUMBERS * len(as_0) else words


def _spaced(text: str, *, strips_accents: bool) -> str:
    """Text with spaces around the signs that are a word each; it is searched by its distinct signs, far quicker."""
    signs = "".join(set(text))
    if strips_accents and ACCENT.search(unicodedata.normalize("NFD", signs)):
        text = ACCENT.sub("", unicodedata.normalize("NFD", text))
    return UNSPACED.sub(r" \g<0> ", text) if UNSPACED.search(signs) else text


def shingles(hashes: Sequence[Sequence[int]], size: int = SHINGLE_WORDS) -> tuple[Keys, Keys]:
    """Hashes of `size` successive words, of all documents in a row, and the offsets (n + 1,) where each begins.

    hashes: of each document, one of each word. A document of fewer words is one shingle.
    """
    lengths = np.array([max(len(h), size) for h in hashes])
    flat = np.zeros(int(lengths.sum()) + size, dtype=np.uint64)  # the windows of the last words need room
    starts = np.concatenate([[0], lengths.cumsum()])
    for start, h in zip(starts, hashes, strict=False):
        flat[start : start + len(h)] = h
    windows = np.zeros(len(flat) - size, dtype=np.uint64)
    for shift in range(size):
        windows = _mix(windows, flat[shift : shift + len(windows)])
    inside = np.ones(len(windows), dtype=bool)
    for back in range(1, size):  # windows that would reach into the next document
        inside[starts[1:] - back] = False
    return windows[inside], np.concatenate([[0], (lengths - size + 1).cumsum()]).astype(np.uint64)


def _mix(keys: Keys, values: Keys) -> Keys:
    """Fold 64-bit values into 64-bit keys: multiply, xor, shift."""
    keys = (keys ^ values) * np.uint64(0x9E3779B97F4A7C15)
    return keys ^ (keys >> np.uint64(32))


def band_keys(documents: Sequence[Document]) -> Keys:
    """(n, BANDS) keys; two documents with one in common are near-duplicates."""
    hashes = RMinHash.hash_token_sets([words(document) for document in documents])
    digests = RMinHash.digest_matrix_from_flat_token_hashes(*shingles(hashes), BANDS * ROWS, SEED)
    parts = np.array(digests.to_rows(), dtype=np.uint32).reshape(len(documents), BANDS, ROWS).view(np.uint64)
    keys = np.zeros((len(documents), BANDS), dtype=np.uint64)
    for column in range(parts.shape[2]):
        keys = _mix(keys, parts[:, :, column])
    return keys


class Index:
    """The keys of all documents on disk, in the documents' order, one file a band."""

    def __init__(self, folder: Path, keys_at_once: int = KEYS_AT_ONCE) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._files = [folder / "text", *(folder / f"band{band:02}" for band in range(BANDS))]
        for path in self._files:
            path.write_bytes(b"")
        self._count, self._keys_at_once = 0, keys_at_once

    def add(self, texts: Keys, bands: Keys) -> None:
        """Add n documents. texts (n,): a hash of each whole text; bands (n, BANDS)."""
        for path, keys in zip(self._files, (texts, *bands.T), strict=True):
            with path.open("ab") as file:
                file.write(np.ascontiguousarray(keys).tobytes())
        self._count += len(texts)

    def kinds(self, preferred: int) -> npt.NDArray[np.uint8]:
        """(n,) KEPT, EXACT or NEAR: each document's relation to the one of its cluster that is kept.

        Of a cluster with some of the first `preferred` documents, one of these is kept.
        """
        n = self._count
        cluster = np.arange(n, dtype=np.int32 if n < 2**31 else np.int64)  # of each document, the first in it
        kinds = np.zeros(n, dtype=np.uint8)
        for repeats, first in self._equal(self._files[0]):
            kinds[repeats] = EXACT
            cluster[repeats] = first
        for path in self._files[1:]:
            for repeats, first in self._equal(path):
                cluster = _join(cluster, repeats, first, self._keys_at_once)
        moved = np.flatnonzero(cluster != np.arange(n))
        members = np.union1d(moved, cluster[moved])
        texts = np.memmap(self._files[0], dtype=np.uint64, mode="r")[members] if len(members) else members
        order = members[np.lexsort((members, texts, members >= preferred, cluster[members]))]
        is_repeat = np.concatenate([[False], cluster[order][1:] == cluster[order][:-1]])[: len(order)]
        dropped = order[is_repeat]
        kinds[dropped] = np.where(kinds[dropped] == EXACT, EXACT, NEAR)
        return kinds

    def _equal(self, path: Path) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        """Documents whose key an earlier document has, and the first such, some of the keys at a time."""
        if not self._count:
            return
        bits = max(0, (self._count - 1) // self._keys_at_once).bit_length()
        for part in range(2**bits):
            keys, places = [], []
            for start in range(0, self._count, self._keys_at_once):
                block = np.fromfile(path, dtype=np.uint64, count=self._keys_at_once, offset=8 * start)
                here = np.flatnonzero(block >> np.uint64(64 - bits) == part) if bits else np.arange(len(block))
                keys.append(block[here])
                places.append(here + start)
            key, place = np.concatenate(keys), np.concatenate(places)
            if not len(key):
                continue
            order = np.argsort(key, kind="stable")  # so the first of equals is the first document
            key, place = key[order], place[order]
            is_new = np.concatenate([[True], key[1:] != key[:-1]])
            first = place[is_new][is_new.cumsum() - 1]
            yield place[~is_new], first[~is_new]


def _join(
    cluster: npt.NDArray[Any], one: npt.NDArray[Any], other: npt.NDArray[Any], keys_at_once: int
) -> npt.NDArray[Any]:
    """Clusters once one[i] and other[i] are joined; each is named by its first document."""
    a, b = cluster[one], cluster[other]
    a, b = a[a != b], b[a != b]
    if not len(a):
        return cluster
    from scipy.sparse import coo_array  # 0.4 s, which only text with duplicates has to wait for
    from scipy.sparse.csgraph import connected_components

    names, index = np.unique(np.concatenate([a, b]), return_inverse=True)
    pairs = coo_array((np.ones(len(a), dtype=bool), (index[: len(a)], index[len(a) :])), shape=(len(names),) * 2)
    count, group = connected_components(pairs, directed=False)
    least = np.full(count, len(cluster), dtype=cluster.dtype)
    np.minimum.at(least, group, names)
    renamed = np.arange(len(cluster), dtype=cluster.dtype)
    renamed[names] = least[group]
    for start in range(0, len(cluster), keys_at_once):
        cluster[start : start + keys_at_once] = renamed[cluster[start : start + keys_at_once]]
    return cluster
