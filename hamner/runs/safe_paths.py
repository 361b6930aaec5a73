"""Path traversal guard: names and paths that stand in files, which may not leave the folder they belong to.

Data in: a name or a path as a JSON file gives it, whoever wrote that file. Data out: a path in the folder, or a
BadInput of one line. What a user types is no matter of this module: a command may be told any path.
"""

from __future__ import annotations

import re
from pathlib import Path

from hamner.config.errors import BadInput, shortened

# Devices of Windows, with any ending and in any case: a run's folder travels
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
LONGEST = 255  # bytes of one part of a path
WAY_OUT = "restore that file from a copy, and take no run from somebody you do not know"


def name_problem(name: object) -> str:
    """What is wrong with a name that a file gives, of a file or folder below another; "" where nothing is."""
    if not isinstance(name, str) or not name:
        return "is not the name of a file"
    if CONTROL.search(name):
        return "has a control character"
    if name[0] in "/~" or "\\" in name or re.match("[A-Za-z]:", name):
        return "is not a path below its folder"
    parts = name.split("/")
    if ".." in parts:
        return "leads out of its folder"
    if any(part in ("", ".") for part in parts):
        return "is not the name of a file"
    if any(part != part.rstrip(" .") for part in parts):
        return "ends with a space or a full stop, which some systems leave out"
    if any(RESERVED.fullmatch(part) for part in parts):
        return "is a name that systems keep for devices"
    return "is too long" if any(len(part.encode()) > LONGEST for part in parts) else ""


def path_below(folder: Path, name: object, source: object) -> Path:
    """The path of `name` in `folder`; links are followed, and may not lead out of it.

    source: the file that gives the name, for the message. Raises BadInput for a name that is not below the folder.
    """
    problem = name_problem(name)
    path = folder / str(name) if not problem else folder
    if not problem and leaves(folder, path):
        problem = "leads out of its folder by a link"
    if problem:
        raise BadInput(f"{source} names {shortened(repr(name))}, which {problem}: {WAY_OUT}")
    return path


def path_within(root: Path, path: object, source: object) -> Path:
    """A whole path that a file gives, which must lie in `root`, such as the results folder, links followed.

    A relative one begins in `root`. Raises BadInput for one that lies elsewhere.
    """
    if not isinstance(path, str) or not path or CONTROL.search(path):
        problem = "is not a path"
    elif ".." in Path(path).parts or leaves(root, root / path):
        problem = f"is not in {root}"
    else:
        return root / path
    raise BadInput(f"{source} names {shortened(repr(path))}, which {problem}: {WAY_OUT}")


def leaves(root: Path, path: Path) -> bool:
    """Whether a path, links followed, is not at or below a folder."""
    try:
        return not path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError):  # a circle of links, a name that no system takes
        return True
