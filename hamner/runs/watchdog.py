"""Watchdog of a process that trains (hang detection): where no step is taken for too long, the process is ended.

Its driver then starts it again from its newest checkpoint, as after any other death. Python's faulthandler waits in a
thread of C, so that a hang that holds Python's global lock is met too. A process that is stopped (SIGSTOP) cannot end
itself: it goes on with SIGCONT, or, where it stood still for longer than the deadline, is ended and started again then.

    with Watchdog(file, minutes=60):    # around the work, in whoever starts it
        feed()                          # where something is done: at each step, at each batch that is evaluated

Data in: a file, a deadline, signs of life. Data out: where each thread hung, in that file; exit code 1.
"""

from __future__ import annotations

import faulthandler
import math
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TextIO

HANG_FILE = ".hang"  # in the folder of a training, while a process is watched
HUNG = "hung.txt"  # in the folder of a training: where its process hung the last time
LEAST_SECONDS = 1.0  # between two signs that are passed on, which costs as much as a short step


class Watchdog:
    """Watches this process while `with` lasts. Only one can in a process."""

    def __init__(self, file: Path, minutes: float) -> None:
        """file: written when the process is ended, and of this process alone. minutes: 0 watches nothing."""
        self._path, self._seconds = file, 60 * minutes
        self._file: TextIO | None = None
        self._fed = -math.inf  # when the time began anew, by the monotonic clock

    def __enter__(self) -> Watchdog:
        if self._seconds:
            with suppress(OSError):  # without a file it is said on stderr
                self._file = open(self._path, "w", encoding="utf-8", opener=_no_link)
            _watching.append(self)
            self._fed = -math.inf
            self.feed()
        return self

    def __exit__(self, *error: object) -> None:
        if self in _watching:
            _watching.remove(self)
            faulthandler.cancel_dump_traceback_later()
        if self._file:
            self._file.close()
            self._file = None
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def feed(self) -> None:
        """Let the time begin anew."""
        if time.monotonic() - self._fed > min(LEAST_SECONDS, self._seconds / 10):
            self._fed = time.monotonic()
            faulthandler.dump_traceback_later(self._seconds, exit=True, file=self._file or sys.stderr)


_watching: list[Watchdog] = []  # the one of this process, if any


def feed() -> None:
    """Tell the watchdog of this process, if there is one, that something was done."""
    for watchdog in _watching:
        watchdog.feed()


def take_hang(file: Path) -> Path | None:
    """Move aside what a watchdog has written, to HUNG beside it; None where the process did not hang."""
    try:
        if not file.stat().st_size:
            return None
        return file.rename(file.with_name(HUNG))
    except OSError:
        return None


def hang_line(where: Path, minutes: float) -> str:
    """What is said of a process that hung. where: as take_hang returned it."""
    return f"did nothing for {minutes:g} minutes (compute.hang_minutes): ended; {where} says where it hung"


def _no_link(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_NOFOLLOW, 0o666)
