"""Atomic file writes, JSON, JSON lines: what a reader sees, or a kill leaves, is the old file or the new one.

Data in: a path, and bytes, text or JSON values. Data out: files; from reading, values, or a BadInput with the path. A
JSON file of a known name is written with its format, and read in two of them (config/formats.py).
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, TypeVar

from hamner.config.cost import GIB
from hamner.config.errors import BadInput, shortened
from hamner.config.formats import CHECKSUM, FORMATS, checksum, is_checked, stamped, unstamped
from hamner.config.json_text import parse_json

T = TypeVar("T")
RESTORE = "restore it from a copy"
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
LONGEST_NAME = 255  # bytes of a file's name


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path` once the block has written it without an error.

    It is not flushed to the disk, as write_bytes does: it survives a kill, not a power cut.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = f".{path.name}.{os.getpid()}.tmp"
    if len(os.fsencode(name)) > LONGEST_NAME:  # where the name itself is just short enough
        name = f".{hashlib.blake2b(os.fsencode(path.name), digest_size=8).hexdigest()}.{os.getpid()}.tmp"
    temporary = path.with_name(name)
    if temporary.is_symlink():  # no process of ours leaves one: what is written would go where it leads
        temporary.unlink()
    try:
        yield temporary
        temporary.replace(path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is None:  # writing names none: then it is not known which disk
            error.filename = str(path)
        with suppress(OSError):  # on a full disk what was written so far is in the way
            temporary.unlink(missing_ok=True)
        raise


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Yield a folder beside `path` that is removed at the end; what killed processes left of it is removed now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.folder"):
        shutil.rmtree(leftover, ignore_errors=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.folder")
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder, and rename it to `path` once the block has filled it without an error.

    `path` must not exist, or be an empty folder. Like `replacing` it survives a kill, not a power cut.
    """
    with scratch_folder(path) as folder:
        yield folder
        folder.replace(path)


def write_bytes(path: Path, data: bytes | bytearray, mode: int = 0o666) -> None:
    """Write a file atomically and flush it to the disk. mode: who may read and write it, less the umask."""

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags, mode)

    with replacing(path) as temporary, open(temporary, "wb", opener=opener) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Write text atomically, in UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write a JSON value atomically. Raises ValueError for NaN and infinities, which JSON has not."""
    write_bytes(path, json_bytes(stamped(path.name, value)))


def json_bytes(value: Any) -> bytes:
    """A JSON value as files hold it. A byte of a file's name that is not UTF-8 is escaped, so that it is read back."""
    text = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")  # writes a lone surrogate as JSON does, \udcff


def json_line(value: Any) -> bytes:
    """A JSON value as a line of a file, without the line's end; of bytes that are not UTF-8 as json_bytes."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")


def read_json(path: Path) -> Any:
    """The value a JSON file holds. Raises BadInput, with the path, for a file that is missing, broken or too new."""
    try:
        value = unstamped(path.name, foreign_json(path), path)
    except BadInput:
        raise
    except ValueError as error:
        raise BadInput(f"{path} is broken: {error}; {RESTORE}") from None
    if path.name in FORMATS and not isinstance(value, Mapping):
        raise BadInput(f"{path} is broken: it holds no object, but {shortened(repr(value))}; {RESTORE}")
    return value


def resealed(kind: str, before: bytes, after: bytes) -> bytes:
    """`after`, a changed JSON file, with a checksum of its own where that of `before` agrees; else as it is.

    kind: the file's name; of one that ends in .jsonl each line has its own. What was damaged stays so.
    """
    if before == after or not is_checked(kind):
        return after
    if kind.endswith(".jsonl"):
        lines = zip(before.split(b"\n"), after.split(b"\n"), strict=True)
        return b"\n".join(_resealed(*pair, json_line) for pair in lines)
    return _resealed(before, after, json_bytes)


def _resealed(before: bytes, after: bytes, write: Callable[[Any], bytes]) -> bytes:
    try:
        document, changed = json.loads(before), json.loads(after)
        is_whole = document[CHECKSUM] == checksum(document)
        return write(changed | {CHECKSUM: checksum(changed)}) if is_whole else after
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return after


def foreign_json(path: Path) -> Any:
    """The value of a JSON file that another program may have written, to whose `format` ours means nothing.

    Raises BadInput for one that is missing or broken, and OSError where this process may open no more files.
    """
    try:
        return parse_json(path.read_text(encoding="utf-8-sig"))  # a person may have written it, with Windows' mark
    except FileNotFoundError:
        raise BadInput(f"no file {path}") from None
    except ValueError as error:
        raise BadInput(f"{path} is broken: {error}; {RESTORE}") from None
    except OSError as error:
        if error.errno in EXHAUSTED:  # the file may be whole
            raise
        raise BadInput(f"{path} is broken: {error}; {RESTORE}") from None


def read_json_as(path: Path, build: Callable[[Any], T]) -> T:
    """Build an object from a JSON file. Raises BadInput when the file, or a part that `build` reads, is not there."""
    document = read_json(path)
    with reading(path):
        return build(document)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise BadInput where the block meets a value of a file that is missing or of another kind."""
    try:
        yield
    except BadInput:
        raise
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, ArithmeticError) as error:
        raise BadInput(f"{path} is broken: {type(error).__name__} {error}; {RESTORE}") from None


def free_gib(folder: Path) -> tuple[Path, float]:
    """The nearest folder that exists, `folder` itself or one above it, and the free space there in GiB."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return existing, shutil.disk_usage(existing).free / GIB


def open_to_append(path: Path) -> TextIO:
    """Open a text file of a run to write at its end. Raises OSError (ELOOP) where it is a link, to a file elsewhere.

    Files that are written whole are renamed into their place, which replaces a link.
    """

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW, 0o666)

    return open(path, "a", encoding="utf-8", opener=opener)


def touch(path: Path) -> None:
    """Make an empty file of a run, where there is none. Raises OSError (ELOOP) where it is a link."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666))


def append_json_line(path: Path, value: Mapping[str, Any]) -> None:
    """Append one JSON object as a line. A kill may cut it short: the next one begins a line nevertheless."""
    line = json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"
    with open_to_append(path) as file:
        file.write(line if _ends_a_line(path) else f"\n{line}")


def _ends_a_line(path: Path) -> bool:
    """Whether what is added to a file begins a line."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
        return file.read(1) in (b"", b"\n")


def drop_json_lines_after(path: Path, step: int) -> None:
    """Drop the lines whose "step" is above `step`, and those that are no such line: cut short by a kill, or damaged."""
    if not path.is_file():
        return
    lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):  # text may hold other line ends
        try:
            if json.loads(line)["step"] <= step:
                lines.append(line)
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    write_text(path, "".join(line + "\n" for line in lines))


def file_sha256(path: Path) -> str:
    """The checksum of a file of any size, in hexadecimal digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
