"""Storage of prepared files (fsspec): a folder of this machine, or any address (s3://, gs://, hdfs://, memory://).

A file is there whole or not at all: on a disk it is written beside its place and renamed; object stores do so
themselves.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput
from hamner.config.formats import stamped, unstamped
from hamner.config.json_text import parse_json
from hamner.runs.files import json_bytes, write_bytes
from hamner.runs.safe_paths import WAY_OUT, name_problem

UNFINISHED = "unfinished"  # folder of what is needed until the manifest is written
SURVEY = ".survey.npz"  # ending of a file there that stays useful when the plan changes


class Store:
    """Files by name below one place; travels to other machines.

    Raises BadInput for a place that no installed library can reach.
    """

    def __init__(self, place: str | Path) -> None:
        import fsspec

        self.place = str(place)
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.place)
        except (ImportError, ValueError) as error:
            raise BadInput(f"cannot write to {place}: {error}") from None
        protocol = self._files.protocol
        is_local = "file" in ((protocol,) if isinstance(protocol, str) else protocol)
        self.local = Path(self._root) if is_local else None

    def write(self, name: str, data: bytes | bytearray) -> None:
        if self.local is not None:
            write_bytes(self.local / name, data)
        else:
            self._files.makedirs(os.path.dirname(self._path(name)), exist_ok=True)  # noqa: PTH120 (an address)
            self._files.pipe_file(self._path(name), bytes(data))

    def write_json(self, name: str, value: Any) -> None:
        self.write(name, json_bytes(stamped(name, value)))

    def read(self, name: str) -> bytes | None:
        """The content of a file; None when there is no such file."""
        try:
            return bytes(self._files.cat_file(self._path(name)))
        except FileNotFoundError:
            return None

    def read_json(self, name: str) -> Any:
        """The value in a file; None when there is no such file. Raises BadInput for one that is broken or too new."""
        data = self.read(name)
        try:
            return None if data is None else unstamped(name, parse_json(data), self._path(name))
        except BadInput:
            raise
        except ValueError as error:
            raise BadInput(
                f"{self._path(name)} is broken: {error}; choose another --out, or delete {self.place} to prepare again"
            ) from None

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder, sorted; none where there is no such folder."""
        try:
            paths = self._files.ls(self._path(folder), detail=False, refresh=True)
        except FileNotFoundError:
            return []
        return sorted(str(path).rstrip("/").rsplit("/", 1)[-1] for path in paths)

    def size(self, name: str) -> int:
        """Size of a file in bytes; -1 when there is no such file."""
        try:
            return int(self._files.size(self._path(name)))
        except FileNotFoundError:
            return -1

    def remove(self, name: str) -> None:
        """Remove a file or a whole folder, if it is there."""
        if self._files.exists(self._path(name)):
            self._files.rm(self._path(name), recursive=True)

    def remove_temporary_files(self) -> None:
        """Remove what killed writers left beside their places."""
        if self.local is not None:
            for path in self.local.glob(".*.tmp"):
                path.unlink(missing_ok=True)  # its writer may be alive on another machine, and done with it

    def _path(self, name: str) -> str:
        if problem := name_problem(name):  # a manifest gives it
            raise BadInput(f"{self.place}: {name!r} {problem}: {WAY_OUT}")
        return f"{self._root.rstrip('/')}/{name}"
