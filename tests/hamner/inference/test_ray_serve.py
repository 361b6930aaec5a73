"""The server under Ray Serve: two replicas on this machine write two replies at a time, and no third."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time

import pytest
from served import endless_model, save_run

SCRIPT = """
import sys, ray
from ray import serve
from ray_configs.serve_app import Words, application

ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
serve.start(http_options={"port": int(sys.argv[2])})
serve.run(application(Words(run="mine", results=sys.argv[1], replicas="2", cpus="0.5", streams="1", queue="0")))
print("ready", flush=True)
sys.stdin.read()
serve.shutdown()
ray.shutdown()
"""


@pytest.fixture
def port(tmp_path):
    """The port of Ray Serve with two replicas, each with one place."""
    pytest.importorskip("grpc_reflection", reason="no Ray Serve: pip install '.[ray_serve]'")
    save_run(tmp_path, "mine", endless_model(num_layers=30))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path), str(port)],
        env=environment | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        yield port
    finally:
        process.communicate("", timeout=120)


def _ask(port, **settings):
    """An answer whose body is still to be read, and its connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    body = json.dumps({"messages": [{"role": "user", "content": "hello"}], **settings})
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    return connection.getresponse(), connection


@pytest.mark.slow
@pytest.mark.end_to_end
def test_two_replicas_write_two_replies_at_a_time(port):
    opened, refused = [], 0
    for _ in range(12):
        answer, connection = _ask(port, stream=True, max_tokens=1400)
        if answer.status == 200:
            opened.append((answer, connection))
            assert answer.read(6) == b"data: "
        else:
            assert answer.status == 429 and answer.headers["retry-after"]
            refused += 1
            connection.close()
        if len(opened) == 2 and refused:
            break
    assert len(opened) == 2 and refused  # one place a replica, so two replicas write
    for _, connection in opened:
        connection.close()
    end = time.monotonic() + 60
    while (answer := _ask(port, max_tokens=3)[0]).status == 429:  # clients that left have freed their places
        assert time.monotonic() < end
        time.sleep(0.2)
    reply = json.load(answer)
    assert answer.status == 200 and reply["usage"]["completion_tokens"] == 3 and reply["model"] == "mine"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", "/")
    page = connection.getresponse()
    assert page.status == 200 and "default-src 'none'" in page.headers["content-security-policy"]
