"""A Ray that a command of ours starts: no dashboard, and nobody without the token is answered."""

import os
import subprocess
import sys

import pytest

OWN = """
import sys, ray
from hamner.runs.cluster import join, ray_settings
join(ray, ray_settings(1), cpus=1, gpus=0)
print(ray.get_runtime_context().gcs_address, repr(ray._private.worker._global_node.webui_url), flush=True)
sys.stdin.read()
ray.shutdown()
"""
STRANGER = """
import sys
from ray._raylet import GcsClient
print(len(GcsClient(address=sys.argv[1]).get_all_node_info()), "nodes")
"""


@pytest.mark.slow
@pytest.mark.end_to_end
def test_a_ray_of_our_own_has_no_dashboard_and_answers_nobody_without_the_token(tmp_path):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    clean |= {"HOME": str(tmp_path), "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    own = subprocess.Popen(
        [sys.executable, "-c", OWN], env=clean, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        address, _, dashboard = own.stdout.readline().strip().partition(" ")
        assert dashboard in ("''", "None")

        def ask(**environment):
            words = [sys.executable, "-c", STRANGER, address]
            return subprocess.run(words, env=clean | environment, capture_output=True, text=True, timeout=60)

        assert ask(RAY_AUTH_MODE="token").stdout == "1 nodes\n"
        for environment in ({"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}):
            answer = ask(**environment)
            assert answer.returncode != 0 and "nodes" not in answer.stdout
            assert "authenticat" in answer.stderr.lower(), answer.stderr
    finally:
        own.communicate("", timeout=60)
