"""Lock of a run: one driver at a time, on this machine or another that shares the storage."""

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

LEASE_SECONDS = 60  # without a heartbeat, after which another machine may take a run over


@contextmanager
def only_one(path: Path, message: str, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold a lock that dies with its process; raises BadInput with `message` when somebody else holds it.

    Where storage is shared between machines a file lock may not reach the other one: beside it lies a lease with a
    heartbeat, which another machine honours until it is LEASE_SECONDS old.
    """
    lock = FileLock(path, timeout=wait_seconds)
    lease = path.with_suffix(".lease")
    try:
        lock.acquire()
    except Timeout:
        raise BadInput(message) from None
    stopped = threading.Event()
    try:
        holder = _lease_of_another(lease)
        if holder:
            raise BadInput(f"{message} (it was alive on {holder} within the last {LEASE_SECONDS} seconds)")
        _renew(lease)
        beat = threading.Thread(target=_keep_renewing, args=(lease, stopped), daemon=True)
        beat.start()
        try:
            yield
        finally:
            stopped.set()
            beat.join()
            lease.unlink(missing_ok=True)
    finally:
        lock.release()


def _renew(lease: Path) -> None:
    write_json(lease, {"host": socket.gethostname(), "pid": os.getpid(), "time": time.time()})


def _keep_renewing(lease: Path, stopped: threading.Event) -> None:
    while not stopped.wait(LEASE_SECONDS / 4):
        if not lease.parent.is_dir():
            return
        with suppress(OSError):  # storage that hiccups; the next beat may do
            _renew(lease)


def _lease_of_another(lease: Path) -> str | None:
    """The machine whose lease is still good; on this machine the lock itself has said enough."""
    try:
        held = json.loads(lease.read_text(encoding="utf-8"))
        fresh = time.time() - held["time"] < LEASE_SECONDS
        return str(held["host"]) if fresh and held["host"] != socket.gethostname() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
