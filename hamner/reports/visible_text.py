"""Text that a model wrote (sanitisation), made visible: control characters and marks that turn the line are shown.

In: any text. Out: a text that no terminal or page obeys; HTML is escaped where a page is made.
"""

from __future__ import annotations

SIGN = "\ufffd"  # in place of a character that would not be seen


def visible(text: str, *, keeps_lines: bool = False) -> str:
    """The text with a sign for each character that is not printable; an ellipsis where there is nothing to see.

    keeps_lines: line ends stay; else they are signs too, so that the text is one line.
    """
    signs = {"\n": "\n" if keeps_lines else "↵", "\t": " "}
    shown = "".join(c if c.isprintable() else signs.get(c, SIGN) for c in text.strip())
    return shown or "…"
