"""Driver of a curriculum: shows the worker's log while it trains, and passes SIGTERM and Ctrl-C on to it.

The worker writes run.log and a line of progress into the run's folder, wherever it runs; a file there asks it to save
and leave. So a SIGTERM or a Ctrl-C loses nothing. `ray job stop` waits three seconds before it kills, and longer where
the head was started with RAY_JOB_STOP_WAIT_TIME_S=10.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.status import Status
from rich.text import Text

from curriculum.run_logger import PROGRESS

STOP = ".stop"  # the file that asks the worker to save and leave
SECONDS_TO_SAVE = 7.0  # of the ten a stopped run may take; Ray's shutdown needs the rest
QUIET_SECONDS = 15.0  # where no line can be rewritten, progress is printed after so long without another line


class Interrupted(Exception):
    """The run was stopped by this signal. is_saved: it ended by itself, at a checkpoint."""

    def __init__(self, number: int, is_saved: bool) -> None:
        self.number, self.is_saved = number, is_saved


def run_until_signal(work: Callable[[], str], folder: Path) -> str:
    """Do `work` in a thread; return what it returns, raise what it raises.

    Raises Interrupted after a SIGTERM or SIGINT; the worker has then been asked to stop and has had SECONDS_TO_SAVE.
    """
    results, signals, errors = [""], list[int](), list[Exception]()
    stop = folder / STOP
    stop.unlink(missing_ok=True)

    def on_signal(number: int, frame: FrameType | None) -> None:
        signals.append(number)

    def target() -> None:
        try:
            results[0] = work()
        except Exception as error:
            errors.append(error)

    handlers = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    thread = threading.Thread(target=target, daemon=True)
    try:
        thread.start()
        while thread.is_alive() and not signals:
            thread.join(0.1)
        if signals:
            stop.touch()
            thread.join(SECONDS_TO_SAVE)
            raise Interrupted(signals[0], is_saved=not thread.is_alive())
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        stop.unlink(missing_ok=True)
    if errors:
        raise errors[0]
    return results[0]


@contextlib.contextmanager
def log_shown(console: Console, folder: Path) -> Iterator[None]:
    """Print what is added to run.log while the block lasts, and keep the line of progress below it."""
    status = Status("starting", console=console)
    view, is_over = _LogView(console, folder, status), threading.Event()

    def follow() -> None:
        while not is_over.wait(0.3):
            view.refresh()
        view.refresh()

    thread = threading.Thread(target=follow, daemon=True)
    with status if console.is_terminal else contextlib.nullcontext():
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()


class _LogView:
    """Shows lines that are new since the last refresh."""

    def __init__(self, console: Console, folder: Path, status: Status) -> None:
        self._console, self._status = console, status
        self._log, self._progress = folder / "run.log", folder / PROGRESS
        self._position = self._log.stat().st_size if self._log.is_file() else 0
        self._progress.unlink(missing_ok=True)
        self._line, self._quiet_since = "", time.monotonic()

    def refresh(self) -> None:
        text, line = self._new_lines(), self._line
        if text:
            self._console.print(text, end="", soft_wrap=True, markup=False)
            self._quiet_since = time.monotonic()
        with contextlib.suppress(OSError):
            line = self._progress.read_text(encoding="utf-8")
        if line != self._line and self._console.is_terminal:
            self._status.update(Text(line))
            self._line = line
        elif line != self._line and time.monotonic() > self._quiet_since + QUIET_SECONDS:
            self._console.print(f"  {line}", soft_wrap=True, markup=False)
            self._line, self._quiet_since = line, time.monotonic()

    def _new_lines(self) -> str:
        """Return the whole lines added since the last call."""
        if not self._log.is_file():
            return ""
        with self._log.open("rb") as file:
            file.seek(self._position)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._position += len(whole)
        return whole.decode(errors="replace")
