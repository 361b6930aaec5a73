"""The driver's side of a run: shows what the worker tells, and passes a signal to stop on to it.

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

from curriculum.run_logger import PROGRESS
from curriculum.train_loop import STOP

SECONDS_TO_SAVE = 7.0  # of the ten a stopped run may take; Ray's shutdown needs the rest
QUIET_SECONDS = 15.0  # where no line can be rewritten, progress is printed when nothing else was for so long


class Interrupted(Exception):
    """The run was told to stop by this signal. saved: it had come to an end by itself, and stands at a checkpoint."""

    def __init__(self, number: int, saved: bool) -> None:
        self.number, self.saved = number, saved


def run_until_told(work: Callable[[], str], folder: Path) -> str:
    """Do `work` in a thread and return what it returns, or raise what it raises.

    Raises Interrupted after a SIGTERM or SIGINT; the worker has then been asked to stop and has had SECONDS_TO_SAVE.
    """
    found, told, failed = [""], list[int](), list[Exception]()
    stop = folder / STOP
    stop.unlink(missing_ok=True)

    def note(number: int, frame: FrameType | None) -> None:
        told.append(number)

    def target() -> None:
        try:
            found[0] = work()
        except Exception as error:
            failed.append(error)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    thread = threading.Thread(target=target, daemon=True)
    try:
        thread.start()
        while thread.is_alive() and not told:
            thread.join(0.1)
        if told:
            stop.touch()
            thread.join(SECONDS_TO_SAVE)
            raise Interrupted(told[0], saved=not thread.is_alive())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        stop.unlink(missing_ok=True)
    if failed:
        raise failed[0]
    return found[0]


@contextlib.contextmanager
def shown(console: Console, folder: Path) -> Iterator[None]:
    """While the block lasts: print what is added to run.log, and keep the line of progress below it."""
    log, progress = folder / "run.log", folder / PROGRESS
    position = log.stat().st_size if log.is_file() else 0
    progress.unlink(missing_ok=True)
    done, status = threading.Event(), Status("starting", console=console)
    told, quiet_since = "", time.monotonic()

    def new_lines() -> str:
        nonlocal position
        if not log.is_file():
            return ""
        with log.open("rb") as file:
            file.seek(position)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        position += len(whole)
        return whole.decode(errors="replace")

    def look() -> None:
        nonlocal told, quiet_since
        text, line = new_lines(), told
        if text:
            console.print(text, end="", soft_wrap=True, markup=False)
            quiet_since = time.monotonic()
        with contextlib.suppress(OSError):
            line = progress.read_text(encoding="utf-8")
        if line != told and console.is_terminal:
            status.update(line)
            told = line
        elif line != told and time.monotonic() > quiet_since + QUIET_SECONDS:
            console.print(f"  {line}", soft_wrap=True, markup=False)
            told, quiet_since = line, time.monotonic()

    def follow() -> None:
        while not done.wait(0.3):
            look()
        look()

    thread = threading.Thread(target=follow, daemon=True)
    with status if console.is_terminal else contextlib.nullcontext():
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
