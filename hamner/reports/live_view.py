"""Live view of a run (progress display): its table redrawn in place, by a thread; off a terminal a line now and then.

Data in: a console, a function that reads a RunStatus. Data out: what the terminal shows. It never slows or stops what
it shows: an error in it is one line on stderr, and the view is over.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from rich.console import Console
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType
from rich.text import Text

from hamner.reports.live_table import RunStatus, draw, way_on
from hamner.runs.background import first_line
from hamner.runs.output import is_unicode, print_error
from hamner.runs.tables import console as new_console

REDRAW_SECONDS = 2.0
LINE_SECONDS = 30.0  # between two lines where nothing can be redrawn
TICK_SECONDS = 0.3

Read = Callable[[], RunStatus]


def can_redraw(console: Console) -> bool:
    """Whether lines of this console can be written over: it is a terminal, and not a dumb one."""
    return sys.stdout.isatty() and console.is_terminal and not console.is_dumb_terminal


def spinning(console: Console, words: str) -> AbstractContextManager[object]:
    """Something that moves beside these words while the block lasts, at a terminal; else nothing."""
    return console.status(words) if can_redraw(console) else nullcontext()


class Screen:
    """The picture of a status at the bottom of a terminal; what others print appears above it. A context manager."""

    def __init__(self, console: Console) -> None:
        self._console, self._lines = console, list[str]()
        self._live = Live(
            Text(""),
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stderr=sys.stderr is not None and sys.stderr.isatty(),  # else its errors go where it goes
        )

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, status: RunStatus) -> None:
        """Draw a status in place of the one before."""
        width, height = self._console.size
        # one column and one line stay free: a terminal moves on by itself where the last one is written to
        picture = draw(status, width - 1, height - 1, is_unicode=is_unicode(self._console.encoding))
        self._erase_wrapped(width)
        self._lines = picture.plain.split("\n")
        self._live.update(picture, refresh=True)

    def _erase_wrapped(self, width: int) -> None:
        """Erase the lines that a terminal made narrower has added by wrapping those that were too long for it."""
        extra = sum(max(math.ceil(len(line) / width), 1) - 1 for line in self._lines)
        if extra:
            codes = [
                (ControlType.CARRIAGE_RETURN,),
                *[(ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)] * extra,
            ]
            self._console.control(Control(*codes))  # type: ignore[arg-type]


@contextmanager
def shown(console: Console, read: Read, follow: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Show a run while the block lasts. follow: called several times a second, and once at the end."""
    view, is_over = _View(console, read, follow), threading.Event()

    def work() -> None:
        while not is_over.wait(TICK_SECONDS):
            view.look()
        view.end()

    thread = threading.Thread(target=work, name="live view", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(5.0)  # a storage that hangs must not hold the run


class _View:
    """What the thread does; each part goes on without the others."""

    def __init__(self, console: Console, read: Read, follow: Callable[[], object]) -> None:
        self._console, self._read, self._follow = console, read, follow
        self._screen: Screen | None = None
        self._next = time.monotonic() + (0.0 if can_redraw(console) else LINE_SECONDS)
        self._is_broken = False

    def look(self) -> None:
        """Follow, and show the status where it is time."""
        self._follow_on()
        if not self._is_broken and time.monotonic() >= self._next:
            self._attempt(self._show)

    def _follow_on(self) -> None:
        try:
            self._follow()
        except Exception as error:
            print_error(f"the log of the run cannot be shown: {type(error).__name__}: {first_line(error)}")
            self._follow = lambda: None

    def end(self) -> None:
        self._follow_on()
        self._attempt(self._close)

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            self._is_broken = True
            print_error(f"the live table is broken, the run goes on: {type(error).__name__}: {first_line(error)}")
            screen, self._screen = self._screen, None
            if screen:
                screen.__exit__()

    def _show(self) -> None:
        if can_redraw(self._console):
            if self._screen is None:
                self._screen = Screen(self._console).__enter__()
            self._screen.show(self._read())
            self._next = time.monotonic() + REDRAW_SECONDS
        else:
            self._console.print(f"  {self._read().line}", soft_wrap=True, markup=False, highlight=False)
            self._next = time.monotonic() + LINE_SECONDS

    def _close(self) -> None:
        screen, self._screen = self._screen, None
        if screen:
            screen.__exit__()


def show_status(read: Read, *, is_watched: bool) -> None:
    """Print a status once, or go on showing it until the run is over."""
    if is_watched:
        watch(new_console(), read)
    else:
        print_status(new_console(), read())


def print_status(console: Console, status: RunStatus) -> None:
    """Print a status once, and the command that goes on where it is over."""
    console.print(draw(status, console.width, is_unicode=is_unicode(console.encoding)), soft_wrap=True)
    if way_on(status):
        console.print(way_on(status), soft_wrap=True, markup=False, highlight=False)


def watch(console: Console, read: Read) -> None:
    """Show a run that works elsewhere until it is over, then print it once more. Ctrl-C only ends the watching."""
    try:
        if can_redraw(console):
            with Screen(console) as screen:
                while not (status := read()).heartbeat.is_over:
                    screen.show(status)
                    time.sleep(REDRAW_SECONDS)
        else:
            while not (status := read()).heartbeat.is_over:
                console.print(status.line, soft_wrap=True, markup=False, highlight=False)
                time.sleep(LINE_SECONDS)
    except KeyboardInterrupt:
        status = read()
    print_status(console, status)
