"""`tensorboard --logdir results` lists every contestant and every stage, asked through its own HTTP API."""

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
def test_ten_contestants_and_every_stage(league, raised, commands):
    port = free_port()
    server = subprocess.Popen(
        [str(Path(sys.executable).parent / "tensorboard"), "--logdir", str(commands.results), "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    expected = {f"tournament/league/{name}" for name in CONTESTANTS} | {
        f"curriculum/raised/tensorboard/{i}_{stage.name}" for i, stage in enumerate(FLAT, 1)
    }
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
    finally:
        server.terminate()
        server.wait()
