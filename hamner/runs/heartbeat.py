"""Heartbeat of a run (liveness): whether its driver is alive, by the lease that it renews, and what was written last.

Data in: files of a run's folder, which may lie on another machine. Data out: a Heartbeat; nothing is written.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hamner.runs.files import touch
from hamner.runs.lock import read_lease

LEASE = ".driver.lease"  # of the lock .driver.lock, see lock.py
AT_WORK = ".at_work"  # in the folder of one training of several: a process is at it
State = Literal["finished", "running", "stopped", "died"]


@dataclass(frozen=True)
class Heartbeat:
    """How a run is. stopped: it was ended in order, and can be resumed; died: it was killed."""

    state: State
    quiet_seconds: float  # since the last of its files was written
    last_file: Path | None  # that one

    @property
    def is_over(self) -> bool:
        return self.state != "running"


def mark_at_work(folder: Path, *, is_at_work: bool) -> None:
    """Say in a training's folder whether a process is at it. Where that cannot be written, it is only not shown."""
    with suppress(OSError):
        if is_at_work:
            touch(folder / AT_WORK)
        else:
            (folder / AT_WORK).unlink(missing_ok=True)


def heartbeat(folder: Path, files: Iterable[Path], *, is_finished: bool) -> Heartbeat:
    """The heartbeat of a run. files: those that a run writes while it works, there or not. is_finished: it says so."""
    times = {file: modified for file in files if (modified := _modified(file)) is not None}
    last = max(times, key=lambda file: times[file], default=None)
    quiet = max(time.time() - times[last], 0.0) if last else 0.0
    if is_finished:
        return Heartbeat("finished", quiet, last)
    lease = read_lease(folder / LEASE)
    if lease is None:
        return Heartbeat("stopped", quiet, last)
    is_held = lease.is_recent and (not lease.is_here or _is_alive(lease.process))
    return Heartbeat("running" if is_held else "died", quiet, last)


def _modified(file: Path) -> float | None:
    """When a file was written, in seconds of the Unix clock; None where it is not there."""
    try:
        return file.stat().st_mtime
    except OSError:
        return None


def _is_alive(process: int) -> bool:
    """Whether a process of this machine lives; one that is another user's does."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
