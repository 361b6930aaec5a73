"""A pseudo-terminal of its own with a command in it: keys are sent, and what appears is waited for."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

CTRL_C, CTRL_D, LEFT, UP, DELETE = "\x03", "\x04", "\x1b[D", "\x1b[A", "\x7f"
PROMPT = r"(?<=\n\n)you:    $"  # which follows an empty line, as no other of these words does
STYLES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[^a-zA-Z]*$|[\x01\x02\r]")


def without_size(environment):
    """An environment without the size of another terminal, which readline leaves in the one of pytest's workers."""
    return {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}


class Terminal:
    """`python -m MODULE ARGUMENTS` at a terminal."""

    def __init__(self, *arguments, environment, columns=80):
        self._main, self.end = pty.openpty()
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=self.end,
            stdout=self.end,
            stderr=self.end,
            env=without_size(os.environ) | {"TERM": "xterm", "LC_ALL": "C.UTF-8"} | environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # Ctrl-C is a signal of this terminal
        )
        self._data, self._read = b"", 0  # all that appeared, and how many characters have been waited for

    def send(self, keys: str | bytes) -> None:
        os.write(self._main, keys.encode() if isinstance(keys, str) else keys)

    def expect(self, pattern: str, seconds: float = 240) -> str:
        """What has appeared since the last time, up to the first match of a pattern; without styles."""
        while not (match := re.search(pattern, self._unread())):
            if not select.select([self._main], [], [], seconds)[0]:
                raise AssertionError(f"{pattern!r} did not appear within {seconds} s: {self._unread()!r}")
            try:
                self._data += os.read(self._main, 65536)
            except OSError:  # the other end is closed
                raise AssertionError(f"{pattern!r} did not appear before the end: {self._unread()!r}") from None
        text = self._unread()[: match.end()]
        self._read += match.end()
        return text

    def ask(self, line: str | bytes) -> str:
        """What appears from a line to the next prompt."""
        self.send(line)
        self.send("\n")
        return self.expect(PROMPT)

    def wait_until_idle(self) -> None:
        """Wait until the command waits for a key: while readline is at work Python hears of no signal."""
        state = Path(f"/proc/{self.process.pid}/stat")
        while state.exists() and state.read_text().rpartition(")")[2].split()[0] != "S":
            time.sleep(0.01)

    def interrupt_prompt(self) -> str:
        """What appears from Ctrl-C at the prompt to the next one."""
        self.wait_until_idle()
        self.send(CTRL_C)
        return self.expect(PROMPT)

    def exit_code(self) -> int:
        """The exit code, once the command has ended by itself."""
        return self.process.wait(240)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._main)
        os.close(self.end)

    @property
    def raw(self) -> str:
        """All that has appeared, with styles."""
        return self._data.decode(errors="replace")

    def _unread(self) -> str:
        return STYLES.sub("", self.raw)[self._read :]
