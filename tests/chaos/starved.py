"""Faults of the kind `starved`: a full disk, one that may not be written, a slow one; no files, no memory; time jumps.

Real ones, as far as the machine allows: file systems of a few MB (tmpfs), read-only bind mounts, limits of the kernel,
Ray's own memory monitor, libfaketime. Where root or a library is missing the fault is "nothing", with the reason.

Data in: a scene, a seeded generator. Data out: the table STARVED of Faults; file systems and limits for tests.
"""

from __future__ import annotations

import gc
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from faults import ALL, ON_RAY, TRAINING, Fault, Hit, Point, met, points_environment
from killed import processes
from outcomes import Reference, from_the_scene
from pipelines import Scene

MEGABYTES = 40  # of the small disk
FILLER = "filler"
DAY = 86_400
FAKETIME = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib/faketime/*.so.1", "/usr/local/lib/faketime/*.so.1")
SHELL = ("sh", "-c")
# the rest of the words is the command, which takes the shell's place
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
SMALL_MEMORY = 'mount -t tmpfs -o size="$0" none /dev/shm && exec "$@"'
FEW_FILES = 'ulimit -n "$0" && exec "$@"'
GIB = 2**30
SPARE = 4 * GIB  # that commands may use before the memory is called full
LOW = "low on memory"  # what Ray says then
ENDED_ONE = b"worker(s), kill details"  # and what its raylet logs
HOG_SECONDS = 30.0  # that the memory is full for, at most
LEAST_FREE = 0.01  # share of the memory that may be in use, by Ray's monitor, before it ends a worker


# -- file systems and limits


def mount_problem() -> str:
    """Why no file system can be mounted here; "" where one can."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["mount", "-t", "tmpfs", "none", folder], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            subprocess.run(["umount", "-l", folder], check=True)
        return done.stderr.strip()


@contextmanager
def small_disk(folder: Path, megabytes: int = MEGABYTES) -> Iterator[Path]:
    """Let a folder lie on a file system of its own, of so many MB; at the end its files lie where it was."""
    before, after = folder.with_name(f"{folder.name}.before"), folder.with_name(f"{folder.name}.after")
    folder.mkdir(parents=True, exist_ok=True)
    folder.rename(before)
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder)], check=True)
    try:
        shutil.copytree(before, folder, dirs_exist_ok=True, symlinks=True)
        yield folder
        shutil.copytree(folder, after, symlinks=True)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()
        (after if after.is_dir() else before).rename(folder)
        shutil.rmtree(before, ignore_errors=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nothing be written to a folder any more, whoever tries; files that are open stay open."""
    subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
    end = time.monotonic() + 20
    try:
        remount = ["mount", "-o", "remount,bind,ro", str(folder)]
        while subprocess.run(remount, capture_output=True, check=False).returncode:
            time.sleep(0.01)  # a file is being written there
            assert time.monotonic() < end, f"{folder} is written to without an end"
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def few_files_left(most: int) -> Iterator[None]:
    """Let this process open so many more files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    gc.collect()  # else the collector may close one meanwhile
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1 + most, hard))
    opened: list[int] = []
    try:
        with suppress(OSError):
            while True:
                opened.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(most):
            os.close(opened.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in opened:
            os.close(descriptor)


@contextmanager
def filled(folder: Path, left: int = 0) -> Iterator[None]:
    """Leave no more than so many bytes free where a folder lies."""
    path = folder / FILLER
    try:
        with path.open("wb", buffering=0) as file:
            for size in (2**20, 2**12, 1):
                with suppress(OSError):
                    while True:
                        file.write(b"x" * size)
            file.truncate(file.tell() - left)
        yield
    finally:
        path.unlink(missing_ok=True)


def library(patterns: Sequence[str] = FAKETIME) -> Path | None:
    """libfaketime, where it is installed."""
    return next((path for pattern in patterns for path in sorted(Path("/").glob(pattern[1:]))), None)


# -- faults


def nothing(scene: Scene, reason: str) -> Hit:
    """A fault that cannot be done here."""
    return Hit(scene.start().wait(), f"nothing: {reason}")


def mounting(inject: Callable[..., Hit]) -> Callable[..., Hit]:
    """A fault that mounts a file system, or nothing where that is not allowed."""

    def checked(scene: Scene, reference: Reference, rng: random.Random, **more: Any) -> Hit:
        problem = mount_problem()
        return nothing(scene, problem) if problem else inject(scene, reference, rng, **more)

    return checked


@mounting
def full_disk(scene: Scene, reference: Reference, rng: random.Random) -> Hit:
    """The disk fills up while it works; afterwards there is room again."""
    steps = rng.randrange(1, 14)
    with small_disk(scene.results):
        started = scene.start()
        is_at_work = started.comes_to(steps)
        with filled(scene.results):
            ended = started.wait()
        scene.kill_all()  # a worker that still writes would be in the way of the copy
    return Hit(ended, f"the disk full {scene.moment(steps)}" if is_at_work else "nothing: it had ended")


@mounting
def tiny_disk(scene: Scene, reference: Reference, rng: random.Random) -> Hit:
    """A disk that was full before it began."""
    with small_disk(scene.results), filled(scene.results):
        ended = scene.start().wait()
    return Hit(ended, "the disk full before the start")


@mounting
def read_only_from_the_start(scene: Scene, reference: Reference, rng: random.Random) -> Hit:
    """The results folder is mounted read-only, for this command alone."""
    prefix = ("unshare", "-m", *SHELL, READ_ONLY, str(scene.results))
    return Hit(scene.start(prefix=prefix).wait(), "results mounted read-only")


@mounting
def read_only_while_it_works(scene: Scene, reference: Reference, rng: random.Random) -> Hit:
    """The results folder becomes read-only, as a disk does that has failed."""
    steps = rng.randrange(1, 14)
    started = scene.start()
    is_at_work = started.comes_to(steps)
    with read_only(scene.results):
        ended = started.wait()
    return Hit(ended, f"results read-only {scene.moment(steps)}" if is_at_work else "nothing: it had ended")


def slow_disk(scene: Scene, reference: Reference, rng: random.Random) -> Hit:
    """Each flush and each rename takes a while."""
    act = f"sleep:{rng.uniform(0.05, 0.2):.2f}"
    points = [Point(call, "before", "*", act, is_repeated=True) for call in ("fsync", "rename")]
    ended = scene.start(environment=points_environment(scene, points)).wait()
    return Hit(ended, f"{act} before each flush and each rename")


def few_files(scene: Scene, reference: Reference, rng: random.Random) -> Hit:
    """A process may open so many files and no more."""
    most = rng.choice((24, 48, 96, 192))
    ended = scene.start(prefix=(*SHELL, FEW_FILES, str(most))).wait()
    return Hit(ended, f"at most {most} open files" if ended.code else f"nothing: {most} open files were enough")


@mounting
def small_shared_memory(scene: Scene, reference: Reference, rng: random.Random) -> Hit:
    """/dev/shm holds next to nothing, for this command alone."""
    prefix = ("unshare", "-m", *SHELL, SMALL_MEMORY, "1m")
    return Hit(scene.start(prefix=prefix).wait(), "1 MB of shared memory")


@mounting
def full_shared_memory(scene: Scene, reference: Reference, rng: random.Random) -> Hit:
    """/dev/shm fills up while it works."""
    started = scene.start(prefix=("unshare", "-m", *SHELL, SMALL_MEMORY, "300m"))
    if not started.comes_to(rng.randrange(1, 10)):
        return Hit(started.wait(), "nothing: it had ended")
    with filled(Path("/proc", str(started.pid), "root", "dev", "shm")):
        ended = started.wait()
    return Hit(ended, "shared memory full while it trained")


def no_memory(scene: Scene, reference: Reference, rng: random.Random) -> Hit:
    """Ray's memory monitor finds the machine's memory full, and ends workers again and again."""
    monitor = {"RAY_memory_usage_threshold": str(LEAST_FREE), "RAY_memory_monitor_refresh_ms": "100"}
    return Hit(scene.start(environment=monitor).wait(), "memory full, by Ray's monitor")


def memory_full_for_a_while(scene: Scene, reference: Reference, rng: random.Random) -> Hit:
    """Another program takes all that Ray's monitor lets be used, until the monitor has ended a worker."""
    total, free = memory("MemTotal"), memory("MemAvailable")
    threshold = (total - free + SPARE) / total
    monitor = {"RAY_memory_usage_threshold": f"{threshold:.3f}", "RAY_memory_monitor_refresh_ms": "100"}
    slow = Point("pwrite", "before", "*/.step", "sleep:0.5", "worker", is_repeated=True)  # else it may end meanwhile
    started = scene.start(environment=monitor | points_environment(scene, [slow]))
    if free < SPARE + GIB or not started.comes_to(rng.randrange(1, 10)):
        return Hit(started.wait(), "nothing: it had ended, or the machine has less memory free than it takes")
    log, at_work = raylet_log(scene), [f"pid={pid},".encode() for pid in processes(scene, "worker")]
    taken, now = list[bytes](), time.time()
    is_ended = False
    while started.is_alive and not is_ended and time.time() < now + HOG_SECONDS:
        ended = log.read_bytes().partition(ENDED_ONE)[2] if log.is_file() else b""
        is_ended = any(pid in ended for pid in at_work)  # it ends others, too
        if memory("MemAvailable") >= (1 - threshold) * total:
            taken.append(b"x" * (GIB // 8))
    is_hit = started.is_alive and is_ended
    del taken
    what = "memory taken by another program until Ray's monitor ended a worker"
    return Hit(started.wait(), what if is_hit else "nothing: Ray's monitor ended no worker", now)


def raylet_log(scene: Scene) -> Path:
    """What the scene's raylet logs; the folder at hand where it has none."""
    for pid in processes(scene, "raylet"):
        with suppress(OSError):
            if place := re.search(rb"--stdout_filepath=([^\0]+)", Path(f"/proc/{pid}/cmdline").read_bytes()):
                return Path(os.fsdecode(place[1]))
    return Path()


def memory(name: str) -> int:
    """Bytes of the machine's memory, by a name of /proc/meminfo."""
    (line,) = [line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024


def clock_jumps(scene: Scene, reference: Reference, rng: random.Random) -> Hit:
    """The clock jumps a day ahead while it works, later two days back."""
    times = sorted(rng.sample(range(2, 20), 2))
    faketime = None if scene.pipeline.has_ray else library()  # preloaded it ends Ray's GCS (SIGABRT)
    jumps = (DAY, -DAY)
    what = f"the clock a day ahead after {times[0]} steps, a day back after {times[1]}"
    if not faketime:
        pairs = zip(times, jumps, strict=True)
        points = [Point("pwrite", "after", "*/.step", f"clock:{jump}", nth=nth) for nth, jump in pairs]
        ended = scene.start(environment=points_environment(scene, points)).wait()
        has_jumped = met(scene, 0) and met(scene, 1)
        return Hit(ended, f"{what} (Python's clock alone)" if has_jumped else "nothing: it had ended before both jumps")
    offset = scene.place / "clock"
    offset.write_text("+0")
    environment = {
        "LD_PRELOAD": str(faketime),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }
    started = scene.start(environment=environment)
    has_jumped = True
    for steps, jump in zip(times, jumps, strict=True):
        has_jumped = started.comes_to(steps) and has_jumped
        offset.write_text(f"{jump:+d}")
    return Hit(started.wait(), f"{what} (libfaketime)" if has_jumped else "nothing: it had ended before both jumps")


def two_drivers(scene: Scene, reference: Reference, rng: random.Random) -> Hit:
    """A second command for the same run is refused in a line; the first one stands still meanwhile, and is unharmed."""
    first = scene.start()
    is_at_work = first.comes_to(rng.randrange(1, 10))
    first.process.send_signal(signal.SIGSTOP)  # it might end before the second has begun
    if not (is_at_work and first.is_alive):
        return Hit(first.wait(), "nothing: it had ended")
    second = scene.start().wait()
    scene.starts.pop()
    first.process.send_signal(signal.SIGCONT)
    ended, is_refused = first.wait(), second.code == 2 and second.err.count("\n") == 1 and "wait for it" in second.err
    what = f"a second driver, which ended with {second.code}: {from_the_scene(scene, second.err).strip()}"
    return Hit(ended if is_refused else replace(ended, code=None), what)


STARVED: tuple[Fault, ...] = tuple(
    Fault(name=name, kind="starved", pipelines=pipelines, inject=inject, **more)
    for name, pipelines, inject, more in (
        ("a full disk", ALL, full_disk, {"intervals": 2}),
        ("a disk that was full", ALL, tiny_disk, {"codes": (1, 2)}),
        ("results mounted read-only", ALL, read_only_from_the_start, {"codes": (1, 2)}),
        ("results become read-only", ALL, read_only_while_it_works, {"intervals": 2}),
        ("a slow disk", ALL, slow_disk, {"must_end": True}),
        ("few open files", ALL, few_files, {"intervals": 2}),
        ("little shared memory", ON_RAY, small_shared_memory, {"must_end": True}),
        ("full shared memory", ON_RAY, full_shared_memory, {}),
        ("no memory", ON_RAY, no_memory, {"codes": (1, 2), "aloud": LOW}),
        ("memory full for a while", ON_RAY, memory_full_for_a_while, {"aloud": LOW}),
        ("jumps of the clock", TRAINING, clock_jumps, {"must_end": True}),
        ("two drivers", ALL, two_drivers, {"must_end": True}),
    )
)
