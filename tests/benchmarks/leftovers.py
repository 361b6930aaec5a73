"""What a process tree holds (leak check): processes, ports, shared memory, temporary and open files, threads, memory.

Data in: the folder that stands for /tmp, the process that lives long. Data out: Figures, at any moment; how flat a
row of them is. All processes of the tree are known by a variable of their environment, which they inherit: so one that
was left behind by its parent is counted as well. It takes psutil, which comes with Ray.

Ray 2.60 itself leaves in a process one open log, already removed, and one thread for each session that was shut down
there. These are counted apart: a command of ours has one session, and its process ends.
"""

from __future__ import annotations

import gc
import itertools
import os
import statistics
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import ray  # noqa: F401  (puts its psutil in the path)

import psutil  # isort: skip

MARK = "HAMNER_SOAK"  # environment variable of every process of the tree: the folder that stands for /tmp
SHARED_MEMORY = Path("/dev/shm")
MIB = 2**20


@dataclass(frozen=True)
class Figures:
    """What is held at one moment."""

    processes: int  # of the whole tree, also ended ones that nobody has waited for
    ports: int  # that these processes listen at
    shared_memory: int  # entries of /dev/shm that were not there before
    temporary: int  # files and folders in the place of /tmp, at any depth
    open_files: int  # of the process that lives long
    threads: int  # ... of it
    mib: float  # ... its resident memory
    ray_sessions: int = 0  # ... whose log Ray has left open in it, each with a thread; not in the two above


@contextmanager
def own_place() -> Iterator[Path]:
    """A folder of its own, with TMPDIR below it, for this process and all that it starts."""
    before = {name: os.environ.get(name) for name in ("TMPDIR", MARK, "RAY_TMPDIR", "RAY_ADDRESS")}
    with tempfile.TemporaryDirectory(prefix="soak.", dir="/tmp") as name:
        place = Path(name) / "tmp"
        place.mkdir()
        os.environ |= {"TMPDIR": str(place), MARK: str(place)}
        for other in ("RAY_TMPDIR", "RAY_ADDRESS"):
            os.environ.pop(other, None)
        tempfile.tempdir = None
        try:
            yield place
        finally:
            tempfile.tempdir = None
            for key, value in before.items():
                os.environ.pop(key, None)
                if value is not None:
                    os.environ[key] = value


class Tree:
    """This process and all that it has started, and one of them that lives long."""

    def __init__(self, place: Path, pid: int | None = None) -> None:
        """place: of own_place(). pid: of the process that lives long; None: this one."""
        self._place, self._own = place, psutil.Process(pid or os.getpid())
        self._is_this = self._own.pid == os.getpid()
        self._shared = set(_entries(SHARED_MEMORY))

    def figures(self) -> Figures:
        """What is held now."""
        if self._is_this:
            gc.collect()
        processes, sessions = self.processes(), self._ray_sessions()
        return Figures(
            processes=len(processes),
            ports=sum(_ports(process) for process in processes),
            shared_memory=len(set(_entries(SHARED_MEMORY)) - self._shared),
            temporary=sum(1 for _ in self._place.rglob("*")),
            open_files=self._own.num_fds() - sessions,
            threads=self._own.num_threads() - sessions,
            mib=self._own.memory_info().rss / MIB,
            ray_sessions=sessions,
        )

    def _ray_sessions(self) -> int:
        """Logs of Ray's sessions that are removed and still open in the process that lives long."""
        names = []
        for path in Path(f"/proc/{self._own.pid}/fd").iterdir():
            with suppress(OSError):
                names.append(str(path.readlink()))
        return sum("/python-core-driver-" in name and name.endswith(" (deleted)") for name in names)

    def processes(self) -> list[psutil.Process]:
        """Those of the tree that have not ended, or that nobody has waited for."""
        found = {process.pid: process for process in psutil.Process().children(recursive=True)}
        found[os.getpid()] = psutil.Process()
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.pid not in found and process.environ().get(MARK) == str(self._place):
                    found[process.pid] = process
        return list(found.values())


def _entries(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def _ports(process: psutil.Process) -> int:
    """Sockets that a process listens at for other machines, or this one."""
    with suppress(psutil.Error, OSError):
        return sum(1 for socket in process.net_connections("inet") if socket.status == psutil.CONN_LISTEN)
    return 0


def growth(values: Sequence[float]) -> float:
    """How much the second half of a row of values grows, as a share of its median.

    By a slope that outliers do not move: the median of those of all pairs (Theil 1950, Sen 1968).
    """
    half = list(values[len(values) // 2 :])
    if len(half) < 2:
        return 0.0
    slopes = [(b - a) / (j - i) for (i, a), (j, b) in itertools.combinations(enumerate(half), 2)]
    return statistics.median(slopes) * (len(half) - 1) / statistics.median(half)


def leaks(rows: Sequence[Figures], most_growth: float = 0.05) -> list[str]:
    """What is left behind or grows in a row of figures, whose first is of a process that is warm; empty for nothing."""
    first, last = rows[0], rows[-1]
    problems = [
        f"{name.replace('_', ' ')}: {getattr(first, name)} before, {getattr(last, name)} at the end"
        for name in ("processes", "ports", "shared_memory", "temporary")
        if getattr(last, name) > getattr(first, name)
    ]
    for name in ("open_files", "threads"):
        values = [getattr(row, name) for row in rows]
        if growth(values) > 0 and values[-1] > values[0]:
            problems.append(f"{name.replace('_', ' ')} grow: {values}")
    share = growth([row.mib for row in rows])
    if share > most_growth:
        problems.append(f"memory grows by {share:.1%} over the second half")
    return problems


def table(rows: Iterable[tuple[str, Figures]]) -> list[str]:
    """The figures at some moments, as lines of Markdown."""
    head = ("", "processes", "ports", "/dev/shm", "/tmp", "open files", "threads", "MiB resident", "Ray's sessions")
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name, f in rows:
        cells = (
            f.processes,
            f.ports,
            f.shared_memory,
            f.temporary,
            f.open_files,
            f.threads,
            f"{f.mib:,.0f}",
            f.ray_sessions,
        )
        lines.append(f"| {name} | " + " | ".join(map(str, cells)) + " |")
    return lines
