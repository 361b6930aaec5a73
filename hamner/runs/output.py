"""Standard output and error of a command: closed pipes, full disks, terminals that cannot show every character.

Data in: what a command prints. Data out: the same, in characters that the output's encoding has. Where the output takes
nothing more: exit code 2 and one line on stderr; for a closed pipe 141 and no line, as of any command before `| head`.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import re
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn, TextIO, cast

from hamner.config.errors import BadInput

CLOSED_PIPE = 141  # 128 + SIGPIPE, what a shell shows of any command whose reader has gone
ASCII = {
    "Δ": "delta",
    "±": "+-",
    "→": "->",
    "×": "x",
    "–": "-",
    "—": "-",
    "…": "...",
    "·": ".",
    "÷": "/",
    "√": "sqrt ",
    "≤": "<=",
    "≥": ">=",
    "≈": "about ",
    "λ": "lambda",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "\u00a0": " ",
    "\u202f": " ",
}
# Beside what controls a terminal (C0 with the escape, DEL, C1) what turns the direction of the text around it
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
ERRORS = "hamner.ascii"  # name of the handler for what an encoding lacks


class OutputFailed(SystemExit):
    """Standard output takes nothing more: the command ends with this exit code, whatever it is in the middle of."""


def printable(text: str) -> str:
    """Text without the characters that move a terminal's cursor, colour it or worse; line ends and tabs stay."""
    return CONTROL.sub("", text)


def to_ascii(text: str) -> str:
    """Text with the signs of our tables written in ASCII; what has no such spelling stays."""
    return text.translate(_TABLE)


_TABLE = str.maketrans(ASCII)


def _spell(error: UnicodeError) -> tuple[str, int]:
    """What to write for characters that an encoding lacks: their ASCII spelling, else their escape."""
    assert isinstance(error, UnicodeEncodeError)
    missing = error.object[error.start : error.end]
    text = "".join(ASCII.get(character, ascii(character)[1:-1]) for character in missing)
    return text, error.end


codecs.register_error(ERRORS, _spell)


def is_unicode(encoding: str | None) -> bool:
    """Whether an encoding can show every character."""
    return (encoding or "ascii").lower().replace("_", "-").startswith("utf")


def open_streams() -> None:
    """Make standard output and error such that no character breaks them. Raises BadInput where output is closed.

    A descriptor that was closed is opened anew on the null device: the next file would get its number otherwise, and
    what libraries print would end up in that file.
    """
    is_closed = sys.stdout is None
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - for as long as the process lives
    if is_closed:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
        raise BadInput("standard output is closed: give it a place, such as `> log.txt` or `> /dev/null`")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=ERRORS)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout is sys.__stdout__:  # not what a test captures with
        sys.stdout = cast(TextIO, GuardedOutput(sys.stdout))


class GuardedOutput:
    """Standard output whose errors end the command as this module says, whoever prints."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._stream = stream
        self._failure: OSError | None = None  # of another thread

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def _attempt(self, action: Callable[[], object]) -> None:
        """Raise OutputFailed where the stream takes nothing more; in the main thread, since others end alone.

        A terminal that has gone (EIO) ends nothing: SIGHUP decides, and until then the work goes on without output.
        """
        try:
            action()
        except OSError as error:
            silence(self._stream)
            self._failure = None if error.errno == errno.EIO else error
        if self._failure and threading.current_thread() is threading.main_thread():
            failure, self._failure = self._failure, None
            leave(failure)


def print_error(line: str, style: Callable[[str], str] = str) -> None:
    """Print a line on stderr, if it takes one; of what files and programs say, only what a terminal shows as text.

    style: colours what is left.
    """
    try:
        print(style(printable(line)), file=sys.stderr, flush=True)
    except OSError:
        silence(sys.stderr)


def leave(error: OSError) -> NoReturn:
    """End the command because standard output failed."""
    if error.errno == errno.EPIPE:
        raise OutputFailed(CLOSED_PIPE) from None
    reason = error.strerror or str(error)
    print_error(f"error: the output cannot be written: {reason}; free space there, or send the output elsewhere")
    raise OutputFailed(2) from None


def silence(stream: TextIO) -> None:
    """Send what a stream still holds, and all that follows, to the null device."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
        stream.flush()
    except (OSError, ValueError):
        return
