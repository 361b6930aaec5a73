"""Files that survive a kill: atomic writes of bytes, text and JSON, and reading JSON back with a clear error."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from hamner.config.cost import GIB
from hamner.config.errors import BadInput

T = TypeVar("T")


def write_bytes(path: Path, data: bytes | bytearray) -> None:
    """Write a file atomically: a reader, or a kill, sees the old content or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_text(path: Path, text: str) -> None:
    """As write_bytes, in UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Raises BadInput, with the path, for a file that is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"no file {path}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise BadInput(f"{path} is broken: {error}") from None


def read_json_as(path: Path, build: Callable[[Any], T]) -> T:
    """What `build` makes of a JSON file. Raises BadInput when the file, or a part of it, is not there."""
    document = read_json(path)
    try:
        return build(document)
    except BadInput:
        raise
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        raise BadInput(f"{path} is broken: {type(error).__name__} {error}") from None


def free_gib(folder: Path) -> tuple[Path, float]:
    """Free space where a folder lies, or will: the nearest one that exists, and its GiB."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return there, shutil.disk_usage(there).free / GIB


def append_json_line(path: Path, value: Mapping[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


def drop_json_lines_after(path: Path, step: int) -> None:
    """Drop lines whose "step" lies after the resumed one, and a line cut short by a kill."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):  # text may hold other line ends
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except ValueError:
            continue
    write_text(path, "".join(line + "\n" for line in kept))
