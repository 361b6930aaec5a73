"""Mounted file systems (mount table): whether a folder is a bucket of an object store that only looks like one.

Data in: a path, the kernel's table of mounts. Data out: a line, or nothing. Where there is no such table, nothing.
"""

from __future__ import annotations

import re
from pathlib import Path

TABLE = Path("/proc/self/mounts")  # of Linux: source, folder, type, options
# s3fs-fuse, gcsfuse, goofys, rclone mount, blobfuse2; mountpoint-s3 has no type of its own
BUCKET_TYPES = {"fuse.s3fs", "fuse.gcsfuse", "fuse.goofys", "fuse.rclone", "fuse.blobfuse2"}
BUCKET_SOURCES = {"mountpoint-s3", "s3fs", "gcsfuse", "goofys", "blobfuse2"}


def bucket_problem(path: Path, table: Path = TABLE) -> str:
    """Why a path cannot hold a run: it lies in a mounted bucket; "" where it does not.

    Such a mount takes file locks, but for its own machine alone, and renames a folder file by file.
    """
    mount = _mount(path, table)
    if mount is None:
        return ""
    source, folder, kind = mount
    if kind not in BUCKET_TYPES and not (kind.startswith("fuse") and source in BUCKET_SOURCES):
        return ""
    return f"{folder} is a bucket that is mounted as a folder ({kind}, {source}), without renames and locks"


def _mount(path: Path, table: Path) -> tuple[str, str, str] | None:
    """Source, folder and type of the file system that a path lies on; None where that is not known."""
    try:
        place, lines = path.resolve(), table.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    rows = [line.split(" ") for line in lines]
    mounts = [(_plain(row[0]), _plain(row[1]), row[2]) for row in rows if len(row) > 2]
    above = [mount for mount in mounts if place.is_relative_to(mount[1])]
    # of two on one folder the later one is seen
    return max(enumerate(above), key=lambda numbered: (len(numbered[1][1]), numbered[0]))[1] if above else None


def _plain(field: str) -> str:
    """A field of the table without its escapes, such as \\040 for a space."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
