"""Background work: in a child process that can be killed when it hangs (Child), or in a thread (Background).

A thread cannot be ended, and one of Arrow's that still waits for the network aborts the process when it exits. A child
process can be ended at any moment, and does not share this one's global interpreter lock.

Data in: an importable function and its arguments, pickled to the child's stdin; stdin stays open, and the child ends
when it closes, so it never outlives its parent. Data out: the values the function sends, by a pipe of their own.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Send = Callable[[Any], None]


class Failed(Exception):
    """The work raised an error, whose first line this is, or its process ended."""


class Child:
    """A process that does `work(send, *arguments)`. Close it after use. `work` must be importable."""

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        self._answers, theirs = Pipe(duplex=False)
        path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)  # noqa: PTH109 (a word of it)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", f"from {__name__} import serve; serve({theirs.fileno()})"],
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )  # Ctrl-C is for the parent, which closes this
        theirs.close()
        assert self._process.stdin is not None
        self._process.stdin.write(pickle.dumps((work, arguments)))
        self._process.stdin.flush()

    def receive(self, seconds: float | None = None) -> Any:
        """The next value sent, in order. Raises TimeoutError after `seconds`, Failed when the work has."""
        if not self._answers.poll(seconds):
            raise TimeoutError
        try:
            answer = self._answers.recv()
        except EOFError:
            raise Failed(f"its process ended with exit code {self._process.wait()}") from None
        if isinstance(answer, Failed):
            raise answer
        return answer

    def close(self) -> None:
        """Kill the process, whatever it waits for."""
        self._process.kill()
        self._process.wait()
        self._answers.close()
        assert self._process.stdin is not None
        self._process.stdin.close()


def first_line(error: BaseException | None) -> str:
    """The first line of an error's message, or its type where it has none."""
    return next((line.strip()[:200] for line in str(error).splitlines() if line.strip()), type(error).__name__)


def serve(descriptor: int) -> None:
    """Receive the work, do it, and end: all that the child process runs."""
    work, arguments = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    answers, one_at_a_time = Connection(descriptor, readable=False), threading.Lock()

    def send(value: Any) -> None:
        with one_at_a_time:  # a library's threads may send too
            answers.send(value)

    try:
        work(send, *arguments)
    except Exception as error:
        send(Failed(first_line(error)))
    finally:
        os._exit(0)  # not sys.exit: threads that still wait would hold or abort the process


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


class Background(Generic[T]):
    """A thread that starts `work` at once.

    may_be_left: the process may end before the work has; then the work must stand being killed at any moment.
    """

    def __init__(self, work: Callable[[], T], name: str, *, may_be_left: bool = False) -> None:
        self._error: BaseException | None = None
        self._result: T

        def run() -> None:
            try:
                self._result = work()
            except BaseException as error:
                self._error = error

        self._thread = threading.Thread(target=run, name=name, daemon=may_be_left)
        self._thread.start()

    def result(self) -> T:
        """Wait for the work and return its result, or raise its error."""
        self._thread.join()
        if self._error:
            raise self._error
        return self._result
