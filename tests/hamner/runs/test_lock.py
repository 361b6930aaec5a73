"""Lock: one process may work on a run, and on shared storage one machine."""

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from hamner.config.errors import BadInput
from hamner.runs.lock import LEASE_SECONDS, boot_id, only_one, read_lease


def _lease(folder, host, age, file_age=None):
    """A lease of another machine: its age by that machine's clock, and by the storage's."""
    path = folder / "lease.new"
    path.write_text(json.dumps({"host": host, "pid": 1, "time": time.time() - age}))
    written = time.time() - (age if file_age is None else file_age)
    os.utime(path, (written, written))
    path.replace(folder / ".driver.lease")  # whole at any moment, as a machine writes it


def test_a_second_process_is_refused_and_a_killed_one_leaves_nothing_locked(tmp_path):
    path = tmp_path / ".driver.lock"
    code = (
        f"from hamner.runs.lock import only_one\nfrom pathlib import Path\nimport time\n"
        f"with only_one(Path({str(path)!r}), 'busy'):\n    print('in', flush=True)\n    time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "in\n"
    with pytest.raises(BadInput, match="busy"), only_one(path, "busy"):
        pass
    holder.kill()
    holder.communicate()
    with only_one(path, "busy"):  # its lease is of this machine, where the lock has the last word
        pass
    assert not (tmp_path / ".driver.lease").exists()


def test_the_lease_of_another_machine_is_honoured_while_it_is_fresh(tmp_path):
    _lease(tmp_path, "elsewhere", 10)
    with pytest.raises(BadInput, match="alive on elsewhere"), only_one(tmp_path / ".driver.lock", "busy"):
        pass
    _lease(tmp_path, "elsewhere", LEASE_SECONDS + 1)
    with only_one(tmp_path / ".driver.lock", "busy"):
        assert json.loads((tmp_path / ".driver.lease").read_text())["host"] != "elsewhere"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": 1}'])
def test_a_broken_lease_is_no_lease(tmp_path, text):
    (tmp_path / ".driver.lease").write_text(text)
    with only_one(tmp_path / ".driver.lock", "busy"):
        pass


def test_the_lease_is_renewed_while_the_lock_is_held(tmp_path):
    with only_one(tmp_path / ".driver.lock", "busy", lease_seconds=0.2):
        first = json.loads((tmp_path / ".driver.lease").read_text())["time"]
        time.sleep(0.3)
        assert json.loads((tmp_path / ".driver.lease").read_text())["time"] > first


def _renewed(folder, host, age):
    """Another machine that renews its lease until the returned event is set."""
    stopped = threading.Event()

    def renew():
        while not stopped.wait(0.05):
            _lease(folder, host, age, 0)

    threading.Thread(target=renew, daemon=True).start()
    return stopped


@pytest.mark.mended("a lease of a machine whose clock runs ahead")
@pytest.mark.parametrize("age", [-86400.0, 86400.0])
def test_a_machine_whose_clock_is_a_day_off_is_judged_by_whether_it_renews_its_lease(tmp_path, age):
    _lease(tmp_path, "elsewhere", age, 0)
    began = time.monotonic()
    with only_one(tmp_path / ".driver.lock", "busy", lease_seconds=0.6):
        assert time.monotonic() - began < 1.5
    _lease(tmp_path, "elsewhere", -86400.0, LEASE_SECONDS + 1)  # old by the storage's clock
    with only_one(tmp_path / ".driver.lock", "busy"):
        pass
    _lease(tmp_path, "elsewhere", age, 0)
    stopped = _renewed(tmp_path, "elsewhere", age)
    with pytest.raises(BadInput, match="alive on elsewhere"), only_one(tmp_path / ".driver.lock", "busy"):
        pass
    stopped.set()


@pytest.mark.mended("a replaced container's --resume")
def test_a_resume_waits_until_the_lease_of_a_container_that_is_gone_has_ended(tmp_path):
    _lease(tmp_path, "4f1c2d", 0.1)
    with only_one(tmp_path / ".driver.lock", "busy", wait_seconds=0.1, lease_seconds=0.6):
        pass
    _lease(tmp_path, "4f1c2d", 0.1)
    stopped = _renewed(tmp_path, "4f1c2d", 0)
    with (
        pytest.raises(BadInput, match="alive on 4f1c2d"),
        only_one(tmp_path / ".driver.lock", "busy", wait_seconds=0.1, lease_seconds=5),
    ):
        pass
    stopped.set()


@pytest.mark.mended("locks refused (ENOLCK)")
@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOLCK, "No locks available"), OSError(errno.EROFS, "Read-only"), NotImplementedError("flock")],
)
def test_storage_that_refuses_locks_is_said_in_one_line(tmp_path, monkeypatch, error):
    def refuse(*_):
        raise error

    monkeypatch.setattr("hamner.runs.lock.FileLock.acquire", refuse)
    with pytest.raises(BadInput, match="cannot be locked") as caught, only_one(tmp_path / ".driver.lock", "busy"):
        pass
    assert len(caught.value.problems) == 1 and "choose another folder (--results" in str(caught.value)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE])
def test_a_full_disk_or_too_many_open_files_are_not_said_to_be_a_matter_of_locks(tmp_path, monkeypatch, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("hamner.runs.lock.FileLock.acquire", refuse)
    with pytest.raises(OSError, match=os.strerror(code)) as caught, only_one(tmp_path / ".driver.lock", "busy"):
        pass
    assert caught.value.errno == code


def test_two_machines_of_one_name_are_told_apart(tmp_path, monkeypatch):
    path = tmp_path / ".driver.lease"
    ours = {"host": socket.gethostname(), "pid": os.getpid(), "time": time.time()}
    path.write_text(json.dumps(ours | {"boot": boot_id()}))
    assert read_lease(path).is_here and read_lease(path).is_ours
    path.write_text(json.dumps(ours))  # of an older version
    assert read_lease(path).is_here
    path.write_text(json.dumps(ours | {"boot": "0cbee1a3-another-start"}))
    assert not read_lease(path).is_here and not read_lease(path).is_ours  # whatever process has that number here
    with pytest.raises(BadInput, match="alive on"), only_one(tmp_path / ".driver.lock", "busy"):
        pass
    monkeypatch.setattr("hamner.runs.lock.BOOT_ID", tmp_path / "not there")  # or not to be opened just now
    assert read_lease(path).is_here


def test_a_process_that_trains_waits_for_one_on_another_machine_until_that_ends(tmp_path):
    _lease(tmp_path, "elsewhere", 0)
    stopped = _renewed(tmp_path, "elsewhere", 0)
    threading.Timer(1.0, stopped.set).start()
    began = time.monotonic()
    with only_one(tmp_path / ".driver.lock", "busy", wait_seconds=20, lease_seconds=2):
        assert 1.0 < time.monotonic() - began < 8


def test_a_process_that_stood_still_ends_when_another_machine_has_taken_over(tmp_path):
    code = (
        f"from hamner.runs.lock import only_one\nfrom pathlib import Path\nimport time\n"
        f"with only_one(Path({str(tmp_path / '.driver.lock')!r}), 'busy', lease_seconds=0.4):\n"
        "    print('in', flush=True)\n    time.sleep(60)"
    )
    words = [sys.executable, "-c", code]
    sleeper = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert sleeper.stdout.readline() == "in\n"
    stopped = _renewed(tmp_path, "elsewhere", 0)
    _, said = sleeper.communicate(timeout=10)
    stopped.set()
    assert sleeper.returncode == 1 and said.count("\n") == 1 and "one on elsewhere has taken over" in said
    assert read_lease(tmp_path / ".driver.lease").host == "elsewhere"  # it is left to its owner


def test_storage_without_file_locks_is_refused_and_no_marker_takes_their_place(tmp_path, monkeypatch):
    def missing(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", missing)
    with pytest.raises(BadInput, match="takes file locks"), only_one(tmp_path / ".driver.lock", "busy"):
        pass
