"""Lock: one process may work on a run, and on shared storage one machine."""

import json
import subprocess
import sys
import time

import pytest

from hamner.config.errors import BadInput
from hamner.runs.lock import LEASE_SECONDS, only_one


def _lease(folder, host, age):
    (folder / ".driver.lease").write_text(json.dumps({"host": host, "pid": 1, "time": time.time() - age}))


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
