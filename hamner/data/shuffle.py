"""Shuffle of any number of rows without memory (format-preserving permutation): place -> row, each place for itself.

A row's number is a pair (left, right) of numbers below w, the least with w * w >= count, and goes through a Feistel
network, which is a bijection whatever its round function is. A result of count or more goes through again until it is
below ("cycle walking"), which keeps the bijection. Both: Black & Rogaway, "Ciphers with Arbitrary Finite Domains",
CT-RSA 2002. Round function: the 64-bit finaliser of splitmix64 (Steele, Lea & Flood, "Fast Splittable Pseudorandom
Number Generators", OOPSLA 2014) with a key for each round, all keys from one blake2b. It is not meant to hide anything.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]

ROUNDS = 8  # a blake2b digest holds eight keys; after three or four, rows w places apart are visibly related


class Shuffle:
    """The order of `count` rows that belongs to `key`."""

    def __init__(self, count: int, key: str) -> None:
        if count < 1:
            raise ValueError(f"an order of {count} rows: use a count of at least 1")
        self.count = count
        self._width = np.uint64(math.isqrt(count - 1) + 1)
        digest = hashlib.blake2b(key.encode(), digest_size=8 * ROUNDS, person=b"shuffle").digest()
        self._keys = np.frombuffer(digest, dtype="<u8").astype(np.uint64)

    def __call__(self, places: Numbers) -> Numbers:
        """Rows (n,) int64 that stand at `places` (n,), integers from 0 to count - 1."""
        rows = self._network(places.astype(np.uint64))
        while (outside := rows >= self.count).any():
            rows[outside] = self._network(rows[outside])
        return rows.astype(np.int64)

    def _network(self, numbers: Numbers) -> Numbers:
        """Numbers (n,) uint64 below w * w -> others below w * w."""
        left, right = np.divmod(numbers, self._width)
        for key in self._keys:
            left, right = right, (left + _mixed(right ^ key) % self._width) % self._width
        return left * self._width + right


def _mixed(numbers: Numbers) -> Numbers:
    """The finaliser of splitmix64: each bit out depends on every bit in. uint64 wraps around, as is meant."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
