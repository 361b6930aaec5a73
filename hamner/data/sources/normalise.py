"""The one rule by which text is cleaned before anything is counted, hashed or tokenised.

1. Unicode NFC: the same character is the same code points, whoever typed it.
2. Line ends: CR LF and CR become LF.
3. Control characters (C0 and C1, except tab and line feed) and byte order marks are removed.

Nothing else: case, punctuation, spaces and wrongly decoded letters stay as their author left them.
"""

from __future__ import annotations

import re
import unicodedata

LINE_ENDS = re.compile(r"\r\n?")
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff]")


def normalise(text: str) -> str:
    """Text by the rule above; applying it twice changes nothing."""
    if CONTROL.search(text):    # also finds CR
        text = CONTROL.sub("", LINE_ENDS.sub("\n", text))
    return text if text.isascii() else unicodedata.normalize("NFC", text)
