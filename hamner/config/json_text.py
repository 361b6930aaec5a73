"""JSON text (parsing): the value that a file or a request holds, or one line of why it holds none.

Data in: text or bytes. Data out: plain values, nested so little that every function can walk through them; a ValueError
with words for a person otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

MOST_LEVELS = 100  # of lists and objects in one another: pydantic reads 200, Python's own functions about 900
TOO_DEEP = "it is nested too deeply"
TOO_LONG = "a number in it has thousands of digits"


def parse_json(text: str | bytes, parse_constant: Callable[[str], Any] | None = None) -> Any:
    """The value of JSON. Raises ValueError for what is none, and for numbers and nesting beyond what can be read.

    parse_constant: as of json.loads, of NaN and the infinities.
    """
    try:
        value = json.loads(text, parse_constant=parse_constant)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    except ValueError as error:
        if "int_max_str_digits" in str(error):  # Python's own words, about its own setting
            raise ValueError(TOO_LONG) from None
        raise
    if is_deep(value):
        raise ValueError(TOO_DEEP)
    return value


def is_deep(value: Any) -> bool:
    """Whether lists and tables lie in one another on more than MOST_LEVELS levels."""
    level = [value]
    for _ in range(MOST_LEVELS):
        level = [part for outer in level for part in _parts(outer) if isinstance(part, list | dict)]
        if not level:
            return False
    return True


def _parts(value: Any) -> Any:
    """What lies in a list or a table; nothing in anything else."""
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
