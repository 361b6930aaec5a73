"""Lease at an object store (advisory lock): one preparation at a time at an address, where there are no file locks.

An object store neither locks nor renames, but a file is there whole or not at all, and what was written last is read by
all from then on. So a command writes its name, looks again after a pause whether it still stands there, and renews it;
another that finds a name waits two renewals to see whether it is renewed. No clocks are compared.

Data in: a Store. Data out: .prepare.lease in it while the block lasts; or a BadInput.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

from hamner.config.errors import BadInput
from hamner.data.preparation.store import Store
from hamner.runs.files import json_bytes

NAME = ".prepare.lease"
RENEWAL_SECONDS = 15.0
SETTLE_SECONDS = 1.0  # longer than from a look that finds no lease to the end of writing one


@contextmanager
def only_one_at(
    store: Store, *, renewal_seconds: float = RENEWAL_SECONDS, settle_seconds: float = SETTLE_SECONDS
) -> Iterator[None]:
    """Hold the lease of an address. Raises BadInput when another command renews it.

    A command that stood still until another has taken over ends when it wakes.
    """
    busy = f"{store.place} is being prepared by another process: wait for it to end"
    _wait_until_free(store, busy, renewal_seconds)
    lease = _Lease(store)
    lease.renew()
    time.sleep(settle_seconds)
    if not lease.is_ours():
        raise BadInput(busy)
    stopped = threading.Event()
    renewals = threading.Thread(target=_keep_renewing, args=(lease, stopped, renewal_seconds), daemon=True)
    renewals.start()
    try:
        yield
    finally:
        stopped.set()
        renewals.join()
        if lease.is_ours():
            store.remove(NAME)


class _Lease:
    """This command's own."""

    def __init__(self, store: Store) -> None:
        self._store, self._owner, self._numbers = store, secrets.token_hex(8), count()
        self._written = b""

    def renew(self) -> None:
        document = {"owner": self._owner, "host": socket.gethostname(), "renewal": next(self._numbers)}
        self._written = json_bytes(document)
        self._store.write(NAME, self._written)

    def is_ours(self) -> bool:
        return self._store.read(NAME) == self._written


def _wait_until_free(store: Store, busy: str, renewal_seconds: float) -> None:
    """Return at once where there is no lease, else once it was not renewed for twice as long as it should be."""
    found = store.read(NAME)
    if found is None:
        return
    seconds = 2 * renewal_seconds
    if seconds > 2:
        print(f"{store.place} was being prepared: waiting {seconds:.0f} s to see whether it still is", file=sys.stderr)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(1.0, renewal_seconds / 4))
        now = store.read(NAME)
        if now is None:
            return
        if now != found:
            raise BadInput(busy)


def _keep_renewing(lease: _Lease, stopped: threading.Event, every_seconds: float) -> None:
    while not stopped.wait(every_seconds):
        with suppress(OSError):  # one failed write is no matter: the next comes before the lease is void
            if not lease.is_ours():
                print("another command has taken this preparation over: it ends here", file=sys.stderr, flush=True)
                os._exit(1)
            lease.renew()
