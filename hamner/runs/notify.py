"""Notification (--notify COMMAND): a shell command of the user's is run with one line on its standard input.

Data in: a command, lines about a run. Data out: processes of their own, whose output is discarded. A command that
hangs, fails or does not exist never stops or delays the run: nothing waits for it, but a moment at the run's end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from types import TracebackType

from hamner.config.errors import BadInput
from hamner.runs.background import first_line
from hamner.runs.output import print_error
from hamner.runs.stopping import Interrupted

MOST_SECONDS = 30.0  # that a command may take; then it is killed with all it has started
LAST_SECONDS = 1.5  # that the end of a run waits for its commands; those that take longer go on without it


class Notifier:
    """Runs the command, if there is one. A context manager, which also tells of the error that ends its block."""

    def __init__(self, command: str | None, run: str, most_seconds: float = MOST_SECONDS) -> None:
        """run: what each line begins with."""
        self._command, self._run, self._most_seconds = command, run, most_seconds
        self._threads: list[threading.Thread] = []
        self._groups: set[int] = set()  # process groups of commands that run
        self._has_failed = False

    def send(self, line: str) -> None:
        """Run the command with this line on its standard input, and go on at once."""
        if self._command:
            thread = threading.Thread(target=self._work, args=(self._command, line), name="notify", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self, command: str, line: str) -> None:
        try:
            text = " ".join(f"{self._run}: {line}".split()) + "\n"
            code = self._run_command(command, text.encode(errors="replace"))
            problem = f"ended with exit code {code}" if code else ""
        except subprocess.TimeoutExpired:
            problem = f"took more than {self._most_seconds:g} s and was killed"
        except Exception as error:
            problem = f"did not start: {first_line(error)}"
        if problem and not self._has_failed:  # said once
            self._has_failed = True
            print_error(f"--notify: the command {problem}; the run goes on")

    def _run_command(self, command: str, text: bytes) -> int:
        """Run it to its end; its exit code. Raises TimeoutExpired once it has been killed."""
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the run
        )
        self._groups.add(process.pid)
        try:
            process.communicate(text, timeout=self._most_seconds)
            return process.returncode
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        finally:
            self._groups.discard(process.pid)

    def close(self) -> None:
        """Wait a moment for what still runs; what takes longer is killed later, by a process of its own."""
        end = time.monotonic() + LAST_SECONDS
        for thread in self._threads:
            thread.join(max(end - time.monotonic(), 0.0))
        for group in list(self._groups):
            with contextlib.suppress(OSError):
                subprocess.Popen(
                    ["/bin/sh", "-c", f"sleep {self._most_seconds:g}; kill -s KILL -- -{group}"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )

    def __enter__(self) -> Notifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, Interrupted):
            self.send(f"stopped by {signal.Signals(error.number).name}")
        elif error is not None and not isinstance(error, (BadInput, GeneratorExit)):
            self.send(f"failed: {type(error).__name__}: {first_line(error)}")
        self.close()
