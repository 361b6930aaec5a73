"""Free disk space: refuse a run whose files cannot fit.

Data in: a folder, the GiB it will take. Data out: nothing, or a BadInput that says how much is missing and the way out.
"""

from __future__ import annotations

from pathlib import Path

from hamner.config.errors import BadInput
from hamner.runs.files import free_gib


def check_free_space(folder: Path, needed_gib: float, what: str, remedy: str) -> None:
    """Raise BadInput when `needed_gib` do not fit where `folder` lies, or will lie.

    what: what needs the space, a plural ("the run's checkpoints"); remedy: the imperative way out.
    """
    existing_folder, free = free_gib(folder)
    if needed_gib > free:
        raise BadInput(f"{what} need up to {needed_gib:.1f} GiB, {existing_folder} has {free:.1f} GiB free: {remedy}")
