"""A process of its own for work that may hang, in a socket or in a library's own retries.

A thread cannot be ended, and one of Arrow's that still waits for the network aborts the process when it exits. A
process can be ended at any moment, whatever it waits for. Nor does it take turns with this one's threads at Python.

What to do goes to it by stdin, which stays open: its end is the parent's. What it sends comes by a pipe of its own.
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
    """What the work raised, as its kind and the first line that was said."""


class Child:
    """Does `work(send, *arguments)`; what it sends is received in order. To be closed. `work` must be importable."""

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
        """The next thing sent. Raises TimeoutError, and Failed when the work did or nothing more will come."""
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
        """End it, wherever it is."""
        self._process.kill()
        self._process.wait()
        self._answers.close()
        assert self._process.stdin is not None
        self._process.stdin.close()


def first_line(error: BaseException | None) -> str:
    """What an error says, or what it is."""
    return next((line.strip()[:200] for line in str(error).splitlines() if line.strip()), type(error).__name__)


def serve(descriptor: int) -> None:
    """The process's whole life."""
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
        os._exit(0)  # threads that still wait would hold it, or abort it


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


class Background(Generic[T]):
    """Begins at once. may_be_left: the process may end before it has; it must be fit to be killed at any moment."""

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
        """Waits for it. Raises what it raised."""
        self._thread.join()
        if self._error:
            raise self._error
        return self._result
