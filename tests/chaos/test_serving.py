"""Serve under chaos: killed with twenty open streams, back on its port at once, stopped by SIGTERM; nobody waits."""

import signal

import pytest

pytest.importorskip("openai", reason="the openai client is not installed: pip install '.[test]'")

from outcomes import SAME, STOPPED, problems
from serving import STREAMS, damaged_weights, kill_and_stop, outcome_of, pause

pytestmark = [pytest.mark.slow, pytest.mark.end_to_end]


@pytest.mark.mended("SIGTERM with open streams")
def test_twenty_streams_hear_of_a_killed_server_which_is_back_on_its_port_and_of_one_that_is_stopped(tmp_path):
    served = kill_and_stop(tmp_path)
    assert len(served.killed) == len(served.stopped) == STREAMS
    assert all(reply.error and reply.tokens for reply in served.killed), served.killed
    assert served.silence < 5 and served.bound < 5, (served.silence, served.bound)
    assert served.texts[0] == served.texts[1]
    assert {reply.error for reply in served.stopped} == {"APIError"}, served.stopped
    assert all("the server is being stopped, and this reply with it" in reply.message for reply in served.stopped)
    assert served.shortest > 1.5 and served.longest < 10, (served.shortest, served.longest)
    assert served.code == 128 + signal.SIGTERM and "Traceback" not in served.errors, served.errors
    assert served.errors.splitlines()[-1].startswith("stopped; ")
    outcome = outcome_of(served)
    assert outcome.outcome == SAME and problems(outcome) == []


def test_a_server_that_stood_still_writes_all_twenty_replies_to_their_ends(tmp_path):
    outcome = pause(tmp_path, 3.0)
    assert outcome.outcome == SAME and problems(outcome) == [], outcome


def test_a_server_whose_weights_are_damaged_refuses_to_start_in_a_line(tmp_path):
    outcome = damaged_weights(tmp_path)
    assert outcome.outcome == STOPPED and problems(outcome) == [], outcome
