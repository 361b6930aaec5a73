"""Runs on disk as commands leave them, but for their content."""

import json
import os
import time

from hamner.runs.folders import RUN_FILES
from hamner.runs.inventory import LAST


def make_run(results, kind, name, *, finished=True, size=1000, age=0.0, facts=None):
    """A run whose files were written `age` seconds ago, with one file of `size` bytes; returns its folder."""
    folder = results / kind / name
    (folder / "checkpoints").mkdir(parents=True)
    file, last = RUN_FILES[kind], LAST.get(kind, "")
    (folder / file).write_text(json.dumps(facts or {}))
    (folder / "checkpoints" / "weights").write_bytes(b"x" * size)
    if finished:
        (folder / last).write_text("{}")
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (time.time() - age, time.time() - age))
    return folder


def snapshot(root):
    """Every path below a folder, with its content or where it leads."""
    paths = sorted(root.rglob("*"))
    return {path: path.readlink() if path.is_symlink() else path.is_file() and path.read_bytes() for path in paths}
