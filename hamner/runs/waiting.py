"""No silence (heartbeat): something moves every few seconds while work takes long and prints nothing itself.

Data in: what is waited for, how lines are printed. Data out: at a terminal one line on stderr that is written over,
`loading mine: 10 s`; elsewhere a line now and then.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hamner.runs import output
from hamner.runs.durations import duration_text

Say = Callable[[str], None]
SECONDS, SECONDS_LATER, LATER = 5.0, 30.0, 60.0  # of silence: in the first minute of lines that stay, and after it
CLEAR = "\r\x1b[K"


@contextmanager
def never_silent(
    what: str, say: Say = output.print_error, *, in_place: bool = True, seconds: float = SECONDS
) -> Iterator[Say]:
    """Yield `say`, for lines of one's own; whenever none has come for `seconds`, print how long `what` has taken.

    in_place: on a line of the terminal's that is written over, where stderr is one that can; else as lines of `say`.
    Lines of several threads do not mix. Where lines are kept, in a file, one in half a minute is enough.
    """
    beat = _Heartbeat(what, say, seconds, is_in_place=in_place and _can_write_over())
    thread = threading.Thread(target=beat.run, daemon=True)
    thread.start()
    try:
        yield beat.say
    finally:
        beat.ended.set()
        thread.join()
        beat.clear()


class _Heartbeat:
    def __init__(self, what: str, say: Say, seconds: float, *, is_in_place: bool) -> None:
        self.ended = threading.Event()
        self._what, self._say, self._seconds, self._is_in_place = what, say, seconds, is_in_place
        self._began = self._last = time.monotonic()
        self._lock, self._is_shown = threading.Lock(), False

    def say(self, line: str) -> None:
        with self._lock:
            self.clear()
            self._say(line)
            self._last = time.monotonic()

    def clear(self) -> None:
        """Remove the line that is written over."""
        if self._is_shown:
            print(CLEAR, end="", file=sys.stderr, flush=True)
            self._is_shown = False

    def run(self) -> None:
        while not self.ended.wait(max(0.0, self._last + self._interval() - time.monotonic())):
            if time.monotonic() < self._last + self._interval():
                continue
            line = f"{self._what}: {duration_text(time.monotonic() - self._began)}"
            if not self._is_in_place:
                self.say(line)
                continue
            with self._lock:
                self.clear()
                print(line, end="", file=sys.stderr, flush=True)
                self._is_shown, self._last = True, time.monotonic()

    def _interval(self) -> float:
        """Seconds of silence."""
        is_early = sys.stderr.isatty() and time.monotonic() - self._began < LATER
        return self._seconds if self._is_in_place or is_early else self._seconds * SECONDS_LATER / SECONDS


def _can_write_over() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb").lower() not in ("dumb", "unknown", "")
