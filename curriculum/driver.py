"""Driver of a curriculum: shows the worker's log while it trains.

The worker writes run.log and a line of progress into the run's folder, wherever it runs. How it is asked to save and
leave stands in hamner/runs/stopping.py.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.status import Status
from rich.text import Text

from curriculum.run_logger import PROGRESS

QUIET_SECONDS = 15.0  # where no line can be rewritten, progress is printed after so long without another line


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
