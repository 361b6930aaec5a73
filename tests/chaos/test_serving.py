"""Serve under chaos: killed with twenty open streams, back on its port at once, stopped by SIGTERM; nobody waits."""

import signal
import time

import pytest

pytest.importorskip("openai", reason="the openai client is not installed: pip install '.[test]'")

from serving import Server, Streams, free_port, make_run

STREAMS = 20
pytestmark = pytest.mark.end_to_end


def test_twenty_streams_hear_of_a_killed_server_which_is_back_on_its_port_and_ends_properly_when_it_is_asked_to(
    tmp_path,
):
    make_run(tmp_path)
    port = free_port()
    with Server(tmp_path, port) as server:
        server.wait_until_ready()
        streams = Streams(server.address, STREAMS)
        streams.wait_until_all_write()
        server.process.kill()
        killed = time.monotonic()
        replies = streams.wait()
    assert all(reply.error and reply.tokens for reply in replies), replies
    assert max(reply.ended for reply in replies) - killed < 2
    with Server(tmp_path, port) as server:
        bound = server.wait_until_bound()
        assert bound < 5
        print(f"port {port} bound {bound:.1f} s after the start, ready after {server.wait_until_ready():.1f} s")
        streams = Streams(server.address, STREAMS)
        streams.wait_until_all_write()
        server.process.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        replies, (code, errors) = streams.wait(), server.end()
    assert code == 128 + signal.SIGTERM and "Traceback" not in errors, errors
    assert errors.splitlines()[-1].startswith("stopped; ")
    assert {reply.error for reply in replies} == {"APIError"}, replies
    assert all("the server is being stopped, and this reply with it" in reply.message for reply in replies)
    assert min(reply.ended for reply in replies) - asked > 1.5 and max(reply.ended for reply in replies) - asked < 6
