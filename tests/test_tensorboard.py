"""`tensorboard --logdir results` lists every contestant and the curriculum, asked through its own HTTP API."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from curriculum.stages import FLAT
from hamner.config.presets import CONTESTANTS


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.mark.end_to_end
def test_ten_contestants_and_one_curve_of_all_stages(league, raised, commands):
    port = free_port()
    server = subprocess.Popen(
        [str(Path(sys.executable).parent / "tensorboard"), "--logdir", str(commands.results), "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    expected = {f"tournament/league/{name}" for name in CONTESTANTS} | {"curriculum/raised/tensorboard"}
    try:
        listed: set[str] = set()
        for _ in range(120):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/data/runs", timeout=5) as answer:
                    listed = set(json.load(answer))
            except OSError:
                pass
            if expected <= listed:
                break
            time.sleep(0.5)
        assert expected <= listed
        url = f"http://127.0.0.1:{port}/data/plugin/scalars/scalars?tag=loss&run=tournament/league/v01_dense_small"
        with urllib.request.urlopen(url, timeout=20) as answer:
            assert [point[1] for point in json.load(answer)][:3] == [1, 2, 3]
        url = f"http://127.0.0.1:{port}/data/plugin/scalars/scalars?tag=stage&run=curriculum/raised/tensorboard"
        with urllib.request.urlopen(url, timeout=20) as answer:
            assert {int(point[2]) for point in json.load(answer)} == set(range(1, len(FLAT) + 1))
    finally:
        server.terminate()
        server.wait()
