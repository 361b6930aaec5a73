"""A run's text as tokens on disk: what prepare_data.py writes and everybody else memory-maps.

FOLDER/manifest.json                  counts per source, the tokenizer's hash, the split rule
FOLDER/<source>.train.bin             documents in reading order, each closed by <|endoftext|>
FOLDER/<source>.heldout.bin           the same for the held-out documents
FOLDER/<source>.heldout.ends.bin      int64 positions just after each held-out document
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hamner.config import BadInput
from hamner.results import read_json

Tokens = npt.NDArray[Any]


class Corpus:
    """Read access to a prepared folder. Raises BadInput when it was made with another tokenizer."""

    def __init__(self, folder: Path, tokenizer_sha256: str) -> None:
        self.folder = folder
        self.manifest = read_json(folder / "manifest.json")
        if self.manifest["tokenizer_sha256"] != tokenizer_sha256:
            raise BadInput(
                f"{folder} was made with another tokenizer ({self.manifest['tokenizer_sha256'][:12]}) than the "
                f"one to be used ({tokenizer_sha256[:12]}); use that one, or prepare the data again"
            )
        self.dtype = np.dtype(self.manifest["dtype"])
        self.seed: int = self.manifest["seed"]
        self.heldout_fraction: float = self.manifest["heldout_fraction"]

    def train(self, source: str) -> Tokens:
        """(tokens,) of a source's training side."""
        return self._map(f"{source}.train.bin", self.dtype)

    def heldout(self, source: str) -> Tokens:
        """(tokens,) of a source's held-out side."""
        return self._map(f"{source}.heldout.bin", self.dtype)

    def heldout_ends(self, source: str) -> Tokens:
        """(documents,) positions just after each held-out document."""
        return self._map(f"{source}.heldout.ends.bin", np.dtype(np.int64))

    def _map(self, name: str, dtype: np.dtype[Any]) -> Tokens:
        return np.memmap(self.folder / name, dtype=dtype, mode="r")


def unigram_entropy(tokens: Tokens) -> float:
    """Nats per token of the text's own token frequencies: what is left to one who knows nothing else."""
    counts = np.unique(tokens, return_counts=True)[1]
    share = counts / counts.sum()
    return float(-(share * np.log(share)).sum())
