"""Lock of a run: one driver at a time, on this machine or another that shares the storage.

Data in: the path of the lock file. Data out: RUN/.driver.lock, beside it a lease with a heartbeat; or a BadInput.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from hamner.config.errors import BadInput
from hamner.runs.files import write_json

LEASE_SECONDS = 60.0  # a lease as old as this is void: another machine may take the run over


@contextmanager
def only_one(
    path: Path, message: str, *, wait_seconds: float = 0.0, lease_seconds: float = LEASE_SECONDS
) -> Iterator[None]:
    """Hold a lock that ends with its process. Raises BadInput with `message` when another process holds it.

    On storage that machines share, a file lock may not reach the other machine. So a lease lies beside it, renewed
    four times in `lease_seconds`, which other machines honour until it is that old.
    """
    lock = FileLock(path, timeout=wait_seconds)
    lease = path.with_suffix(".lease")
    try:
        lock.acquire()
    except Timeout:
        raise BadInput(message) from None
    stopped = threading.Event()
    try:
        holder = _lease_of_another(lease, lease_seconds)
        if holder:
            raise BadInput(f"{message} (it was alive on {holder} within the last {lease_seconds:g} seconds)")
        _renew(lease)
        heartbeat = threading.Thread(target=_keep_renewing, args=(lease, stopped, lease_seconds / 4), daemon=True)
        heartbeat.start()
        try:
            yield
        finally:
            stopped.set()
            heartbeat.join()
            lease.unlink(missing_ok=True)
    finally:
        lock.release()


def _renew(lease: Path) -> None:
    write_json(lease, {"host": socket.gethostname(), "pid": os.getpid(), "time": time.time()})


def _keep_renewing(lease: Path, stopped: threading.Event, every_seconds: float) -> None:
    while not stopped.wait(every_seconds):
        if not lease.parent.is_dir():
            return
        with suppress(OSError):  # one failed write is no matter: three more come in time
            _renew(lease)


def _lease_of_another(lease: Path, lease_seconds: float) -> str | None:
    """The name of the other machine whose lease is fresh; None for this machine, where the lock itself decides."""
    try:
        document = json.loads(lease.read_text(encoding="utf-8"))
        is_fresh = time.time() - document["time"] < lease_seconds
        return str(document["host"]) if is_fresh and document["host"] != socket.gethostname() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
