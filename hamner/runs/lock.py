"""Lock of a run: one driver at a time, and one process a training, on this machine or another that shares the storage.

Two guards, of which one is enough. A file lock (flock), which ends with its process; over NFS it reaches all machines
where locks are not local to each (`nolock`, `local_lock`). And a lease with a heartbeat, which needs reads, writes and
renames alone: it names the machine and its start, so that a process number is never looked up on another machine.

Data in: the path of the lock file. Data out: RUN/.driver.lock, beside it the lease; or a BadInput.
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
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from hamner.config.errors import BadInput
from hamner.runs.files import EXHAUSTED, write_json
from hamner.runs.mounts import bucket_problem

LEASE_SECONDS = 60.0  # a lease as old as this is void: another machine may take the run over
RENEWALS = 4  # of a lease in that time
NOT_OF_LOCKS = (*EXHAUSTED, errno.ENOSPC, errno.EDQUOT)  # errors that say nothing of whether a folder takes locks
# of a process that trains: Ray takes 15 seconds or more to notice that a node is lost, so a run there waits no longer
WORKER_LEASE_SECONDS = 20.0
# Longest wait for one of an earlier start. A node that is cut off finds its connection broken after 120 seconds (Ray's
# grpc_client_keepalive_timeout_ms), and ends its processes 60 later; NFS gives a dead node's locks away after 90.
ORPHAN_SECONDS = 300.0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # of Linux


@contextmanager
def only_one(
    path: Path, message: str, *, wait_seconds: float = 0.0, lease_seconds: float = LEASE_SECONDS
) -> Iterator[None]:
    """Hold a lock that ends with its process. Raises BadInput with `message` when another process holds it.

    On storage that machines share, a file lock may not reach the other machine. So a lease lies beside it, renewed
    four times in `lease_seconds`, which other machines honour until it is that old. wait_seconds: how long to wait for
    the lock; if any, the lease of a machine that is no more (a container that was replaced) is waited for as well. A
    process that stood still for so long that another has taken over ends when it wakes. Raises OSError where there is
    no room, or no more files may be opened.
    """
    # a marker file in place of a lock that the storage refuses would outlive its process
    lock = FileLock(path, timeout=wait_seconds, thread_local=False, fallback_to_soft=False)
    lease, end = path.with_suffix(".lease"), time.monotonic() + wait_seconds
    if problem := bucket_problem(path.parent):
        raise _refusal(path, problem)
    try:
        lock.acquire()
    except Timeout:
        raise BadInput(message) from None
    except (OSError, NotImplementedError) as error:  # the latter: filelock's word for ENOSYS
        if getattr(error, "errno", None) in NOT_OF_LOCKS:
            raise
        raise _refusal(path, getattr(error, "strerror", None) or str(error)) from None
    stopped = threading.Event()
    try:
        while holder := _holder(lease, lease_seconds, may_wait=wait_seconds > 0):
            if time.monotonic() < end:
                continue
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
            if not _taker(lease):
                with suppress(OSError):
                    lease.unlink(missing_ok=True)
    finally:
        lock.release()


def _refusal(path: Path, why: str) -> BadInput:
    return BadInput(
        f"{path} cannot be locked: {why}; choose another folder (--results, --out), on storage that can be written to "
        "and that takes file locks (NFS: with lockd)"
    )


def only_worker(path: Path) -> AbstractContextManager[None]:
    """only_one of a process that trains: waits for one of an earlier start, such as on a node that is cut off."""
    return only_one(
        path,
        f"{path} could not be acquired: a process of an earlier start still works there: wait for it to end",
        wait_seconds=ORPHAN_SECONDS,
        lease_seconds=WORKER_LEASE_SECONDS,
    )


def boot_id() -> str:
    """What this start of the machine is called, which no other machine shares; "" where the system does not say."""
    with suppress(OSError):  # no such file, or no more files may be opened just now
        return BOOT_ID.read_text(encoding="ascii").strip()
    return ""


@dataclass(frozen=True)
class Lease:
    """What a process renews beside its lock. Times are seconds since 1970."""

    host: str  # "" where the file is broken
    process: int
    written: float  # by the clock of its writer
    modified: float  # by that of the storage
    boot: str = ""  # of the machine, see boot_id; "" in leases of older versions

    @property
    def is_here(self) -> bool:
        """Whether it is of this machine: two of a cloud's images may have one name."""
        boots = {self.boot, boot_id()} - {""}
        return self.host == socket.gethostname() and len(boots) < 2

    @property
    def is_ours(self) -> bool:
        """Whether this very process writes it."""
        return self.is_here and self.process == os.getpid()

    @property
    def is_recent(self) -> bool:
        """Whether it is renewed. Clocks of machines differ: it counts if either says so."""
        return any(abs(time.time() - moment) < LEASE_SECONDS for moment in (self.written, self.modified))


def read_lease(path: Path) -> Lease | None:
    """The lease in a file; None where there is none: its driver ended in order, or never began."""
    try:
        modified = path.stat().st_mtime
        document = json.loads(path.read_text(encoding="utf-8"))
        process, boot = int(document.get("pid") or 0), str(document.get("boot") or "")
        return Lease(str(document["host"]), process, float(document["time"]), modified, boot)
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
    write_json(lease, {"host": socket.gethostname(), "boot": boot_id(), "pid": os.getpid(), "time": time.time()})


def _keep_renewing(lease: Path, stopped: threading.Event, every_seconds: float) -> None:
    while not stopped.wait(every_seconds):
        if not lease.parent.is_dir():
            return
        if other := _taker(lease):
            _end(lease, other)
        with suppress(OSError):  # one failed write is no matter: three more come in time
            _renew(lease)


def _taker(lease: Path) -> Lease | None:
    """The lease of another process, where that has taken over what this one holds."""
    found = read_lease(lease)
    return found if found and found.host and not found.is_ours else None


def _end(lease: Path, other: Lease) -> None:
    """End this process at once: two would write one run."""
    print(
        f"{lease.with_suffix('.lock')}: this process stood still for so long that one on {other.host} has taken over; "
        "it ends here, and nothing that it saved is lost",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)


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
