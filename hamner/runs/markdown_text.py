"""Markdown of text that is not ours (escaping): shown letter for letter, whatever it spells.

Data in: text that a file gives, such as the name of a source or a licence. Data out: Markdown on one line, without
markup, links and HTML of that text.
"""

from __future__ import annotations

import re


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    text = re.sub(r"(?<!\s)\s*[\r\n]\s*", " ", text)  # begun at a gap's first letter alone: else its square in time
    text = re.sub(r"([\\`*\[\]<>|$~#&])", r"\\\1", text)
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)  # inside a word it is no emphasis


def code_span(text: str) -> str:
    """Text as code within a line, which no backtick of it ends."""
    text = " ".join(text.split())
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"
