"""Heartbeat of a run (liveness): whether its driver is alive, by the lease that it renews, and what was written last.

Data in: files of a run's folder, which may lie on another machine. Data out: a Heartbeat; nothing is written.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hamner.runs.lock import LEASE_SECONDS

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
            (folder / AT_WORK).touch()
        else:
            (folder / AT_WORK).unlink(missing_ok=True)


def heartbeat(folder: Path, files: Iterable[Path], *, is_finished: bool) -> Heartbeat:
    """The heartbeat of a run. files: those that a run writes while it works, there or not. is_finished: it says so."""
    times = {file: modified for file in files if (modified := _modified(file)) is not None}
    last = max(times, key=lambda file: times[file], default=None)
    quiet = max(time.time() - times[last], 0.0) if last else 0.0
    if is_finished:
        return Heartbeat("finished", quiet, last)
    lease = _lease_is_held(folder / LEASE)
    return Heartbeat("stopped" if lease is None else "running" if lease else "died", quiet, last)


def _modified(file: Path) -> float | None:
    """When a file was written, in seconds of the Unix clock; None where it is not there."""
    try:
        return file.stat().st_mtime
    except OSError:
        return None


def _lease_is_held(lease: Path) -> bool | None:
    """Whether a driver renews this lease; None where none has left one, since it ended in order or never began.

    On this machine its process must live as well. Clocks of machines differ: it counts as renewed if either says so,
    that of its writer or that of the storage.
    """
    modified = _modified(lease)
    if modified is None:
        return None
    try:
        document = json.loads(lease.read_text(encoding="utf-8"))
        host, process, written = str(document["host"]), int(document["pid"]), float(document["time"])
    except (OSError, ValueError, KeyError, TypeError):
        host, process, written = "", 0, 0.0
    is_recent = any(abs(time.time() - moment) < LEASE_SECONDS for moment in (written, modified))
    return is_recent and (host != socket.gethostname() or _is_alive(process))


def _is_alive(process: int) -> bool:
    """Whether a process of this machine lives; one that is another user's does."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
