"""Blocks of a survey: hashes, MinHash bands and lengths of a run of documents, as they are stored.

unfinished/<source>.<files>.<block>.survey.npz    texts (n,) hash of each whole text; draws (n,), and of what it is a
                                                  piece of, whole_draws and narrow_draws (n,); characters (n,), and as
                                                  they count when held out, heldout_characters (n,);
                                                  bands (n, BANDS), or (n, 0) where near-duplicates stay
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import struct
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hamner.config.errors import BadInput
from hamner.data import split
from hamner.data.preparation.deduplicate import BANDS, band_keys
from hamner.data.preparation.part import Part
from hamner.data.preparation.store import SURVEY, UNFINISHED, Store
from hamner.data.preparation.wholes import wholes
from hamner.data.sources import Document, Tally

Columns = dict[str, npt.NDArray[Any]]

# what reading a file of NumPy's raises that was cut short or altered
DAMAGE = (
    *(ValueError, KeyError, TypeError, AttributeError, EOFError, OverflowError, MemoryError, OSError),
    *(NotImplementedError, RuntimeError, zipfile.BadZipFile, struct.error),
)


@dataclass(frozen=True)
class FileSurvey:
    """Where the documents of a file lie among those of a survey, and what reading the file counted."""

    key: str
    start: int
    end: int
    tally: Tally


@dataclass(frozen=True)
class Block:
    """Survey of n documents in order, and of the records they came from."""

    texts: npt.NDArray[np.uint64]
    draws: npt.NDArray[np.float64]
    whole_draws: npt.NDArray[np.float64]  # as draws, where a document is not a piece of anything
    narrow_draws: npt.NDArray[np.float64]  # of the narrower whole, see wholes.py
    characters: npt.NDArray[np.int64]
    heldout_characters: npt.NDArray[np.int64]  # without the system prompt where that is not held out
    bands: npt.NDArray[np.uint64]
    tally: Tally
    is_last: bool
    files: tuple[FileSurvey, ...]  # whose last document is in the block


def write_block(
    store: Store,
    survey: str,
    number: int,
    columns: Columns,
    tally: Tally,
    files: Sequence[FileSurvey],
    *,
    is_last: bool,
) -> None:
    """Store a block of the survey with this name."""
    counts = {"tally": asdict(tally), "is_last": is_last, "files": [asdict(file) for file in files]}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, counts=np.frombuffer(json.dumps(counts).encode(), dtype=np.uint8), **columns)
    store.write(_block_name(survey, number), buffer.getvalue())


def blocks(store: Store, part: Part) -> Iterator[Block]:
    """The blocks of a part that are stored, in order."""
    return blocks_of(store, part.survey)


def blocks_of(store: Store, survey: str) -> Iterator[Block]:
    """The blocks of a survey, in order."""
    for number in itertools.count():
        data = store.read(_block_name(survey, number))
        if data is None:
            return
        try:
            block = _block(data)
        except DAMAGE as error:
            place = f"{store.place}/{_block_name(survey, number)}"
            raise BadInput(f"{place} is broken: {error}; delete it, and the part is read again") from None
        yield block


def _block(data: bytes) -> Block:
    """The block that a file holds, which may hold arrays of numbers and nothing else."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        counts = json.loads(file["counts"].tobytes())
        columns = {key: file[key] for key in file.files if key != "counts"}
    files = tuple(FileSurvey(**f | {"tally": Tally(**f["tally"])}) for f in counts["files"])
    return Block(**columns, tally=Tally(**counts["tally"]), is_last=counts["is_last"], files=files)


def _block_name(survey: str, number: int) -> str:
    return f"{UNFINISHED}/{survey}.{number:03}{SURVEY}"


def survey_columns(batch: Sequence[Document], finds_near_duplicates: bool, is_builtin: bool) -> Columns:
    """The survey of a batch, one array a column: a tuple a document would take ten times as much memory."""
    near = finds_near_duplicates
    draws = np.array([_draws(d, is_builtin) for d in batch], dtype=np.float64).reshape(-1, 3)
    return {
        "texts": np.array([text_hash(d.text) for d in batch], dtype=np.uint64),
        "draws": draws[:, 0],
        "whole_draws": draws[:, 1],
        "narrow_draws": draws[:, 2],
        "characters": np.array([len(d.text) for d in batch], dtype=np.int64),
        # the share of a source that is held out is counted in what is written of it
        "heldout_characters": np.array(
            [len((d.without_system_prompt() if near else d).text) for d in batch], dtype=np.int64
        ),
        "bands": band_keys(batch) if near and batch else np.zeros((len(batch), BANDS if near else 0), dtype=np.uint64),
    }


def _draws(document: Document, is_builtin: bool) -> tuple[float, float, float]:
    """Draws of a document and of the wholes that it is a piece of; builtin conversations are each drawn anew."""
    draw = split.unit_hash(document.text)
    whole, narrow = ("", "") if is_builtin else wholes(document)
    return draw, split.unit_hash(whole) if whole else draw, split.unit_hash(narrow) if narrow else draw


def text_hash(text: str) -> int:
    """Another hash than the split's: which of a cluster stays must not say on which side."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8, salt=b"document").digest(), "big")


def difference(tally: Tally, before: Tally) -> Tally:
    return Tally(
        tally.records - before.records,
        tally.too_short - before.too_short,
        tally.malformed - before.malformed,
        tally.skipped[len(before.skipped) :],
    )
