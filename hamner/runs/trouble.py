"""Trouble of the machine: a full disk, a lost mount or node, and the like; errors that say nothing about the work.

Data in: an exception, or what is left of one after it has come from another process: a text. Data out: one line, or
None for any other error; and what is to be done about it. The whole chain is looked at: libraries wrap the system's
error, some as a text alone (safetensors, PyTorch, SQLite), and what Ray brings from another process has a traceback's
text for a chain.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from hamner.config.cost import GIB
from hamner.runs.files import free_gib, write_text

# fmt: off
NAMES = (
    "ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EIO", "EMFILE", "ENFILE", "ENOLCK", "ESTALE", "ENOTCONN", "ESHUTDOWN",
    "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENODEV", "ENXIO", "EREMOTEIO", "ENOMEDIUM", "EUCLEAN",
)
# fmt: on
CODES = {code for name in NAMES if (code := getattr(errno, name, None)) is not None}
PHRASES = (
    "can't start new thread",  # the limit of processes
    "could not be acquired",  # lock.py, filelock: an orphan still works in the folder
    "disk I/O error",  # SQLite
    "database or disk is full",
    "node has died",
    "node running low on memory",  # Ray's memory monitor has ended a process
    "NODE_OUT_OF_MEMORY",
    "of Ray on this machine has ended",  # ray_session.py
    "uncorrectable ECC error",
    "GPU is lost",
    "no CUDA-capable device",
    "CUDA-capable device(s) is/are busy or unavailable",
)
# of Ray; by name, since this room does not import it
CLASSES = {"NodeDiedError", "LocalRayletDiedError", "OutOfDiskError"}
# of errno's texts only those that mean nothing else: "Connection timed out" may be a model hub's
TEXTS = [os.strerror(code) for code in sorted(CODES) if code not in (errno.ETIMEDOUT, errno.EHOSTUNREACH)]
NUMBERS = rf"(?:\[Errno |os error )(?:{'|'.join(map(str, sorted(CODES)))})\b"
PATTERN = re.compile("|".join([*(re.escape(text) for text in (*TEXTS, *PHRASES)), NUMBERS]), re.IGNORECASE)
REFUSAL = re.compile(r"^[\w.]*\b(?:BadInput|Altered|Corrupt|OtherFormat): (.+)$", re.MULTILINE)  # in a traceback
FULL = re.compile("no space left|quota exceeded|disk is full|bytes left", re.IGNORECASE)
REMEDIES = {  # words of trouble: what is to be done about it
    os.strerror(errno.EROFS): "let it be written to (`mount -o remount,rw`)",
    os.strerror(errno.EMFILE): "let a process open more files (`ulimit -n 65536`)",
    os.strerror(errno.ENFILE): "let the system open more files (`sysctl fs.file-max`)",
    "start new thread": "let this user have more processes (`ulimit -u`)",
    "low on memory": "free memory (end other programs), or train fewer at a time (compute.threads)",
    "NODE_OUT_OF_MEMORY": "free memory (end other programs), or train fewer at a time (compute.threads)",
    "could not be acquired": "wait for the process of the earlier start to end, or end it",
    "of Ray on this machine": "find what ended it (`dmesg` says whether memory ran out)",
}
LONGEST = 300  # characters of a line
SMALLEST_FREE = 2**20  # bytes: with less no checkpoint can be written


class MachineTrouble(Exception):
    """The work stopped for a reason that is the machine's; it can be resumed."""


def machine_trouble(error: BaseException | str) -> str | None:
    """The line of an error, or of one in its chain, that is trouble of the machine; None for any other error."""
    if isinstance(error, str):
        return _line(error)
    for one in _chain(error):
        if isinstance(one, MachineTrouble) or _class_names(one) & CLASSES:
            return _first_line(one)
        if isinstance(one, OSError) and one.errno in CODES:
            return f"{type(one).__name__}: {_first_line(one)}" if not str(one).startswith("[") else _first_line(one)
        if found := _line(f"{one}\n{getattr(one, 'traceback_str', '')}"):
            return found
    return None


def remedy(trouble: str, folder: Path | None, needed_gib: float | None = None) -> str:
    """What is to be done about trouble, an imperative; of a full disk with what is free and what is needed.

    folder: that was written to. needed_gib: what its files take at most, those that are there among them. None where
    nobody knows.
    """
    if FULL.search(trouble):
        if folder is None:
            return "make room"
        place, free = free_gib(folder)
        needed = "" if needed_gib is None else f", and what it keeps needs up to {_size(needed_gib)} in all"
        return f"make room: {place} has {_size(free)} free{needed}"
    words = (words for phrase, words in REMEDIES.items() if phrase.lower() in trouble.lower())
    return next(words, "mend it (make room, mount it again)")


def refusal(text: str) -> str | None:
    """What a process refused its input with, by the traceback that is left of it; None where it did not."""
    lines = REFUSAL.findall(text)
    return lines[-1].strip() if lines else None


def storage_trouble(folder: Path) -> str | None:
    """What is wrong with the storage of a folder that a run writes to; None when a small file can be written there."""
    probe = folder / f".probe.{os.getpid()}"
    try:
        write_text(probe, "x" * 4096)
        probe.unlink()
        space = os.statvfs(folder)
        free = space.f_bavail * space.f_frsize
    except OSError as error:
        return f"{folder} cannot be written: {error}"
    return f"{folder} has {free} bytes left" if free < SMALLEST_FREE else None


def _size(gib: float) -> str:
    return f"{gib:.1f} GiB" if gib >= 1 else f"{gib * GIB / 2**20:.1f} MiB"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and those that caused it, were being handled, or lie in it."""
    seen, waiting = set[int](), [error]
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = [one.__cause__, one.__context__, getattr(one, "cause", None), *one.args]
        inner += getattr(one, "exceptions", ())
        waiting += [other for other in inner if isinstance(other, BaseException)]


def _class_names(error: BaseException) -> set[str]:
    return {kind.__name__ for kind in type(error).__mro__}


def _first_line(error: BaseException) -> str:
    return next((line.strip()[:LONGEST] for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _line(text: str) -> str | None:
    """The last line that names trouble: in a traceback the error itself."""
    lines = [line.strip() for line in text.splitlines() if PATTERN.search(line)]
    return lines[-1][:LONGEST] if lines else None
