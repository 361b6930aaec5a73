"""One piece of work in a thread, whose error is raised where its result is asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


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
