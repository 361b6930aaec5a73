"""Fault injection at named points: a process is killed, stopped or troubled at its n-th rename, flush or removal.

Python imports a module of this name by itself where its folder is on PYTHONPATH, so the product needs no hooks, and
Ray's processes have the points of their driver. Without the variables below nothing is changed.

In: HAMNER_CHAOS_POINTS, a JSON list of points (faults.Point); HAMNER_CHAOS_TRACE, a file to which every rename is
written, for a table of all files; HAMNER_CHAOS_PLANT, the name of a defect (chaos_plants.py). Out: the fault, once: the
process that makes the point's mark file first has it.
"""

import contextlib
import errno
import json
import os
import signal
import sys
import threading
import time
from fnmatch import fnmatch
from pathlib import Path

POINTS = json.loads(os.environ.get("HAMNER_CHAOS_POINTS") or "[]")
TRACE = os.environ.get("HAMNER_CHAOS_TRACE")
PLANT = os.environ.get("HAMNER_CHAOS_PLANT")
LOCK = threading.Lock()
CLOCK = time.time


def role() -> str:
    """What this process is: driver, worker (of Ray), or text (the child that prepares text)."""
    words = " ".join(sys.orig_argv)
    if "default_worker.py" in words or "setup_worker.py" in words:
        return "worker"
    return "text" if "hamner.runs.background" in words else "driver"


def meet(call: str, when: str, path: str) -> None:
    """Do what the points ask for here."""
    for point in POINTS:
        is_here = point["call"] == call and point["when"] == when and fnmatch(path, point["name"])
        if not is_here or (point["role"] and point["role"] != role()):
            continue
        with LOCK:
            point["met"] = point.get("met", 0) + 1
            if point["met"] < point["nth"] or (point["met"] > point["nth"] and not point["is_repeated"]):
                continue
            if not claimed(point["mark"], path) and not point["is_repeated"]:
                continue
        act(point["act"], path)


def claimed(mark: str, path: str) -> bool:
    """Whether this process is the first to come to a point; it says so in the mark file."""
    try:
        file = os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except OSError:
        return False
    with contextlib.suppress(OSError):
        os.write(file, json.dumps({"pid": os.getpid(), "role": role(), "path": path, "time": time.time()}).encode())
    os.close(file)
    return True


def act(what: str, path: str) -> None:
    """KILL, TERM, INT, STOP: a signal to this process. sleep:SECONDS, clock:SECONDS (ahead). error:ENOSPC, or any other
    of errno's names.
    """
    verb, _, value = what.partition(":")
    if verb == "sleep":
        time.sleep(float(value))
    elif verb == "clock":
        time.time = lambda: CLOCK() + float(value)
    elif verb == "error":
        number = getattr(errno, value)
        raise OSError(number, os.strerror(number), path)
    else:
        os.kill(os.getpid(), getattr(signal, f"SIG{verb}"))


def absolute(path: object, folder: object = None) -> str:
    """A path as the points name it; folder: the descriptor that it is relative to."""
    if isinstance(path, int):
        return str(Path(f"/proc/self/fd/{path}").readlink())
    return str(Path(absolute(folder) if isinstance(folder, int) else Path.cwd(), os.fsdecode(path)))


def wrapped(name: str, call: str, place: int):
    """The function of os with its points. place: of the argument that names the file."""

    def function(*arguments, **options):
        try:
            path = absolute(arguments[place], options.get("dir_fd"))
        except (OSError, TypeError, IndexError):
            return REAL[name](*arguments, **options)
        meet(call, "before", path)
        result = REAL[name](*arguments, **options)
        if TRACE and call == "rename":
            trace(path)
        meet(call, "after", path)
        return result

    return function


def trace(path: str) -> None:
    file = os.open(TRACE, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{path}\n".encode())
    os.close(file)


WRAPPED = {  # function of os: how points call it, and which argument names the file
    "replace": ("rename", 1),
    "rename": ("rename", 1),
    "fsync": ("fsync", 0),
    "unlink": ("unlink", 0),
    "remove": ("unlink", 0),
    "mkdir": ("mkdir", 0),
    "pwrite": ("pwrite", 0),  # of a run's .step: after so many steps
}
REAL = {name: getattr(os, name) for name in WRAPPED}

if POINTS or TRACE:
    for name, (call, place) in WRAPPED.items():
        setattr(os, name, wrapped(name, call, place))
        if REAL[name] in os.supports_dir_fd:  # shutil.rmtree asks
            os.supports_dir_fd.add(getattr(os, name))
if PLANT:
    import chaos_plants

    chaos_plants.plant(PLANT)
