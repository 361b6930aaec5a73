"""Files of prepared conversations (SFT data set): their names in a folder. Needs no torch.

FOLDER/conversations.json                  of each source its origin, license, and what became of every record
FOLDER/NAME.train.bin, NAME.heldout.bin    rows of labelled tokens, see conversation_rows.py
"""

from __future__ import annotations

from pathlib import Path

from hamner.runs.files import file_sha256
from hamner.runs.safe_paths import path_below

FACTS = "conversations.json"
SIDES = ("train", "heldout")


def row_sums(folder: Path, name: str) -> dict[str, str]:
    """The checksum of a source's rows of each side."""
    return {side: file_sha256(rows_file(folder, name, side)) for side in SIDES}


def rows_file(folder: Path, name: str, side: str) -> Path:
    """The rows of one side, train or heldout, of a source. Raises BadInput for a name that leaves the folder."""
    return path_below(folder, f"{name}.{side}.bin", folder / FACTS)
