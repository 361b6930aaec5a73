"""Text at a terminal: a streamed reply without control characters (escape sequences), wrapped at words; styles.

Data in: text as a model or a file gives it, piece by piece. Data out: what may be written to a terminal.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import sys
import textwrap
from typing import TextIO

from rich.cells import cell_len

from hamner.runs.output import printable

PARTS = re.compile(r"\s+|\S+")
NARROW = 40  # columns, below which nothing is indented
NO_WORDS = "..."
BOLD, CYAN, GREY = "1", "1;36", "2"


def terminal_width(stream: TextIO) -> float:
    """Columns of a terminal; without end where a stream is none, or one that cannot move its cursor."""
    is_dumb = os.environ.get("TERM", "dumb") in ("dumb", "unknown")
    return math.inf if is_dumb or not stream.isatty() else shutil.get_terminal_size().columns


def styled(text: str, style: str, stream: TextIO) -> str:
    """Text in a style, where a stream is a terminal that has one and nobody has asked for none (no-color.org)."""
    is_plain = os.environ.get("NO_COLOR") or math.isinf(terminal_width(stream))
    return text if is_plain else f"\x1b[{style}m{text}\x1b[0m"


def wrapped(text: str, stream: TextIO) -> str:
    """A line, as several where the terminal is narrower."""
    width = terminal_width(stream)
    if math.isinf(width):
        return text
    return textwrap.fill(text, int(width) - 1, break_long_words=False, break_on_hyphens=False)


class ReplyText:
    """Writes a reply to standard output as it comes, from its first word to its last.

    At a terminal a word that turns out to be too long for the line is moved to the next one.
    """

    def __init__(self, indent: int = 0) -> None:
        """indent: columns that are taken at the left, of the first line already; unused where it is no terminal."""
        self._width = terminal_width(sys.stdout) - 1  # in the last column terminals differ
        self._indent = " " * (indent if NARROW <= self._width < math.inf else 0)
        self._column, self._space, self._word = indent, "", ""  # the word is on the line already
        self._has_words = False

    def add(self, piece: str) -> None:
        """Write a piece; space is kept until a word follows."""
        for part in PARTS.findall(printable(piece)):
            if part.isspace():
                self._space, self._word = self._space + part.expandtabs(4), ""
            else:
                self._write(self._before(part) + part)
                self._column, self._word = self._column + cell_len(part), self._word + part
                self._has_words = True

    def end(self) -> None:
        """End the line; dots stand for a reply without words."""
        self._write("\n" if self._has_words else f"{NO_WORDS}\n")

    def _before(self, part: str) -> str:
        """What is written before the next part of a word: space, or what moves the word to the next line."""
        space, self._space = self._space if self._has_words else "", ""
        if "\n" in space:
            ends, _, rest = space.rpartition("\n")
            self._column = cell_len(self._indent + rest)
            return f"{ends}\n{self._indent}{rest}"
        begun = cell_len(self._word)
        if self._column + cell_len(space + part) <= self._width or not self._has_words:
            self._column += cell_len(space)
            return space
        if self._column - begun <= len(self._indent):  # a word longer than a line, or a language without spaces
            begun, self._word = 0, ""
        moved, self._column = self._word, len(self._indent) + begun
        return "\b" * begun + " " * begun + f"\n{self._indent}{moved}"

    def _write(self, text: str) -> None:
        print(text, end="", flush=True)
