"""Memory-mapped token shards (dataset): the text of a run as token ids on disk.

In: a folder that hamner/data/preparation/ has written. Out: the tokens of each source, to train on and held out.

FOLDER/manifest.json                          of each source: its origin, its counts, its shards with their sha256, what
                                              was dropped and why; the rules of the split
FOLDER/tokenizer.json                         the tokenizer whose ids the shards hold; beside it its chat template as
                                              transformers reads it, tokenizer_config.json
FOLDER/<source>.<part>.<shard>.train.bin      and .heldout.bin, .heldout.ends.bin: see preparation/write_shards.py

The folder of a run that reads data prepared beforehand holds no shards: `folder` in its manifest says where they are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hamner.config.errors import BadInput
from hamner.runs.cores import available_cores
from hamner.runs.files import file_sha256, read_json_as
from hamner.runs.safe_paths import path_below

Tokens = npt.NDArray[Any]
MANIFEST = "manifest.json"
REQUIRED_KEYS = ("tokenizer_sha256", "dtype", "seed", "heldout_fraction", "sources")  # of a manifest
DTYPES = ("uint16", "uint32")  # of token ids; of objects, which a file must not bring along, there are none
MAX_OPEN_SHARDS = 256  # each costs a file descriptor


class TokenShards:
    """Shards one after the other, read as one array (tokens,) by index and slice.

    A slice within one shard is a view of it.
    """

    def __init__(self, lengths: Sequence[int], shard: Callable[[int], Tokens], dtype: np.dtype[Any]) -> None:
        """lengths: of the shards, in tokens; shard: returns one by its number, as a plain array."""
        self._ends, self._shard, self.dtype = list(accumulate(lengths)), shard, dtype

    @classmethod
    def from_files(cls, paths: Sequence[Path], lengths: Sequence[int], dtype: np.dtype[Any]) -> TokenShards:
        """Memory-map files, at most MAX_OPEN_SHARDS at a time."""
        return cls(
            lengths,
            lru_cache(MAX_OPEN_SHARDS)(  # a slice of np.memmap itself costs microseconds
                lambda index: np.asarray(np.memmap(paths[index], dtype=dtype, mode="r"))
            ),
            dtype,
        )

    @classmethod
    def from_arrays(cls, shards: Sequence[Tokens]) -> TokenShards:
        """Take arrays that are in memory."""
        return cls(
            [len(shard) for shard in shards],
            lambda index: np.asarray(shards[index]),
            shards[0].dtype if shards else np.dtype(np.uint16),
        )

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, part: int | slice) -> Any:
        if not isinstance(part, slice):
            return self[part:][0] if part < 0 else self[part : part + 1][0]
        start, stop, step = part.indices(len(self))
        if step != 1:
            raise IndexError("shards are read by slices of step 1")
        pieces = list(self._pieces(start, stop))
        if len(pieces) == 1:
            return pieces[0]
        return np.concatenate(pieces) if pieces else np.empty(0, dtype=self.dtype)

    def _pieces(self, start: int, stop: int) -> Iterator[Tokens]:
        """The part of each shard that lies between two places."""
        index = bisect_right(self._ends, start)
        while start < stop:
            begin = self._ends[index - 1] if index else 0
            piece = self._shard(index)[start - begin : stop - begin]
            yield piece
            start, index = start + len(piece), index + 1

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Tokens:
        return np.asarray(self[:], dtype=dtype, copy=copy)

    def astype(self, dtype: Any) -> Tokens:
        return np.asarray(self).astype(dtype)


class Corpus:
    """The tokens of a prepared folder. Raises BadInput for another tokenizer's, and for one that is not whole."""

    def __init__(self, folder: Path, tokenizer_sha256: str) -> None:
        self.folder = folder
        read_json_as(folder / MANIFEST, lambda manifest: self._take(manifest, tokenizer_sha256))

    def _take(self, manifest: dict[str, Any], tokenizer_sha256: str) -> None:
        """Take what a manifest says, and compare it with the files."""
        folder = self.folder
        self.manifest = {**manifest, **{key: manifest[key] for key in REQUIRED_KEYS}}
        if self.manifest["tokenizer_sha256"] != tokenizer_sha256:
            raise BadInput(
                f"{folder} was made with another tokenizer ({self.manifest['tokenizer_sha256'][:12]}) than this run's "
                f"({tokenizer_sha256[:12]}): use that one, or prepare the data again"
            )
        self._place = Path(self.manifest.get("folder", folder))
        if self.manifest["dtype"] not in DTYPES:
            raise BadInput(
                f"{folder / MANIFEST}: dtype {self.manifest['dtype']!r} is not one of {', '.join(DTYPES)}: "
                "copy the folder again, or prepare the data again"
            )
        self.dtype = np.dtype(self.manifest["dtype"])
        self.seed: int = self.manifest["seed"]
        self.heldout_fraction: float = self.manifest["heldout_fraction"]
        shards = [shard for facts in self.manifest["sources"].values() for shard in facts["shards"]]
        for shard in shards:
            if shard["tokens"] * self.dtype.itemsize != shard["bytes"]:
                raise ValueError(f"{shard['file']} has {shard['tokens']} tokens in {shard['bytes']} bytes")
        broken = broken_shards(shards, lambda name: _size(self._file(name)))
        if broken:
            raise BadInput(
                f"{self._place}: {len(broken)} of {len(shards)} shards are missing or of another length, "
                f"first {broken[0]}: copy the folder again, or prepare the data again"
            )

    def train(self, source: str) -> TokenShards:
        """Tokens of a source to train on."""
        return self._tokens(source, "train")

    def heldout(self, source: str) -> TokenShards:
        """Held-out tokens of a source."""
        return self._tokens(source, "heldout")

    def heldout_ends(self, source: str) -> Tokens:
        """(documents,) positions just after each held-out document."""
        ends, before = [np.empty(0, dtype=np.int64)], 0
        for shard in self._shards(source, "heldout"):
            ends.append(np.fromfile(self._file(shard["ends"]), dtype=np.int64) + before)
            before += shard["tokens"]
        return np.concatenate(ends)

    def _file(self, name: str) -> Path:
        return path_below(self._place, name, self.folder / MANIFEST)

    def _shards(self, source: str, side: str) -> list[dict[str, Any]]:
        return [shard for shard in self.manifest["sources"][source]["shards"] if shard["side"] == side]

    def _tokens(self, source: str, side: str) -> TokenShards:
        shards = self._shards(source, side)
        paths = [self._file(shard["file"]) for shard in shards]
        return TokenShards.from_files(paths, [shard["tokens"] for shard in shards], self.dtype)


def broken_shards(shards: Sequence[dict[str, Any]], size: Callable[[str], int]) -> list[str]:
    """The files that are missing or of another length, at most one of each shard.

    size: of a file, in bytes, by its name; -1 where there is none.
    """
    broken = []
    for shard in shards:
        if size(shard["file"]) != shard["bytes"]:
            broken.append(shard["file"])
        elif shard["side"] == "heldout" and size(shard["ends"]) != 8 * shard["documents"]:
            broken.append(shard["ends"])
    return broken


def altered_shards(place: Path, shards: Sequence[Mapping[str, Any]]) -> list[str]:
    """The files of shards in a folder that are missing or are not, byte for byte, what was written.

    All of them are read, on all cores: as fast as the disk gives them.
    """
    sums = {path_below(place, shard["file"], place / MANIFEST): shard.get("sha256") for shard in shards}
    sums |= {
        path_below(place, shard["ends"], place / MANIFEST): shard.get("ends_sha256")
        for shard in shards
        if "ends" in shard
    }

    def is_altered(item: tuple[Path, str | None]) -> bool:
        path, checksum = item
        return not path.is_file() or (checksum is not None and file_sha256(path) != checksum)

    with ThreadPoolExecutor(available_cores()) as threads:
        return [path.name for path, found in zip(sums, threads.map(is_altered, sums.items()), strict=True) if found]


def row_problems(
    source: str, seq_len: int, *, train: int | None = None, heldout: int | None = None, place: Path | None = None
) -> Iterator[str]:
    """A problem for each side of a source that does not fill one row of `seq_len` tokens.

    train, heldout: tokens of the side; None for a side that is not checked. place: the folder to name, if any.
    """
    where = f" of {place}" if place else ""
    for tokens, use in ((train, "to train on"), (heldout, "held out")):
        if tokens is not None and tokens < seq_len:
            yield (
                f"source '{source}'{where} has {tokens} tokens {use}, less than one row of {seq_len}: "
                "prepare more text, or use a smaller seq_len"
            )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def unigram_entropy(counts: npt.NDArray[np.int64]) -> float:
    """Entropy of the text's token frequencies, nats per token: the loss of a model that knows nothing else.

    counts: (vocab,) occurrences of each token.
    """
    counts = counts[counts > 0]
    share = counts / counts.sum()
    return float(-(share * np.log(share)).sum())
