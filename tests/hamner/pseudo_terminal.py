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

CTRL_C, CTRL_D, LEFT, UP, DELETE = "\x03", "\x04", "\x1b[D", "\x1b[A", "\x7f"
PROMPT = r"(?<=\n)you:    $"
STYLES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|[\x01\x02\r]")


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
            env=os.environ | {"TERM": "xterm", "LC_ALL": "C.UTF-8"} | environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # Ctrl-C is a signal of this terminal
        )
        self.raw, self._read = "", 0  # all that appeared, and how much of it has been waited for

    def send(self, keys: str | bytes) -> None:
        os.write(self._main, keys.encode() if isinstance(keys, str) else keys)

    def expect(self, pattern: str, seconds: float = 240) -> str:
        """What has appeared since the last time, up to the first match of a pattern; without styles."""
        while not (match := re.search(pattern, self._unread())):
            if not select.select([self._main], [], [], seconds)[0]:
                raise AssertionError(f"{pattern!r} did not appear within {seconds} s: {self._unread()!r}")
            try:
                self.raw += os.read(self._main, 65536).decode(errors="replace")
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

    def close(self) -> int:
        """The exit code, once the command has ended by itself."""
        try:
            return self.process.wait(240)
        finally:
            self.process.kill()
            self.process.wait()
            os.close(self._main)
            os.close(self.end)

    def _unread(self) -> str:
        return STYLES.sub("", self.raw)[self._read :]
