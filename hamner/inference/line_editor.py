"""Line editing and history (readline): lines typed at a terminal, kept, where asked, in a file of the state folder.

Data in: keys. Data out: lines; the history file, readable by its owner alone, which holds typed lines and nothing else:
one JSON string a line, so that a message of several lines is one. Without readline lines are read as the terminal gives
them, and where the file cannot be written that is said once.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from hamner.config.errors import BadInput
from hamner.config.toml_file import is_text
from hamner.runs.files import write_bytes
from hamner.runs.output import printable

try:
    import readline
except ImportError:  # Windows, or a Python that was built without it
    readline = None  # type: ignore[assignment]

STYLE = re.compile("(\x1b\\[[0-9;]*m)")
KEPT_LINES = 1000
LONGEST_LINE = 10_000  # characters: no longer one is kept


def history_file() -> Path | None:
    """chat_history in the user's state folder (XDG); None for a user without a home."""
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    with suppress(RuntimeError):
        return (state if state.is_absolute() else Path.home() / ".local" / "state") / "hamner" / "chat_history"
    return None


class LineEditor:
    """Reads lines from the terminal, with the history of earlier chats."""

    def __init__(self, history: Path | None, words: Sequence[str], say: Callable[[str], None]) -> None:
        """history: the file; None: no line is kept. words: what Tab completes at a line's beginning.

        say: prints why history is not kept.
        """
        self._history, self._say, self._last = history, say, ""
        if readline is None:
            return
        readline.clear_history()
        for line in self._kept_lines():
            readline.add_history(line)
        is_libedit = "libedit" in (readline.__doc__ or "")  # of macOS
        readline.parse_and_bind("bind ^I rl_complete" if is_libedit else "tab: complete")
        readline.set_completer_delims(" ")
        readline.set_completer(lambda text, state: [*(w for w in words if text and w.startswith(text)), None][state])

    def read(self, prompt: str, text: str = "") -> str:
        """The next line, without space around it. Raises EOFError at the input's end, BadInput for what is no text.

        text: stands there already, to be changed.
        """
        if readline is not None:
            readline.set_startup_hook(lambda: readline.insert_text(printable(text)))
            prompt = STYLE.sub("\x01\\1\x02", prompt)  # which take no column
        try:
            line = input(prompt).strip()
        except UnicodeDecodeError:
            line = "\udc80"  # no text either
        if not is_text(line):
            raise BadInput("the message is not UTF-8 text: type it on a terminal that is set to UTF-8")
        if line:
            self._keep(line)
        return line

    def _kept_lines(self) -> list[str]:
        """The newest lines of the file, which is cut to these when it has become twice as long."""
        lines = []
        with suppress(OSError):
            data = self._history.read_bytes() if self._history else b""
            for written in data.decode(errors="replace").splitlines():
                with suppress(ValueError, RecursionError):
                    line = json.loads(written)
                    lines += [printable(line)] if isinstance(line, str) else []
        newest = lines[-KEPT_LINES:]
        if self._history and len(lines) > 2 * KEPT_LINES:
            with suppress(OSError):
                write_bytes(self._history, "".join(map(_written, newest)).encode(), mode=0o600)
        return newest

    def _keep(self, line: str) -> None:
        if self._history is None or len(line) > LONGEST_LINE or line == self._last:
            return
        self._last = line
        try:
            self._history.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._history, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                if stat.S_ISREG(os.fstat(descriptor).st_mode):  # a link to /dev/null keeps nothing, and its mode
                    os.fchmod(descriptor, 0o600)
                file.write(_written(line).encode())
        except OSError as error:
            self._say(f"typed lines are not kept: {self._history}: {error.strerror}")
            self._history = None


def _written(line: str) -> str:
    return json.dumps(line) + "\n"
