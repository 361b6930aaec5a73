"""Which documents say again what another one says: MinHash with banding (Broder 1997; Leskovec et al., ch. 3).

The numbers are those of FineWeb (Penedo et al. 2024): 112 hashes of the 5-word shingles in 14 bands of 8. Two
texts that share a band are near-duplicates: at a Jaccard similarity s with probability 1 - (1 - s⁸)¹⁴, which is
0.05 at s = 0.5, 0.56 at 0.7, 0.92 at 0.8. Near-duplicates of near-duplicates are one cluster.

Of a cluster one document stays: the one whose text has the smallest hash, so that neither the order of the files
nor the number of processes matters. The index of bands lies on disk; in memory a document costs some ten bytes, one
that has duplicates some 40, and the keys being compared are 4 million at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rensa import RMinHash
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hamner.data.sources.source import Document

BANDS, ROWS = 14, 8
SHINGLE_WORDS = 5
SEED = 1
AT_ONCE = 2**22  # keys sorted at a time
KEPT, EXACT, NEAR = 0, 1, 2
WORD = re.compile(r"\w+")

Keys = npt.NDArray[np.uint64]


def words(document: Document) -> list[str]:
    """The words that count: lower case, without punctuation, and of a conversation without the system's turn."""
    text = document.without_system().text
    return WORD.findall(text.lower()) or list(text)


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

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._files = [folder / "text", *(folder / f"band{band:02}" for band in range(BANDS))]
        for path in self._files:
            path.write_bytes(b"")
        self._count = 0

    def add(self, texts: Keys, bands: Keys) -> None:
        """texts (n,): a hash of each whole text; bands (n, BANDS)."""
        for path, keys in zip(self._files, (texts, *bands.T), strict=True):
            with path.open("ab") as file:
                file.write(np.ascontiguousarray(keys).tobytes())
        self._count += len(texts)

    def verdicts(self, preferred: int | None = None) -> npt.NDArray[np.uint8]:
        """(n,) KEPT, EXACT or NEAR of each document: what it is to one that stays.

        Of a cluster that has some of the first `preferred` documents, one of these stays. None: all are alike.
        """
        n = self._count
        preferred = n if preferred is None else preferred
        cluster = np.arange(n, dtype=np.int32 if n < 2**31 else np.int64)  # of each document, the first in it
        found = np.zeros(n, dtype=np.uint8)
        for again, first in self._equal(self._files[0]):
            found[again] = EXACT
            cluster[again] = first
        for path in self._files[1:]:
            for again, first in self._equal(path):
                cluster = _join(cluster, again, first)
        moved = np.flatnonzero(cluster != np.arange(n))
        members = np.union1d(moved, cluster[moved])
        texts = np.memmap(self._files[0], dtype=np.uint64, mode="r")[members] if len(members) else members
        order = members[np.lexsort((members, texts, members >= preferred, cluster[members]))]
        again = np.concatenate([[False], cluster[order][1:] == cluster[order][:-1]])[: len(order)]
        dropped = order[again]
        found[dropped] = np.where(found[dropped] == EXACT, EXACT, NEAR)
        return found

    def _equal(self, path: Path) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        """Documents whose key an earlier document has, and the first such, a part of the keys at a time."""
        if not self._count:
            return
        bits = max(0, (self._count - 1) // AT_ONCE).bit_length()
        for part in range(2**bits):
            keys, places = [], []
            for start in range(0, self._count, AT_ONCE):
                block = np.fromfile(path, dtype=np.uint64, count=AT_ONCE, offset=8 * start)
                here = np.flatnonzero(block >> np.uint64(64 - bits) == part) if bits else np.arange(len(block))
                keys.append(block[here])
                places.append(here + start)
            key, place = np.concatenate(keys), np.concatenate(places)
            if not len(key):
                continue
            order = np.argsort(key, kind="stable")  # so the first of equals is the first document
            key, place = key[order], place[order]
            new = np.concatenate([[True], key[1:] != key[:-1]])
            first = place[new][new.cumsum() - 1]
            yield place[~new], first[~new]


def _join(cluster: npt.NDArray[Any], one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Clusters after one[i] and other[i] are found to belong together; each is named by its first document."""
    a, b = cluster[one], cluster[other]
    a, b = a[a != b], b[a != b]
    if not len(a):
        return cluster
    names, index = np.unique(np.concatenate([a, b]), return_inverse=True)
    pairs = coo_array((np.ones(len(a), dtype=bool), (index[: len(a)], index[len(a) :])), shape=(len(names),) * 2)
    count, group = connected_components(pairs, directed=False)
    least = np.full(count, len(cluster), dtype=cluster.dtype)
    np.minimum.at(least, group, names)
    renamed = np.arange(len(cluster), dtype=cluster.dtype)
    renamed[names] = least[group]
    for start in range(0, len(cluster), AT_ONCE):
        cluster[start : start + AT_ONCE] = renamed[cluster[start : start + AT_ONCE]]
    return cluster
