"""Lock of a run: one driver at a time, on this machine or another that shares the storage.

Data in: the path of the lock file. Data out: RUN/.driver.lock, beside it a lease with a heartbeat; or a BadInput.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from hamner.config.errors import BadInput
from hamner.runs.files import EXHAUSTED, write_json

LEASE_SECONDS = 60.0  # a lease as old as this is void: another machine may take the run over
RENEWALS = 4  # of a lease in that time
NOT_OF_LOCKS = (*EXHAUSTED, errno.ENOSPC, errno.EDQUOT)  # errors that say nothing of whether a folder takes locks


@contextmanager
def only_one(
    path: Path, message: str, *, wait_seconds: float = 0.0, lease_seconds: float = LEASE_SECONDS
) -> Iterator[None]:
    """Hold a lock that ends with its process. Raises BadInput with `message` when another process holds it.

    On storage that machines share, a file lock may not reach the other machine. So a lease lies beside it, renewed
    four times in `lease_seconds`, which other machines honour until it is that old. wait_seconds: how long to wait for
    the lock; if any, the lease of a machine that is no more (a container that was replaced) is waited for as well.
    Raises OSError where there is no room, or no more files may be opened.
    """
    lock = FileLock(path, timeout=wait_seconds)
    lease = path.with_suffix(".lease")
    try:
        lock.acquire()
    except Timeout:
        raise BadInput(message) from None
    except (OSError, NotImplementedError) as error:  # the latter: filelock's word for ENOSYS
        if getattr(error, "errno", None) in NOT_OF_LOCKS:
            raise
        raise BadInput(
            f"{path} cannot be locked: {getattr(error, 'strerror', None) or error}; choose another folder "
            "(--results, --out), on storage that can be written to and that takes file locks (NFS: with lockd)"
        ) from None
    stopped = threading.Event()
    try:
        holder = _holder(lease, lease_seconds, may_wait=wait_seconds > 0)
        if holder:
            raise BadInput(f"{message} (it was alive on {holder} within the last {lease_seconds:g} seconds)")
        _renew(lease)
        heartbeat = threading.Thread(
            target=_keep_renewing, args=(lease, stopped, lease_seconds / RENEWALS), daemon=True
        )
        heartbeat.start()
        try:
            yield
        finally:
            stopped.set()
            heartbeat.join()
            with suppress(OSError):
                lease.unlink(missing_ok=True)
    finally:
        lock.release()


@dataclass(frozen=True)
class Lease:
    """What a driver renews beside its lock. Times are seconds since 1970."""

    host: str  # "" where the file is broken
    process: int
    written: float  # by the clock of its writer
    modified: float  # by that of the storage

    @property
    def is_here(self) -> bool:
        return self.host == socket.gethostname()

    @property
    def is_recent(self) -> bool:
        """Whether it is renewed. Clocks of machines differ: it counts if either says so."""
        return any(abs(time.time() - moment) < LEASE_SECONDS for moment in (self.written, self.modified))


def read_lease(path: Path) -> Lease | None:
    """The lease in a file; None where there is none: its driver ended in order, or never began."""
    try:
        modified = path.stat().st_mtime
        document = json.loads(path.read_text(encoding="utf-8"))
        return Lease(str(document["host"]), int(document.get("pid") or 0), float(document["time"]), modified)
    except OSError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return Lease("", 0, 0.0, modified)


def lock_holder(path: Path) -> str | None:
    """The machine on which a process holds a lock now; None when none does. Nothing is written or waited for."""
    lease = read_lease(path.with_suffix(".lease"))
    if lease and lease.host and not lease.is_here and lease.is_recent:
        return lease.host
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except OSError:  # EWOULDBLOCK; and where it cannot be asked, it may be held
        return socket.gethostname()
    return None


def _renew(lease: Path) -> None:
    write_json(lease, {"host": socket.gethostname(), "pid": os.getpid(), "time": time.time()})


def _keep_renewing(lease: Path, stopped: threading.Event, every_seconds: float) -> None:
    while not stopped.wait(every_seconds):
        if not lease.parent.is_dir():
            return
        with suppress(OSError):  # one failed write is no matter: three more come in time
            _renew(lease)


def _holder(lease: Path, lease_seconds: float, *, may_wait: bool) -> str | None:
    """The name of another machine that works on the run; None when there is none, or this machine's lock decides.

    A lease that is old by both clocks, the one that wrote its time and the storage's, is void. Where they differ, its
    writer's clock is not ours, and only one thing tells: whether it is renewed while we look.
    """
    found = _lease_of_another(lease)
    if found is None:
        return None
    host, written = found
    age, storage_age = time.time() - written, _storage_age(lease)
    is_old, is_old_file = age >= lease_seconds, storage_age >= lease_seconds
    if is_old_file and (is_old or age < 0):
        return None
    if 0 <= age < lease_seconds and not may_wait:
        return host
    # where the written time tells nothing, two missed renewals are enough; else what is left of its time
    tells_nothing = is_old or age < 0
    seconds = lease_seconds * 2 / RENEWALS if tells_nothing else lease_seconds - min(age, max(0.0, storage_age))
    if seconds > 2:
        print(f"{host} worked on this run: waiting up to {seconds:.0f} s to see whether it still does", file=sys.stderr)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(0.5, lease_seconds / 20))
        now = _lease_of_another(lease)
        if now is None:
            return None
        if now != found:
            return now[0]
    return None


def _storage_age(lease: Path) -> float:
    """Seconds since the lease was written, by the clock of the storage: that of a server, for all machines the same."""
    probe = lease.with_suffix(f".probe.{os.getpid()}.tmp")
    try:
        probe.write_bytes(b"x")
        return probe.stat().st_mtime - lease.stat().st_mtime
    except OSError:
        return 0.0
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def _lease_of_another(lease: Path) -> tuple[str, float] | None:
    """Name and written time of another machine's lease; None for this machine, where the lock itself decides."""
    found = read_lease(lease)
    return (found.host, found.written) if found and found.host and not found.is_here else None
