"""Errors of bad input: one message with every problem found, each with the value and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class BadInput(ValueError):
    """Something the user gave is wrong. `problems` holds one line each: what, the value, the way out."""

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class Problems:
    """Collects what several checks find, so that the user hears of everything at once."""

    def __init__(self) -> None:
        self.found: list[str] = []

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Within: a BadInput is noted instead of raised."""
        try:
            yield
        except BadInput as error:
            self.found += error.problems

    def raise_all(self) -> None:
        if self.found:
            raise BadInput(list(dict.fromkeys(self.found)))


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A hint for an unknown name: the nearest known one; all of them when none is near and they are few."""
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f"did you mean '{near[0]}'?"
    if len(known) <= 15:
        return f"known: {', '.join(known)}"
    return f"the did_you_mean known one is '{difflib.get_close_matches(word, known, n=1, cutoff=0.0)[0]}'"
