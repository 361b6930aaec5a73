"""Unicode normalization of text: NFC, one kind of line end, no control characters; and no words glued together.

In: the text of a record. Out: the same with
- every line end as LF: CR LF, CR, VT, FF, NEL, the separators U+001C to U+001F, U+2028 and U+2029
- what was cp1252 and read as latin-1 (C1 controls) as the signs that were meant, as browsers do: don\\x92t
- no other control character and no byte order mark
- Unicode NFC
"""

from __future__ import annotations

import re
import unicodedata

LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1f\x85\u2028\u2029]")
SIGNS = re.compile("[\x80\x82-\x84\x86-\x8c\x8e\x91-\x9c\x9e\x9f]")  # of cp1252, but for NEL
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")


def normalize(text: str) -> str:
    """The normalized text; applying it twice changes nothing."""
    if CONTROL.search(text):  # also finds CR
        if SIGNS.search(text):  # NEL then is an ellipsis
            from ftfy.fixes import fix_c1_controls  # a quarter of a second, which other text need not wait for

            text = fix_c1_controls(text)
        text = CONTROL.sub("", LINE_ENDS.sub("\n", text))
    return text if text.isascii() else unicodedata.normalize("NFC", text)
