"""Read a TOML file; what is wrong with its encoding or syntax is said in one line.

Data in: a path. Data out: plain values, or a BadInput with the way out.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput
from hamner.config.json_text import TOO_LONG, is_deep

UTF8_MARK = b"\xef\xbb\xbf"  # Windows editors write it; it says nothing and is skipped
# Byte order marks of what is not UTF-8, the longer ones first: UTF-32's begins with UTF-16's.
BYTE_ORDER_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


def read_toml(path: Path) -> dict[str, Any]:
    """The values of a TOML file. Raises BadInput when it cannot be read as one."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(f"'{path}' cannot be read: {error.strerror}; give the path of a TOML file") from None
    text = utf8_text(data, str(path), "save it as plain UTF-8")
    try:
        return parse_toml(text)
    except ValueError as error:
        raise BadInput(f"{path} is not valid TOML: {error}") from None


def parse_toml(text: str) -> dict[str, Any]:
    """The values of TOML. Raises ValueError for what is none, and for numbers and nesting beyond what can be read."""
    try:
        values = tomllib.loads(text)
        if is_deep(values):  # by brackets, or by the dots of a key
            raise RecursionError
        json.dumps(values, default=str)  # a number in hexadecimal digits is read however long it is, and never written
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # Python's own, for a number of thousands of digits
        raise ValueError(TOO_LONG) from None
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None
    return values


def is_text(word: str) -> bool:
    """Whether a word of the command line or the terminal holds no bytes that are not UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in word)


def utf8_text(data: bytes, what: str, way_out: str) -> str:
    """The text that bytes are in UTF-8, without a byte order mark. Raises BadInput, about `what`, for other bytes."""
    data = data.removeprefix(UTF8_MARK)
    problem = _encoding_problem(data)
    if problem:
        raise BadInput(f"{what} {problem}: {way_out}")
    return data.decode("utf-8")


def _encoding_problem(data: bytes) -> str:
    """What keeps bytes from being plain UTF-8 text; empty when nothing does."""
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            return f"is {encoding}"
    if b"\0" in data:
        return "holds NUL bytes, as UTF-16 text does"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return f"is not UTF-8: line {line} holds the byte 0x{data[error.start]:02x}, as Latin-1 text may"
    return ""
