"""Removal (clean-up): what can be removed of what runs leave on disk, and removing it.

Data in: the results folder and its runs. Data out: a list of what can go, with its size and why; files that are gone.
Nothing that a process works on is removed, and nothing outside the folder it was listed in: links are not followed.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from hamner.config.errors import BadInput, Problems, did_you_mean
from hamner.config.formats import OtherFormat
from hamner.runs.files import read_json
from hamner.runs.folders import RUN_FILES, reason
from hamner.runs.inventory import LOCK, RUNNING, UNFINISHED, StoredRun, age_text, size_and_time
from hamner.runs.lock import lock_holder, only_one
from hamner.runs.ray_session import dead_sessions

# of files.py: what is written beside its place and renamed; a process that is killed leaves it
LEFTOVER = re.compile(r"\.(.+\.\d+\.(tmp|folder)|probe\.\d+)")
LEFTOVER_SECONDS = 3600.0  # a younger one may be in the making, on another machine too
PREPARED_LOCK, PREPARED_PARTS = ".prepare.lock", ("manifest.json", "unfinished")


@dataclass(frozen=True)
class Removable:
    """Something that can be removed."""

    label: str
    path: Path
    size: int  # bytes
    written: float  # seconds since 1970
    why: str
    lock: Path | None = None  # that is held meanwhile, of what a process could be working on


def leftovers(results: Path, runs: Sequence[StoredRun]) -> list[Removable]:
    """Files and folders of killed processes: half written, or half removed; not in runs that are worked on."""
    busy = [run.folder for run in runs if run.state == RUNNING]
    return [
        Removable(str(path.relative_to(results)), path, size, written, "left by a process that was killed")
        for kind in ("", *RUN_FILES)
        for path in _leftover_paths(results / kind, is_deep=bool(kind))
        if not any(path.is_relative_to(folder) for folder in busy)
        for size, written in [size_and_time(path)]
        if time.time() - written > LEFTOVER_SECONDS
    ]


def _leftover_paths(folder: Path, *, is_deep: bool) -> Iterator[Path]:
    """Paths with the name of a leftover in a folder, and where `is_deep` in those below it."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if LEFTOVER.fullmatch(path.name):
            yield path
        elif is_deep and path.is_dir():
            yield from _leftover_paths(path, is_deep=True)


def old_sessions() -> tuple[list[Removable], int]:
    """Ray's folders of dead sessions of ours; and how many dead ones there are that are not marked as ours."""
    folders, others = dead_sessions()
    why = "logs of a Ray that has ended"
    return [Removable(str(path), path.resolve(), *size_and_time(path), why) for path in folders], others


def named_runs(results: Path, runs: Sequence[StoredRun], names: Sequence[str]) -> list[StoredRun]:
    """The runs of these names, of every kind, or KIND/NAME. Raises BadInput for what is not there or is worked on."""
    problems, chosen = Problems(), dict[str, StoredRun]()
    for name in names:
        matches = [run for run in runs if name in (run.name, run.label)]
        chosen |= {run.label: run for run in matches}
        if not matches:
            problems.lines.append(f"no run '{name}' in {results}{_way_out(results, name, runs)}")
    problems.lines += [
        f"{run.label} is in use by {user}: wait for it to end, or stop it first"
        for run in chosen.values()
        if (user := user_of(run, runs))
    ]
    problems.raise_all()
    return list(chosen.values())


def _way_out(results: Path, name: str, runs: Sequence[StoredRun]) -> str:
    places = [results / name, *(results / kind / name for kind in RUN_FILES)]
    if ".." not in Path(name).parts and any(path.is_symlink() for path in places):
        return ", but a link, which is not followed: remove it yourself"
    return f"; {did_you_mean(name, sorted({run.name for run in runs}))}" if runs else ": there is none at all"


def unfinished_runs(runs: Sequence[StoredRun]) -> list[StoredRun]:
    """Runs that are not finished and not worked on."""
    return [run for run in runs if run.state == UNFINISHED and run.kind != "choice" and not user_of(run, runs)]


def user_of(run: StoredRun, runs: Sequence[StoredRun]) -> str | None:
    """Who works on a run, or on another that reads it now; None where nobody does."""
    if run.state == RUNNING:
        return "a process that works on it"
    for other in runs:
        is_part = run.name == other.name and other.kind == "friend"
        is_part |= run.kind == "choice" and other.name.startswith(f"{run.name}-")
        if other.state == RUNNING and (is_part or reads(other, run.folder)):
            return other.label
    return None


def reads(run: StoredRun, folder: Path) -> bool:
    """Whether a run has written down that it begins with something in a folder: a tokenizer, weights, text."""
    try:
        text = (run.folder / RUN_FILES[run.kind]).read_text(encoding="utf-8")
    except OSError:
        return False
    return f'"{folder}"' in text or f'"{folder}/' in text


def removable_run(run: StoredRun, runs: Sequence[StoredRun]) -> Removable:
    """A run, with the others that name it."""
    readers = [other.label for other in runs if other is not run and reads(other, run.folder)]
    why = f"{run.state}, last written {age_text(run.written)} ago"
    why += f"; {', '.join(readers)} began with it" if readers else ""
    return Removable(run.label, run.folder, run.size, run.written, why, run.folder / LOCK)


def prepared_data(folder: Path, runs: Sequence[StoredRun]) -> list[Removable]:
    """The cache of prepared text in a folder, where there is one that no unfinished run reads."""
    if folder.is_symlink() or not any((folder / part).exists() for part in PREPARED_PARTS):
        return []
    lock = folder / PREPARED_LOCK
    if lock_holder(lock) or any(run.state in (RUNNING, UNFINISHED) and _points_at(run, folder) for run in runs):
        return []
    size, written = size_and_time(folder)
    return [Removable(str(folder), folder, size, written, "prepared text, which can be prepared again", lock)]


def _points_at(run: StoredRun, folder: Path) -> bool:
    """Whether a run's text lies in a prepared folder."""
    try:
        return str(read_json(run.folder / "data" / "manifest.json").get("folder")) == str(folder)
    except OtherFormat:  # nobody knows what it reads
        return True
    except (BadInput, AttributeError):
        return False


def remove(item: Removable) -> str | None:
    """Remove something, its lock held; returns why it could not be, or None.

    It is renamed first, so that no half of a run is ever found under its name.
    """
    if item.path.is_symlink() or item.path.resolve() != item.path:
        return f"{item.path} leads elsewhere by a link: left"
    try:
        with _hold(item):
            if not item.path.is_dir():
                item.path.unlink()
                return None
            place = Path(tempfile.mkdtemp(prefix=".removed.", suffix=f".{os.getpid()}.folder", dir=item.path.parent))
            item.path.rename(place / "removed")
        shutil.rmtree(place)
    except BadInput as error:
        return str(error)
    except OSError as error:
        return f"{item.path} cannot be removed: {reason(error)}; remove it yourself"
    return None


def _hold(item: Removable) -> AbstractContextManager[None]:
    if item.lock is None:
        return nullcontext()
    return only_one(item.lock, f"another process is working on {item.path}: left")
