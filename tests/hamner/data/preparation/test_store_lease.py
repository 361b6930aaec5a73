"""Lease at an address: one preparation at a time where there are no file locks."""

import threading
import time

import pytest

from hamner.config.errors import BadInput
from hamner.data.preparation.store import Store
from hamner.data.preparation.store_lease import NAME, only_one_at

QUICKLY = {"renewal_seconds": 0.2, "settle_seconds": 0.1}


@pytest.fixture
def store(request):
    return Store(f"memory://lease/{request.node.name}")


def test_of_two_that_begin_at_one_moment_one_goes_on(store):
    winners, losers, start = [], [], threading.Barrier(2)

    def prepare(number):
        start.wait()
        try:
            with only_one_at(store, **QUICKLY):
                winners.append(number)
                time.sleep(0.7)
        except BadInput as error:
            losers.append(str(error))

    threads = [threading.Thread(target=prepare, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1 and len(losers) == 1 and "is being prepared by another process" in losers[0]
    assert store.read(NAME) is None


def test_a_lease_that_is_renewed_is_honoured_and_one_that_a_killed_command_left_is_void(store):
    with only_one_at(store, **QUICKLY), pytest.raises(BadInput, match="being prepared"), only_one_at(store, **QUICKLY):
        pass
    store.write(NAME, b"of a command that was killed")
    began = time.monotonic()
    with only_one_at(store, **QUICKLY):
        assert 0.4 < time.monotonic() - began < 2
        assert b'"owner"' in store.read(NAME)
    assert store.read(NAME) is None
