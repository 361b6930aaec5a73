"""Archive of a folder (ZIP with SHA-256 checksums): the same bytes each time, unpacked only where it is whole.

Data in: files by name, and facts about them. Data out: a ZIP file, in which FOLDER/pack.json has the facts, with size
and checksum of every other file; from reading, a folder, or a BadInput. Nothing in an archive is believed before it is
checked: not its names, not its sizes, not what kind of thing an entry is.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from hamner.config.cost import GIB
from hamner.config.errors import BadInput, shortened
from hamner.config.formats import stamped, unstamped
from hamner.runs.disk import check_free_space
from hamner.runs.files import json_bytes, replacing
from hamner.runs.folders import PACKING_LIST
from hamner.runs.safe_paths import name_problem

LARGEST_LIST = 64 << 20  # bytes of pack.json
LARGEST_TEXT = 256 << 20  # bytes of a file that is read whole, since paths in it are written otherwise
CHUNK = 1 << 20  # bytes of any other file that are in memory at a time
FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # of every entry: the earliest that a ZIP file can say
INCOMPRESSIBLE = (".safetensors", ".png")  # endings
REGULAR = stat.S_IFREG | 0o644
PART = re.compile(r"[^./\\\0-\x1f\x7f-\x9f:][^/\\\0-\x1f\x7f-\x9f:]*")  # of a name: a file or folder, not hidden
MOST_LISTED = 3  # broken files that a message names
GET_AGAIN = "copy it again, or have the run packed again"
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, KeyError, TypeError)


@dataclass(frozen=True)
class Packed:
    """What an archive says of itself, its list and names checked."""

    path: Path
    folder: str  # that all of it lies in
    facts: Mapping[str, Any]
    files: Mapping[str, Mapping[str, Any]]  # name in the folder: bytes, sha256

    @property
    def size(self) -> int:
        """Bytes of all its files, unpacked."""
        return sum(facts["bytes"] for facts in self.files.values())


# -- writing


def write_archive(out: Path, folder: str, files: Mapping[str, bytes | Path], facts: Mapping[str, Any]) -> None:
    """Write an archive atomically. folder: the name of the one that all files lie in.

    files: name in that folder -> content, or a file whose content it is. Raises BadInput where one changes meanwhile.
    """
    listed = {name: _size_and_sum(files[name]) for name in sorted(files)}
    with replacing(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        document = json_bytes(stamped(PACKING_LIST, {**facts, "files": listed}))
        archive.writestr(_entry(f"{folder}/{PACKING_LIST}", len(document)), document)
        for name, known in listed.items():
            checksum = hashlib.sha256()
            with archive.open(_entry(f"{folder}/{name}", known["bytes"]), "w") as target:
                for chunk in _chunks(files[name]):
                    checksum.update(chunk)
                    target.write(chunk)
            if checksum.hexdigest() != known["sha256"]:
                raise BadInput(f"{name} has changed while it was packed: wait until nothing writes it")


def _entry(name: str, size: int) -> zipfile.ZipInfo:
    """An entry that says nothing of when, where and by whom it was written."""
    entry = zipfile.ZipInfo(name, FIRST_DATE)
    entry.create_system, entry.external_attr, entry.file_size = 3, REGULAR << 16, size
    entry.compress_type = zipfile.ZIP_STORED if name.endswith(INCOMPRESSIBLE) else zipfile.ZIP_DEFLATED
    return entry


def _chunks(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _size_and_sum(content: bytes | Path) -> dict[str, Any]:
    size, checksum = 0, hashlib.sha256()
    for chunk in _chunks(content):
        size += len(chunk)
        checksum.update(chunk)
    return {"bytes": size, "sha256": checksum.hexdigest()}


# -- reading


@contextmanager
def opened(path: Path) -> Iterator[tuple[Packed, zipfile.ZipFile]]:
    """An archive and what it says of itself. Raises BadInput for what is none, is damaged, or names strange places."""
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise BadInput(f"no file {path}: name the archive that `hamner pack` has written") from None
    except (*DAMAGE, OSError) as error:
        raise BadInput(f"{path} is not an archive, or is damaged: {_words(error)}; {GET_AGAIN}") from None
    with archive:
        yield _checked(path, archive), archive


def _checked(path: Path, archive: zipfile.ZipFile) -> Packed:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    lists = [name for name in names if name.count("/") == 1 and name.endswith(f"/{PACKING_LIST}")]
    if len(lists) != 1:
        raise BadInput(f"{path} holds no packed run: it has no list of its files; name one that `hamner pack` wrote")
    folder = lists[0].partition("/")[0]
    problems = [f"{path}: {problem}" for entry in entries if (problem := _entry_problem(entry, folder))]
    if problems:
        raise BadInput([*problems[:MOST_LISTED], f"{path} was not written by `hamner pack`: leave it packed"])
    facts = _read_list(path, archive, lists[0])
    files = facts.pop("files")
    present = {entry.filename.removeprefix(f"{folder}/"): entry.file_size for entry in entries}
    folders = {parent.as_posix() for name in present for parent in PurePosixPath(name).parents}
    listed = {name: known["bytes"] for name, known in files.items()}
    del present[PACKING_LIST]
    if folders & {PACKING_LIST, *present} or len(names) != len(set(names)) or present != listed:
        raise BadInput(f"{path} is damaged: its files are not those of its list; {GET_AGAIN}")
    return Packed(path, folder, facts, files)


def _entry_problem(entry: zipfile.ZipInfo, folder: str) -> str | None:
    """Why an entry is not taken; None for a plain file below the folder."""
    name, kind = shortened(repr(entry.filename)), stat.S_IFMT(entry.external_attr >> 16)
    parts = entry.filename.split("/")
    if not all(map(PART.fullmatch, parts)) or parts[0] != folder:
        return f"{name} is hidden, or leads out of the run's folder"
    if problem := name_problem(entry.filename):
        return f"{name} {problem}"
    if kind not in (0, stat.S_IFREG):
        return f"{name} is a link or a device, not a file"
    return None


def _read_list(path: Path, archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    try:
        if archive.getinfo(name).file_size > LARGEST_LIST:
            raise ValueError(f"more than {LARGEST_LIST:,} bytes")
        facts = dict(unstamped(PACKING_LIST, json.loads(archive.read(name)), f"{path}: {PACKING_LIST}"))
        for listed in facts["files"].values():
            if not isinstance(listed["bytes"], int) or not re.fullmatch("[0-9a-f]{64}", listed["sha256"]):
                raise ValueError("a file without size and checksum")
        return facts
    except BadInput:
        raise
    except (*DAMAGE, OSError, AttributeError) as error:
        raise BadInput(f"{path} is damaged: its list cannot be read: {_words(error)}; {GET_AGAIN}") from None


def check_text(name: str, size: int, source: object) -> None:
    """Raise BadInput for a file that is read whole and is too large for it. source: what holds it, for the message."""
    if size > LARGEST_TEXT:
        raise BadInput(
            f"{source}: {shortened(name)} has {size:,} bytes, and at most {LARGEST_TEXT:,} of a text are read at once: "
            "shorten that file, or take it out of the run's folder, and pack the run again"
        )


def extract(
    packed: Packed,
    archive: zipfile.ZipFile,
    folder: Path,
    changed: Callable[[str, bytes], bytes],
    is_changed: Callable[[str], bool],
) -> None:
    """Write all files of an archive below a new folder, and its list.

    changed: name and content of a file -> what is written, once its checksum is right, where is_changed of its name;
    others are never in memory as a whole. Raises BadInput for files that are damaged, all at once, for a text that is
    too large to be changed, and where there is no room.
    """
    for name, known in packed.files.items():
        if is_changed(name):
            check_text(name, known["bytes"], packed.path)
    check_free_space(folder, packed.size / GIB, f"the files of {packed.path}", "make room there, or use --results")
    broken = []
    for name, known in {PACKING_LIST: {}, **packed.files}.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            checksum = _copy(archive, f"{packed.folder}/{name}", target)
        except DAMAGE:
            checksum = ""
        if known and checksum != known["sha256"]:
            broken.append(name)
        elif is_changed(name):
            content = target.read_bytes()
            if (new := changed(name, content)) != content:
                target.write_bytes(new)
    if broken:
        more = f" and {len(broken) - MOST_LISTED} more" if len(broken) > MOST_LISTED else ""
        raise BadInput(f"{packed.path} is damaged: {', '.join(broken[:MOST_LISTED])}{more}; {GET_AGAIN}")


def _copy(archive: zipfile.ZipFile, name: str, target: Path) -> str:
    """Copy one entry into a file; returns its checksum."""
    checksum = hashlib.sha256()
    with archive.open(name) as source, target.open("xb") as file:
        while chunk := source.read(CHUNK):
            checksum.update(chunk)
            file.write(chunk)
    return checksum.hexdigest()


def _words(error: BaseException) -> str:
    return shortened(str(error) or type(error).__name__)
