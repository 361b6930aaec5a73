"""Errors of bad input: one exception that lists every problem, each with the value and the way out; spelling hints.

Data in: lines of text. Data out: a BadInput, which the command line prints on stderr, one line a problem.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

LONGEST_SHOWN = 80  # letters of a value in a message
LONGEST_WORD = 200  # letters of a word that are compared with known ones
LONGEST_LINE = 2000  # letters of one problem: whatever a file holds, a person reads it to its end
MOST_PROBLEMS = 100  # lines of one BadInput


class BadInput(ValueError):
    """Input of the user is wrong. `problems` holds one line each: what is wrong, the value, the way out.

    Of very many the first are kept and the rest is counted; a line that is too long loses its middle.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        lines = [problems] if isinstance(problems, str) else list(problems)
        if len(lines) > MOST_PROBLEMS + 1:  # the one more says how many there are beside
            lines[MOST_PROBLEMS:] = [f"and {len(lines) - MOST_PROBLEMS:,} further problems"]
        self.problems = [_one_line(line) for line in lines]
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type[BadInput], tuple[list[str]]]:
        """As it is sent between processes: with its lines."""
        return type(self), (self.problems,)


class Problems:
    """Collects the problems of several checks, so that the user reads all of them at once."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Add the problems of a BadInput that is raised in the block, and end the block without raising it."""
        try:
            yield
        except BadInput as error:
            self.lines += error.problems

    def raise_all(self) -> None:
        """Raise one BadInput with all problems, each once, if there are any."""
        if self.lines:
            raise BadInput(list(dict.fromkeys(self.lines)))


def _one_line(text: str) -> str:
    line = " ".join(text.splitlines())
    if len(line) <= LONGEST_LINE:
        return line
    return f"{line[: LONGEST_LINE - 500]}… ({len(line):,} letters) …{line[-400:]}"


def shortened(text: str) -> str:
    """A text for a message: of a long one its beginning, and how long it is."""
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 20]}… ({len(text)} letters)"


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A hint for an unknown name: the nearest known one, capitals apart; where none is, all if they are 15 or fewer."""
    if not known:
        return "there is none"
    word = word[:LONGEST_WORD]
    same = [name for name in known if name.casefold() == word.casefold()]
    near = same or difflib.get_close_matches(word, known, n=1)
    begun = [name for name in known if len(word) >= 2 and name.startswith(word)]
    if not near and len(begun) == 1:
        near = begun
    if near:
        return f"did you mean '{near[0]}'?"
    if len(known) <= 15:
        return f"known: {', '.join(known)}"
    return f"the nearest known one is '{difflib.get_close_matches(word, known, n=1, cutoff=0.0)[0]}'"
