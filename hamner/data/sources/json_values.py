"""JSON records of a file: JSON lines, one array over many lines, or values written over several lines.

Data in: a stream of bytes. Data out: (place, record, bytes read) for each. A broken line of JSON lines is one
`Malformed`; after a fault in an array the records cannot be told apart: OSError.
"""

from __future__ import annotations

import codecs
import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from hamner.data.sources.open_text import ByteStream, encoding_of, not_text
from hamner.data.sources.records import Malformed, is_message, is_message_list

LONGEST_FIRST_LINE = 2**24  # of an array on one line, which is then read in pieces
CHUNK = 2**16  # bytes of such a piece
WHITESPACE = " \t\r\n\ufeff"
NEAR_THE_END = 16  # characters: a fault so near the end of what is read may be none once more is read

Line = bytes | str
Records = Iterator[tuple[str, Any, int]]  # place in the file, the record, bytes of the file read so far


def json_records(stream: ByteStream) -> Records:
    """The records of a file, whichever way they are written."""
    file, decode = _opened(stream)
    number, first = 1, file.readline(LONGEST_FIRST_LINE)
    while first and not decode(first).strip(WHITESPACE):
        number, first = number + 1, file.readline(LONGEST_FIRST_LINE)
    is_long = len(first) == LONGEST_FIRST_LINE and not first.endswith(b"\n" if isinstance(first, bytes) else "\n")
    rest: Iterator[Line] = iter(file)
    if is_long and decode(first).strip(WHITESPACE)[0] == "[":
        rest = iter(lambda: file.read(CHUNK), file.read(0))
    elif is_long:
        first += file.readline()
    if is_long or _goes_on(decode(first)):
        seen: list[Line] = [first]
        values = _value_records(_Text(map(_decoder(first), _remembered(seen, rest))))
        try:
            value = next(values, None)
        except json.JSONDecodeError as error:
            if is_long:
                raise OSError(f"not JSON: {error}") from None
            rest = itertools.chain(seen[1:], rest)
        else:
            seen.clear()
            yield from ((place, record, stream.position) for place, record in _from_first(value, values))
            return
    yield from _line_records(itertools.chain([first], rest), number, lambda: stream.position)


def _opened(stream: ByteStream) -> tuple[Any, Callable[[Line], str]]:
    """The file to read lines of, and what makes text of one; UTF-8 stays bytes, which is twice as quick to parse."""
    encoding = encoding_of(stream.head)
    if encoding != "utf-8-sig":
        return io.TextIOWrapper(stream.file, encoding, newline="\n"), str
    return stream.file, lambda line: line.decode("utf-8", "surrogateescape") if isinstance(line, bytes) else line


def _decoder(first: Line) -> Callable[[Line], str]:
    """What makes text of one piece after the other, which may end within a character."""
    if isinstance(first, str):
        return str
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    return lambda piece: decoder.decode(piece) if isinstance(piece, bytes) else piece


def _remembered(seen: list[Line], rest: Iterator[Line]) -> Iterator[Line]:
    """The first line and the rest; each is kept in `seen` as long as that is not empty."""
    yield seen[0]
    for line in rest:
        if seen:
            seen.append(line)
        yield line


def _goes_on(line: str) -> bool:
    """Whether the first line is no value because it ends too soon: the value goes on in the next line."""
    text = line.strip(WHITESPACE)
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return bool(text) and text[0] in "[{" and error.pos >= len(text)
    except (ValueError, RecursionError):
        pass
    return False


def _line_records(lines: Iterable[Line], number: int, position: Callable[[], int]) -> Records:
    """JSON lines; a line may hold a list of records. A return alone ends a line too: in a value it cannot stand."""
    for line in lines:
        pieces: list[Any] = [line]
        if (b"\r" if isinstance(line, bytes) else "\r") in line[:-2]:  # type: ignore[operator]
            pieces = line.split(b"\r" if isinstance(line, bytes) else "\r")  # type: ignore[arg-type]
        for piece in pieces:
            if not piece.strip():
                continue
            try:
                value = json.loads(piece)
            except (ValueError, RecursionError) as error:
                yield f":{number}", Malformed(_reason(error, piece)), position()
                continue
            if _holds_records(value):
                yield from ((f":{number}[{index}]", record, position()) for index, record in enumerate(value))
            else:
                yield f":{number}", value, position()
        number += 1


def _reason(error: ValueError | RecursionError, line: Line) -> str:
    """Why a line is no record."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if (b"\0" if isinstance(line, bytes) else "\0") in line:  # type: ignore[operator]
        return "NUL bytes, as a power cut leaves them"
    return not_text(error) if isinstance(error, UnicodeDecodeError) else str(error)


def _holds_records(value: Any) -> bool:
    is_list = isinstance(value, list) and bool(value) and not is_message_list(value)
    return is_list and all(isinstance(record, dict | list) for record in value)


class _Text:
    """Text in pieces, from which JSON values are taken."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self._pieces, self._text, self._place, self._is_whole = pieces, "", 0, False

    def next_sign(self) -> str:
        """The next character that is not space, which stays; "" at the end."""
        while True:
            while self._place < len(self._text):
                if self._text[self._place] not in WHITESPACE:
                    return self._text[self._place]
                self._place += 1
            if not self._read():
                return ""

    def skip(self) -> None:
        """Skip the character that next_sign has given."""
        self._place += 1

    def value(self) -> Any:
        """The next value. Raises JSONDecodeError."""
        self.next_sign()
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self._text, self._place)
            except json.JSONDecodeError as error:
                is_early = error.pos < len(self._text) - NEAR_THE_END and not error.msg.startswith("Unterminated")
                if is_early or not self._read():
                    raise
                continue
            except (ValueError, RecursionError) as error:  # a number of thousands of digits is a ValueError too
                reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
                raise json.JSONDecodeError(reason, self._text, self._place) from None
            if end == len(self._text) and isinstance(value, int | float) and self._read():
                continue  # a number may go on
            self._place = end
            return value

    def _read(self) -> bool:
        """Read as much again as is there; whether there was more."""
        self._text, self._place = self._text[self._place :], 0
        more, size = [], 0
        while size < max(CHUNK, len(self._text)) and not self._is_whole:
            piece = next(self._pieces, None)
            self._is_whole = piece is None
            more.append(piece or "")
            size += len(piece or "")
        self._text += "".join(more)
        return size > 0


def _value_records(text: _Text) -> Iterator[tuple[str, Any]]:
    """Place and value of each record: the elements of arrays, and any other value as it is. Raises JSONDecodeError."""
    number = 0
    while sign := text.next_sign():
        if sign != "[":
            number += 1
            yield f", value {number}", text.value()
            continue
        elements = _elements(text)
        first = next(elements, None)
        if is_message(first):
            number += 1
            yield f", value {number}", [first, *elements]
        elif first is not None:
            yield from ((f"[{index}]", element) for index, element in enumerate(itertools.chain([first], elements)))


def _elements(text: _Text) -> Iterator[Any]:
    """The elements of the array that begins here."""
    text.skip()
    if text.next_sign() == "]":
        text.skip()
        return
    while True:
        yield text.value()
        sign = text.next_sign()
        if sign not in (",", "]"):
            raise json.JSONDecodeError("an array that breaks off" if not sign else "Expecting ',' delimiter", sign, 0)
        text.skip()
        if sign == "]":
            return


def _from_first(value: tuple[str, Any] | None, values: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """All values from the first on. Raises OSError where they are broken: what follows cannot be told apart."""
    place = "the beginning"
    if value is not None:
        place = value[0]
        yield value
    try:
        for place, record in values:
            yield place, record
    except json.JSONDecodeError as error:
        raise OSError(f"not JSON after {place.strip(', ')}: {error.msg}") from None
