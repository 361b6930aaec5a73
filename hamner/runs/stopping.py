"""Stopping a run from outside: SIGTERM, SIGHUP and Ctrl-C, or trouble of the machine; what runs is asked to save first.

Data in: signals of the driver; a file in the run's folder tells its processes, wherever they run. Data out: an
Interrupted with the signal's number, which the command line turns into a line and an exit code. `ray job stop` waits
three seconds before it kills, and longer where the head was started with RAY_JOB_STOP_WAIT_TIME_S=10.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from hamner.runs.files import touch

T = TypeVar("T")

STOP = ".stop"  # the file that asks the processes of a run to save and leave
SECONDS_TO_SAVE = 7.0  # of the ten a stopped run may take; Ray's shutdown needs the rest
SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, name))
IMPORTING = "<frozen importlib._bootstrap>"  # where Python loads a module
SIGNALLED = 128  # exit codes beyond it say which signal has ended a command


class Interrupted(KeyboardInterrupt):
    """A signal has asked the process to end. is_saved: what it ran has ended by itself, at a checkpoint."""

    def __init__(self, number: int, is_saved: bool = False) -> None:
        super().__init__()
        self.number, self.is_saved = number, is_saved

    @property
    def exit_code(self) -> int:
        return SIGNALLED + self.number


@contextlib.contextmanager
def signals_raised() -> Iterator[None]:
    """Raise Interrupted in the main thread for a signal that asks to end, unless the process was started to ignore it.

    Nested blocks set the handlers again: libraries (Ray) put their own in place.
    """
    with _handled_by(_on_signal, lambda before: before is not signal.SIG_IGN):
        yield


def signals_end_at_once(code: int) -> None:
    """Let one more signal end a program that has been stopped, and said so, without a traceback of Python's own end."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in SIGNALS:
        signal.signal(number, lambda *_: os._exit(code))
        # Python takes its handlers away as it ends, and a signal would then end it with another code
        atexit.register(signal.signal, number, signal.SIG_IGN)


@contextlib.contextmanager
def signals_deferred(*, are_raised: bool = True) -> Iterator[None]:
    """Hold back a signal that asks to end until the block has ended; a second one is heard at once.

    are_raised: whether the first is heard at all, or the block is the end of what it would end.
    """
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if noted:
            raise Interrupted(number)
        noted.append(number)

    with _handled_by(note, callable):
        yield
    if noted and are_raised:
        signal.raise_signal(noted[0])


@contextlib.contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None], is_replaced: Callable[[Any], bool]) -> Iterator[None]:
    """Set this handler for the signals whose present one `is_replaced`; only the main thread may, others do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, old in before.items():
        if is_replaced(old):
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            if old is not None:
                signal.signal(number, old)


def _on_signal(number: int, frame: FrameType | None) -> None:
    if _is_importing(frame):
        again = threading.Timer(0.02, signal.pthread_kill, (threading.main_thread().ident, number))
        again.daemon = True
        again.start()
        return
    if number == getattr(signal, "SIGHUP", None):
        _leave_dead_terminal()
    raise Interrupted(number)


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a module is being loaded, which an exception from nowhere leaves as an error of another name, or half."""
    while frame and frame.f_code.co_filename != IMPORTING:
        frame = frame.f_back
    return frame is not None


def _leave_dead_terminal() -> None:
    """Write to nowhere instead of to a terminal that is gone, where every line would be an error."""
    import termios

    for descriptor in (1, 2):
        with contextlib.suppress(OSError):
            try:
                termios.tcgetattr(descriptor)
            except termios.error as error:
                if error.args[0] == 5:  # EIO; a file or a pipe is ENOTTY
                    nowhere = os.open(os.devnull, os.O_WRONLY)
                    os.dup2(nowhere, descriptor)
                    os.close(nowhere)


class StopRequest:
    """Whether a run is to stop, and why; for the driver's threads, and as a file for the processes that train."""

    def __init__(self, folder: Path | None = None) -> None:
        """folder: the run's; None for one whose processes are not told."""
        self.file = folder and folder / STOP
        self.trouble = ""  # of the machine; "" for a signal
        self._is_made = threading.Event()

    def __bool__(self) -> bool:
        return self._is_made.is_set()

    def make(self, trouble: str = "") -> None:
        """Ask all processes of the run to save and leave. The first reason counts."""
        if not self._is_made.is_set():
            self.trouble = trouble
        self._is_made.set()
        with contextlib.suppress(OSError):  # on a full disk or a lost mount: they are ended without it
            if self.file:
                touch(self.file)

    def clear(self) -> None:
        """Take the file away that an earlier start left, or this one."""
        with contextlib.suppress(OSError):
            if self.file:
                self.file.unlink(missing_ok=True)


def run_until_stopped(
    work: Callable[[], T],
    stop: StopRequest,
    seconds: float = SECONDS_TO_SAVE,
    trouble: Callable[[], str | None] = lambda: None,
) -> T | None:
    """Do `work` in a thread; return what it returns, raise what it raises.

    Raises Interrupted after a signal: the stop has then been requested, and `work` has had `seconds` to end; a second
    signal does not wait for it. A stop that is requested for another reason leaves it as long: None where it has not
    ended by then. trouble: what is wrong with the machine, asked all the while; a stop is requested for it, and errors
    that follow from it are not raised.
    """
    # an Event: Thread.join() that a signal interrupts takes the thread for ended (Python 3.11)
    results, errors, is_over = list[T](), list[Exception](), threading.Event()

    def target() -> None:
        try:
            results.append(work())
        except Exception as error:
            errors.append(error)
        finally:
            is_over.set()

    stop.clear()
    thread = threading.Thread(target=target, daemon=True)
    try:
        with signals_raised():
            try:
                thread.start()
                while not (is_over.wait(0.1) or stop):
                    _stop_for(trouble(), stop)
                is_over.wait(seconds)
                _stop_for(trouble() if errors else None, stop)  # it may have come first
            except KeyboardInterrupt as interrupt:
                stop.make()
                number = getattr(interrupt, "number", signal.SIGINT)
                if number == signal.SIGINT:  # somebody sits there
                    print(f"saving, for {seconds:g} s at most; Ctrl-C again ends it at once", flush=True)
                is_over.wait(seconds)
                raise Interrupted(number, is_saved=is_over.is_set()) from None
    finally:
        stop.clear()
    if errors and not stop.trouble:
        raise errors[0]
    return results[0] if results else None


def _stop_for(trouble: str | None, stop: StopRequest) -> None:
    if trouble:
        stop.make(trouble)
