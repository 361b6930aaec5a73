"""Disposition of each document: trained on, held out, or dropped as a duplicate or beyond --tokens.

unfinished/<part>.dispositions.bin    uint8 (documents,), in reading order
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from hamner.data.preparation.part import Part
from hamner.data.preparation.store import UNFINISHED, Store

TRAIN, HELD_OUT, EXACT_DUPLICATE, NEAR_DUPLICATE, BEYOND_TOKENS = range(5)
SIDES = {TRAIN: "train", HELD_OUT: "heldout"}  # those that are written to shards
DROPPED = {EXACT_DUPLICATE: "exact_duplicates", NEAR_DUPLICATE: "near_duplicates", BEYOND_TOKENS: "beyond_tokens"}

Dispositions = npt.NDArray[np.uint8]


def write_dispositions(store: Store, part: Part, dispositions: npt.NDArray[Any]) -> None:
    store.write(_name(part), dispositions.tobytes())


def read_dispositions(store: Store, part: Part) -> Dispositions:
    return np.frombuffer(store.read(_name(part)) or b"", dtype=np.uint8)


def dispositions_sha256(store: Store, part: Part) -> str:
    """The checksum of a part's dispositions, as they are stored."""
    return hashlib.sha256(store.read(_name(part)) or b"").hexdigest()


def _name(part: Part) -> str:
    return f"{UNFINISHED}/{part.name}.dispositions.bin"
