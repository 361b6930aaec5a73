"""Inventory of runs on disk: every run of every kind, with its state, size and age.

Data in: the results folder. Data out: entries, the newest first; nothing is written.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hamner.config.errors import BadInput
from hamner.runs.durations import duration_text
from hamner.runs.files import read_json_as
from hamner.runs.folders import RUN_FILES
from hamner.runs.lock import lock_holder

LOCK = ".driver.lock"
# kind: what a run of it leaves last; "choice", which curriculum `--choose` took, says it in its file
LAST = {
    "tournament": "winner.json",
    "curriculum": "final",
    "sft": "finetuning.json",
    "friend": "export",
    "concepts": "concepts.json",
}
RUNNING, FINISHED, UNFINISHED = "running", "finished", "unfinished"
DAY = 86_400  # seconds


@dataclass(frozen=True)
class StoredRun:
    """One run on disk."""

    kind: str
    folder: Path
    state: str  # RUNNING, FINISHED or UNFINISHED
    size: int  # bytes of its files
    written: float  # when the newest of them was written, seconds since 1970

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def label(self) -> str:
        """Kind and name, which tell it from all others."""
        return f"{self.kind}/{self.name}"


def run_folders(results: Path) -> list[tuple[str, Path]]:
    """(kind, folder) of every run. A link is none: what it leads to may lie anywhere."""
    return [
        (kind, path.parent)
        for kind, file in RUN_FILES.items()
        if not (results / kind).is_symlink()
        for path in sorted((results / kind).glob(f"[!.]*/{file}"))
        if not path.parent.is_symlink()
    ]


def runs_on_disk(results: Path) -> list[StoredRun]:
    """All runs, the last written first."""
    runs = []
    for kind, folder in run_folders(results):
        size, written = size_and_time(folder)
        runs.append(StoredRun(kind, folder, state_of(kind, folder), size, written))
    return sorted(runs, key=lambda run: (-run.written, run.label))


def state_of(kind: str, folder: Path) -> str:
    """Whether a process works on a run, or it is finished, or neither."""
    if run_holder(folder):
        return RUNNING
    is_finished = (folder / LAST[kind]).exists() if kind in LAST else _has_choice(folder / RUN_FILES[kind])
    return FINISHED if is_finished else UNFINISHED


def _has_choice(path: Path) -> bool:
    try:
        return bool(read_json_as(path, lambda document: document["choice"]))
    except BadInput:
        return False


def run_holder(folder: Path) -> str | None:
    """The machine on which a process works on a run: its driver, or what a killed driver has left; None without one."""
    # of the driver, a league's contestants, a curriculum's workers
    locks = [folder / LOCK, *folder.glob("*/.lock"), *folder.glob(".worker*.lock")]
    return next((machine for lock in locks if (machine := lock_holder(lock))), None)


def size_and_time(path: Path) -> tuple[int, float]:
    """Bytes of all files at or below a path, and when the newest was written. A file with two names counts once."""
    size, newest, seen = 0, 0.0, set[tuple[int, int]]()
    for status in _files(path):
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            size += status.st_size
            newest = max(newest, status.st_mtime)
    return size, newest or _mtime(path)


def _files(path: Path) -> Iterator[os.stat_result]:
    """What the system says of each file; links are not followed. A file that goes while we look is passed over."""
    try:
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode):
            yield status
            return
        for entry in sorted(os.listdir(path)):  # noqa: PTH208 (names)
            yield from _files(path / entry)
    except OSError:
        return


def _mtime(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def size_text(size: float) -> str:
    """`0.4 MiB`, `730 MiB` or `12.3 GiB`, of bytes."""
    if size >= 2**30:
        return f"{size / 2**30:,.1f} GiB"
    return f"{size / 2**20:.0f} MiB" if size >= 10 * 2**20 else f"{size / 2**20:.1f} MiB"


def age_text(written: float) -> str:
    """How long ago a file was written: `45 s`, `8.3 h`, `12 days`."""
    seconds = max(0.0, time.time() - written)
    return duration_text(seconds) if seconds < 2 * DAY else f"{seconds / DAY:.0f} days"
