"""Rows of conversations (SFT data set): those of a prepared folder, to train on and held out.

In: a folder that preparation/conversations.py has written. Out: for the mixer, rows of labelled tokens by number, in a
new order each epoch, as those of any source; held-out rows, the same each time.

FOLDER/conversations.json                  of each source its origin, license, and what became of every record
FOLDER/NAME.train.bin, NAME.heldout.bin    int32 (rows, seq_len): ids, or the complement of those that are only read
                                           (conversation_tokens.py); whole conversations (conversation_packing.py)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hamner.config.errors import BadInput
from hamner.data.conversation_files import FACTS, rows_file
from hamner.data.conversation_packing import unpack
from hamner.data.corpus import TokenShards
from hamner.data.text_rows import TextRows
from hamner.runs.files import file_sha256, read_json_as

DTYPE = np.dtype(np.int32)


class ConversationRows:
    """The conversations of a prepared folder."""

    def __init__(self, folder: Path, tokenizer_sha256: str) -> None:
        """Raises BadInput for a folder that is not whole, or was made with another tokenizer."""
        self._folder = folder
        keys = ("seq_len", "max_reply_tokens", "seed", "tokenizer_sha256", "sources")
        self.document = read_json_as(folder / FACTS, lambda document: {key: document[key] for key in keys})
        if self.document["tokenizer_sha256"] != tokenizer_sha256:
            raise BadInput(f"{folder} was made with another tokenizer than the run's: start a new run")
        self.seq_len, self.seed = int(self.document["seq_len"]), int(self.document["seed"])
        self.sources: dict[str, dict[str, Any]] = self.document["sources"]
        for name, facts in self.sources.items():
            for side, rows in (("train", facts["rows"]), ("heldout", facts["heldout_rows"])):
                path = rows_file(folder, name, side)
                size = path.stat().st_size if path.is_file() else -1
                checksum = facts.get("sha256", {}).get(side)  # not in older folders
                if size != rows * self.seq_len * DTYPE.itemsize or (checksum and file_sha256(path) != checksum):
                    raise BadInput(f"{path} is missing or was altered: copy the run again, or start a new one")

    def counts(self) -> dict[str, int]:
        """Rows of each source to train on."""
        return {name: int(facts["rows"]) for name, facts in self.sources.items()}

    def trained_share(self, name: str) -> float:
        """Share of a source's tokens, what fills up rows among them, that are trained on."""
        facts = self.sources[name]
        return float(facts["trained_tokens"] / (facts["rows"] * self.seq_len))

    def train(self, name: str) -> TextRows:
        """Rows of a source to train on, in a new order each epoch."""
        count = self.sources[name]["rows"] * self.seq_len
        tokens = TokenShards.from_files([rows_file(self._folder, name, "train")], [count], DTYPE)
        return TextRows(tokens, self.seq_len, name, self.seed)

    def heldout_conversations(self, name: str) -> list[list[int]]:
        """The ids of each held-out conversation of a source."""
        return list(unpack(self._heldout_rows(name)))

    def _heldout_rows(self, name: str) -> npt.NDArray[np.int32]:
        return np.fromfile(rows_file(self._folder, name, "heldout"), dtype=DTYPE).reshape(-1, self.seq_len)

    def heldout(self, name: str, most: int) -> Tensor:
        """Held-out rows (n, seq_len) int64 of a source, at most so many, evenly spread."""
        rows = self._heldout_rows(name)
        chosen = np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int))
        return torch.from_numpy(rows[chosen].astype(np.int64))
