"""JSON Lines that somebody's own words and votes are kept in (append-only log): a record a line, private to its owner.

Data in: a path and records. Data out: a file of mode 600, to which every line is added whole or not at all, by however
many processes; or its records, and a BadInput that names each broken line.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from hamner.config.errors import BadInput
from hamner.config.formats import unstamped
from hamner.config.json_text import parse_json
from hamner.runs.files import write_bytes

T = TypeVar("T")
PRIVATE = 0o600
LOCK_SECONDS = 10  # to wait for another process that writes the file


def add_line(path: Path, record: Mapping[str, Any]) -> None:
    """Add a record as the last line; a line that was cut short before is closed first.

    Raises OSError, also where the file is a link (ELOOP).
    """
    data = _line(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, PRIVATE)
        try:
            end = os.lseek(descriptor, 0, os.SEEK_END)
            if end and os.pread(descriptor, 1, end - 1) != b"\n":
                data = b"\n" + data
            if os.write(descriptor, data) < len(data):  # the disk is full: what was there stays as it was
                os.ftruncate(descriptor, end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def drop_lines(path: Path, is_dropped: Callable[[Any], bool]) -> int:
    """Remove the records of which `is_dropped` is true; returns how many. Broken lines stay. Raises OSError."""
    with _locked(path):
        lines = path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if not _is_dropped(line, is_dropped)]
        if len(kept) < len(lines):
            write_bytes(path, b"".join(kept), mode=PRIVATE)
        return len(lines) - len(kept)


def read_lines(path: Path, build: Callable[[Any], T], what: str) -> list[T]:
    """An object of each record. Raises BadInput with every line that is none.

    build: raises ValueError, with the reason, for a value that is not such a record. what: a record is, "a vote".
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}; mend it, or name another folder") from None
    objects, problems = [], []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                objects.append(build(parse_json(line)))
            except ValueError as error:
                reason = "not JSON" if isinstance(error, json.JSONDecodeError | UnicodeDecodeError) else error
                problems.append(f"{path}:{number} is not {what}: {reason}; mend that line, or delete it")
    if problems:
        raise BadInput(problems)
    return objects


def values_of(record: Any, kind: str, kinds: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
    """The values of a record's keys. Raises ValueError for another format, and for a key that is missing or wrong.

    kind: of the record, as formats.py has it. kinds: of each key that must be there.
    """
    if not isinstance(record, dict):
        raise ValueError("no object")
    record = unstamped(kind, record, "it")
    wrong = [key for key, kind in kinds.items() if not isinstance(record.get(key), kind)]
    if wrong:
        raise ValueError(f"{', '.join(wrong)} missing or of another kind")
    return {key: record[key] for key in kinds}


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _is_dropped(line: bytes, is_dropped: Callable[[Any], bool]) -> bool:
    try:
        return bool(is_dropped(json.loads(line)))
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the file's lock: without it a line could be added to a file that is being replaced."""
    with FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_SECONDS, mode=PRIVATE):
        yield
