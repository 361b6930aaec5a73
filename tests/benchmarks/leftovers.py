"""What a process tree holds (leak check): processes, ports, shared memory, temporary and open files, threads, memory.

Data in: the folder that stands for /tmp, the process that lives long. Data out: Figures, at any moment; how flat a
row of them is. All processes of the tree are known by a variable of their environment, which they inherit: so one that
was left behind by its parent is counted as well. It takes psutil, which comes with Ray.

An entry of /dev/shm is the tree's where it was made after the start by this user and no process outside the tree has it
open or mapped: so other programs' do not count, as long as they use them.

Ray 2.60 itself leaves in a process, for each session that was shut down there, a thread and one or two open files: a
log, already removed, or a socket that was connected once. A loop of nothing but ray.init, an actor and ray.shutdown
leaves them as well. They are counted apart: a command of ours has one session, and its process ends. So are the threads
of gRPC's pool, which Ray talks through: it adds one where all are busy, and keeps it. They are known by their names.
"""

from __future__ import annotations

import gc
import itertools
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray  # it also puts its psutil in the path

import psutil  # isort: skip

MARK = "HAMNER_SOAK"  # environment variable of every process of the tree: the folder that stands for /tmp
SHARED_MEMORY = Path("/dev/shm")
OF_HOME = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")  # unset, they are below HOME
REPO = Path(__file__).resolve().parents[2]
GRPC_THREADS = ("default-executo", "resolver-execut", "grpc_global_tim", "event_engine", "timer_manager")
MOST_GRPC_THREADS = 32  # a pool that adds one each round would have more by the end of a soak
MIB = 2**20


@dataclass(frozen=True)
class Figures:
    """What is held at one moment."""

    processes: int  # of the whole tree, also ended ones that nobody has waited for
    ports: int  # that these processes listen at
    shared_memory: int  # entries of /dev/shm that are the tree's
    temporary: int  # files and folders in the place of /tmp, at any depth
    home: int  # ... in that of the home folder
    working: int  # ... in the working folder
    open_files: int  # of the process that lives long
    threads: int  # ... of it
    mib: float  # ... its resident memory
    tree_mib: float  # resident memory of all processes of the tree added up, what they share counted for each
    ray_files: int = 0  # ... logs and sockets that Ray has left open in it; not in open_files
    ray_threads: int = 0  # ... its threads that Ray has left, one for each session; not in threads
    grpc_threads: int = 0  # ... those of gRPC's pool; not in threads


@contextmanager
def own_place() -> Iterator[Path]:
    """A folder of its own for TMPDIR, which is yielded, and beside it `home` and `working`, the working folder.

    They are those of this process and of all that it starts.
    """
    names = ("TMPDIR", MARK, "HOME", "PYTHONPATH", "RAY_TMPDIR", "RAY_ADDRESS", *OF_HOME)
    before, folder = {name: os.environ.get(name) for name in names}, Path.cwd()
    with tempfile.TemporaryDirectory(prefix="soak.", dir="/tmp") as name:
        place, home, working = (Path(name) / part for part in ("tmp", "home", "working"))
        for part in (place, home, working):
            part.mkdir()
        for other in names[4:]:
            os.environ.pop(other, None)
        # the code is this folder's also where another is installed, and the working folder holds none
        paths = [str(REPO), *filter(None, (before["PYTHONPATH"] or "").split(os.pathsep))]
        os.environ |= {"TMPDIR": str(place), MARK: str(place), "HOME": str(home)}
        os.environ["PYTHONPATH"] = os.pathsep.join(str(folder / path) for path in paths)
        os.chdir(working)
        tempfile.tempdir = None
        try:
            yield place
        finally:
            os.chdir(folder)
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
        self._shared, self._began = set(_entries(SHARED_MEMORY)), time.time()
        self._sessions = _sessions_from_now() if self._is_this else []

    def figures(self) -> Figures:
        """What is held now."""
        if self._is_this:
            gc.collect()
        processes, ray_files = self.processes(), self._ray_files()
        ray_threads, grpc_threads = len(self._sessions), self._grpc_threads()
        return Figures(
            processes=len(processes),
            ports=sum(_ports(process) for process in processes),
            shared_memory=len(self._shared_memory({process.pid for process in processes})),
            temporary=_count(self._place),
            home=_count(self._place.parent / "home"),
            working=_count(self._place.parent / "working"),
            open_files=self._own.num_fds() - ray_files,
            threads=self._own.num_threads() - ray_threads - grpc_threads,
            mib=_resident(self._own) / MIB,
            tree_mib=sum(map(_resident, processes)) / MIB,
            ray_files=ray_files,
            ray_threads=ray_threads,
            grpc_threads=grpc_threads,
        )

    def _ray_files(self) -> int:
        """Removed logs of Ray's sessions, and sockets without another end, that this process has open; of others 0."""
        found = 0
        for path in Path(f"/proc/{self._own.pid}/fd").iterdir() if self._is_this else ():
            with suppress(OSError):
                name = str(path.readlink())
                found += "/python-core-driver-" in name and name.endswith(" (deleted)")
                found += name.startswith("socket:") and _is_alone(int(path.name))
        return found

    def _grpc_threads(self) -> int:
        """Threads of gRPC's pool in the process that lives long."""
        found = 0
        for path in Path(f"/proc/{self._own.pid}/task").iterdir():
            with suppress(OSError):  # it may end meanwhile
                found += (path / "comm").read_text().strip() in GRPC_THREADS
        return found

    def _shared_memory(self, tree: set[int]) -> set[str]:
        """Entries of /dev/shm that are the tree's; see above."""
        found = {name for name in set(_entries(SHARED_MEMORY)) - self._shared if self._is_own(SHARED_MEMORY / name)}
        for pid in (set(psutil.pids()) - tree) if found else ():
            found -= _held(pid, found)
        return found

    def _is_own(self, path: Path) -> bool:
        """Whether this user has made an entry since the start."""
        with suppress(OSError):
            facts = path.stat()
            return facts.st_uid == os.getuid() and facts.st_ctime >= self._began - 1  # the disk's clock is coarse
        return False

    def processes(self) -> list[psutil.Process]:
        """Those of the tree that have not ended, or that nobody has waited for."""
        found = {process.pid: process for process in psutil.Process().children(recursive=True)}
        found[os.getpid()] = psutil.Process()
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.pid not in found and process.environ().get(MARK) == str(self._place):
                    found[process.pid] = process
        return list(found.values())


def _sessions_from_now() -> list[float]:
    """Moments at which this process shuts a session of Ray down, from now on; the list grows."""
    moments: list[float] = []
    shut_down = ray.shutdown

    def counted(*words: Any, **options: Any) -> None:
        if ray.is_initialized():
            moments.append(time.time())
        shut_down(*words, **options)

    ray.shutdown = counted
    return moments


def _is_alone(number: int) -> bool:
    """Whether an open socket of this process is a network's that has no other end (any more), and waits for none."""
    with socket.socket(fileno=os.dup(number)) as own:
        is_network = own.family in (socket.AF_INET, socket.AF_INET6)
        if not is_network or own.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return False
        try:
            own.getpeername()
        except OSError:
            return True
    return False


def _entries(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def _count(folder: Path) -> int:
    """Files and folders in a folder, at any depth."""
    return sum(1 for _ in folder.rglob("*"))


def _held(pid: int, names: set[str]) -> set[str]:
    """Those entries of /dev/shm that a process has open or mapped, as far as this user may know."""
    paths: set[str] = set()
    with suppress(OSError):
        paths |= {line.split(maxsplit=5)[-1] for line in Path(f"/proc/{pid}/maps").read_text().splitlines()}
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                paths.add(str(link.readlink()))
    return {name for name in names if str(SHARED_MEMORY / name) in paths}


def _resident(process: psutil.Process) -> float:
    """Bytes of memory that a process holds; 0 of one that has ended."""
    with suppress(psutil.Error, OSError):
        return float(process.memory_info().rss)
    return 0.0


def _ports(process: psutil.Process) -> int:
    """Sockets that a process listens at for other machines, or this one."""
    with suppress(psutil.Error, OSError):
        return sum(1 for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN)
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
        for name in ("processes", "ports", "shared_memory", "temporary", "home", "working")
        if getattr(last, name) > getattr(first, name)
    ]
    for name in ("open_files", "threads"):
        values = [getattr(row, name) for row in rows]
        if growth(values) > 0 and values[-1] > values[0]:
            problems.append(f"{name.replace('_', ' ')} grow: {values}")
    if last.grpc_threads > MOST_GRPC_THREADS:
        problems.append(f"threads of gRPC's pool: {last.grpc_threads}, over {MOST_GRPC_THREADS}")
    for words, values in (("memory", [row.mib for row in rows]), ("memory of the tree", [r.tree_mib for r in rows])):
        if (share := growth(values)) > most_growth:
            problems.append(f"{words} grows by {share:.1%} over the second half")
    return problems


def table(rows: Iterable[tuple[str, Figures]]) -> list[str]:
    """The figures at some moments, as lines of Markdown."""
    cells: dict[str, Callable[[Figures], object]] = {
        "processes": lambda f: f.processes,
        "ports": lambda f: f.ports,
        "/dev/shm": lambda f: f.shared_memory,
        "/tmp": lambda f: f.temporary,
        "home": lambda f: f.home,
        "working folder": lambda f: f.working,
        "open files": lambda f: f.open_files,
        "threads": lambda f: f.threads,
        "MiB resident": lambda f: f"{f.mib:,.0f}",
        "MiB, whole tree": lambda f: f"{f.tree_mib:,.0f}",
        "Ray's files": lambda f: f.ray_files,
        "Ray's threads": lambda f: f.ray_threads,
        "gRPC's threads": lambda f: f.grpc_threads,
    }
    lines = [f"|  | {' | '.join(cells)} |", "|---" * (len(cells) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(str(cell(f)) for cell in cells.values()) + " |" for name, f in rows]
    return lines
