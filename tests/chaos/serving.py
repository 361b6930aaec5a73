"""The server under chaos: `hamner serve` in a process of its own, and clients whose replies are being written.

    served = kill_and_stop(place)      # kill -9 with 20 open streams; again on the same port; SIGTERM with 20 others
    outcomes(place)                    # all rows of the table

Data in: a folder. Data out: what every client saw, and when: an error, never silence.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
from faults import flip_bit
from outcomes import LOST, SAME, STOPPED, WAYS_ON, Outcome
from pipelines import REPO, TESTS

sys.path[:0] = [str(TESTS / "hamner"), str(TESTS / "hamner" / "inference")]

from ports import free_port  # noqa: E402
from served import HELLO, endless_model, save_run  # noqa: E402

RUN = "mine"
STREAMS = 20
SECONDS = 60.0  # in which anything of a server has to happen
LONGEST_STOP = 10.0  # [s] until every client of a server that is told to stop has heard of it
MOST_SILENT = 5.0  # [s] until a client has heard of it, and until the port is bound again
PAUSED_TOKENS = 400  # of replies that are written to their end


def make_run(results: Path) -> None:
    """A run whose model never draws an end: replies are as long as they are allowed."""
    save_run(results, RUN, endless_model())


class Server:
    """`hamner serve` at a port."""

    def __init__(self, results: Path, port: int) -> None:
        self.began = time.monotonic()
        self.port, self.address = port, f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hamner", "serve", RUN, "--port", str(port), "--results", str(results)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            cwd=REPO,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_until_bound(self) -> float:
        """Seconds from its start until it accepts connections."""
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return time.monotonic() - self.began
            except OSError:
                assert self.process.poll() is None and time.monotonic() < self.began + SECONDS, (
                    self.process.communicate()
                )
                time.sleep(0.01)

    def wait_until_ready(self) -> float:
        """Seconds from its start until it says where it answers."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert re.match(rf"{self.address}/  ", line), (line, self.process.stderr and self.process.stderr.read())
        return time.monotonic() - self.began

    def end(self) -> tuple[int, str]:
        """Wait for its end; its exit code and what it said on stderr."""
        _, errors = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, errors

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: Any) -> None:
        self.process.kill()
        self.process.communicate()


@dataclass
class Reply:
    """What a client saw of a reply."""

    tokens: int = 0
    error: str = ""  # the class of what it raised; "" while there is none
    message: str = ""
    ended: float = 0.0  # by the monotonic clock
    is_writing: threading.Event = field(default_factory=threading.Event)


class Streams:
    """So many clients of OpenAI's library, each of which reads a reply in pieces."""

    def __init__(self, address: str, count: int, tokens: int = 1400, patience: float = SECONDS) -> None:
        """tokens: that each asks for, far more than are written meanwhile. patience: [s] that it waits for a piece."""
        self._address, self._tokens, self._patience = address, tokens, patience
        self.replies = [Reply() for _ in range(count)]
        self._threads = [threading.Thread(target=self._read, args=(reply,), daemon=True) for reply in self.replies]
        for thread in self._threads:
            thread.start()

    def _read(self, reply: Reply) -> None:
        try:
            with openai.OpenAI(
                base_url=f"{self._address}/v1", api_key="none", max_retries=0, timeout=self._patience
            ) as client:
                stream = client.chat.completions.create(
                    model=RUN, messages=HELLO, max_tokens=self._tokens, stream=True, seed=1
                )
                for chunk in stream:
                    if chunk.choices and chunk.choices[0].delta.content:
                        reply.tokens += 1
                        reply.is_writing.set()
        except Exception as error:
            reply.error, reply.message = type(error).__name__, str(error)
        reply.ended = time.monotonic()
        reply.is_writing.set()

    def wait_until_all_write(self) -> None:
        for reply in self.replies:
            assert reply.is_writing.wait(SECONDS)
        assert not any(reply.ended for reply in self.replies), self.replies

    def wait(self) -> list[Reply]:
        """Wait until all have ended, however."""
        for thread in self._threads:
            thread.join(self._patience + SECONDS)
            assert not thread.is_alive(), "a client still waits: it has been told nothing"
        return self.replies


@dataclass(frozen=True)
class Served:
    """What came of a server that was killed, started again, and told to stop. Times in seconds."""

    anew: float  # from a start until it answers
    killed: list[Reply]  # whose server was killed
    silence: float  # until the last of them knew
    bound: float  # from the next start until it accepts connections, on the same port
    ready: float  # ... until it answers
    stopped: list[Reply]  # whose server was told to stop
    shortest: float  # until the first of them was ended
    longest: float  # ... the last
    code: int  # of that server
    errors: str  # that it printed
    texts: tuple[str, str]  # one reply, before and after


def kill_and_stop(place: Path) -> Served:
    """Kill a server with open streams, start it again on its port, and stop that one with open streams."""
    make_run(place)
    port = free_port()
    with Server(place, port) as server:
        anew = server.wait_until_ready()
        before = reply(server.address)
        streams = Streams(server.address, STREAMS)
        streams.wait_until_all_write()
        server.process.kill()
        now = time.monotonic()
        killed = streams.wait()
        silence = max(each.ended for each in killed) - now
    with Server(place, port) as server:
        bound, ready = server.wait_until_bound(), server.wait_until_ready()
        after = reply(server.address)
        streams = Streams(server.address, STREAMS)
        streams.wait_until_all_write()
        server.process.send_signal(signal.SIGTERM)
        now = time.monotonic()
        stopped, (code, errors) = streams.wait(), server.end()
    ends = [each.ended - now for each in stopped]
    return Served(anew, killed, silence, bound, ready, stopped, min(ends), max(ends), code, errors, (before, after))


def reply(address: str) -> str:
    """A reply that a seed decides."""
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=SECONDS) as client:
        answer = client.chat.completions.create(model=RUN, messages=HELLO, max_tokens=20, seed=5)
    return str(answer.choices[0].message.content)


def outcome_of(served: Served) -> Outcome:
    """The row of the table: all have heard of it and the port is bound again within 5 s, the same reply comes after."""
    have_heard = all(each.error for each in (*served.killed, *served.stopped)) and served.silence < MOST_SILENT
    is_back = served.bound < MOST_SILENT and served.texts[0] == served.texts[1]
    is_told = all("the server is being stopped, and this reply with it" in each.message for each in served.stopped)
    has_ended = served.longest < LONGEST_STOP and served.code == 128 + signal.SIGTERM
    return _row(
        "kill -9 and SIGTERM with open streams",
        "killed",
        f"kill -9 with {STREAMS} open streams, whose clients had all heard of it after {served.silence:.1f} s; "
        f"started again, at its port after {served.bound:.1f} s; then SIGTERM with {STREAMS} others",
        SAME if have_heard and is_back and is_told and has_ended else LOST,
        code=-signal.SIGKILL,
        next_code=served.code,
        seconds_to_go_on=served.ready,
        seconds_to_end=served.ready,
        seconds_anew=served.anew,
        said=tuple(sorted({f"{each.error}: {each.message}" for each in served.killed})),
        next_said=tuple(sorted({f"{each.error}: {each.message}" for each in served.stopped})),
    )


def pause(place: Path, seconds: float) -> Outcome:
    """SIGSTOP with open streams, SIGCONT after a while: every reply is written to its end, as if nothing had been."""
    make_run(place)
    with Server(place, free_port()) as server:
        anew = server.wait_until_ready()
        alone = Streams(server.address, 1, tokens=PAUSED_TOKENS).wait()
        streams = Streams(server.address, STREAMS, tokens=PAUSED_TOKENS, patience=seconds + SECONDS)
        streams.wait_until_all_write()
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        server.process.send_signal(signal.SIGCONT)
        now = time.monotonic()
        replies = streams.wait()
        took = time.monotonic() - now
        server.process.send_signal(signal.SIGINT)
        code, errors = server.end()
    is_whole = not any(each.error for each in replies) and {each.tokens for each in replies} == {alone[0].tokens}
    what = f"SIGSTOP for {seconds:g} s with {STREAMS} open streams, all of which were written to the end; then SIGINT"
    return _row(
        "SIGSTOP with open streams",
        "killed",
        what,
        SAME if is_whole else LOST,
        code=code,
        codes=(128 + signal.SIGINT,),
        seconds_to_go_on=took,
        seconds_anew=anew,
        said=tuple(errors.splitlines()),
    )


def damaged_weights(place: Path) -> Outcome:
    """A flipped bit of the weights: the server refuses to start, in a line, and binds no port."""
    make_run(place)
    (weights,) = place.glob(f"*/{RUN}/final/model.safetensors")
    flip_bit(weights)
    began, port = time.monotonic(), free_port()
    with Server(place, port) as server:
        code, errors = server.end()
    is_clear = code == 2 and errors.count("\n") == 1 and bool(WAYS_ON.search(errors))
    return _row(
        "final/model.safetensors a bit flipped",
        "damaged",
        "final/model.safetensors a bit flipped before it was started",
        STOPPED if is_clear else LOST,
        code=code,
        codes=(2,),
        seconds_anew=time.monotonic() - began,
        said=tuple(errors.replace(f"{place}/", "").splitlines()),
    )


def outcomes(place: Path, seconds: float = 60.0) -> list[Outcome]:
    """All rows of the table. seconds: of SIGSTOP."""
    folders = [place / name for name in ("killed", "paused", "damaged")]
    return [outcome_of(kill_and_stop(folders[0])), pause(folders[1], seconds), damaged_weights(folders[2])]


def _row(fault: str, kind: str, what: str, outcome: str, **more: Any) -> Outcome:
    facts = {"next_code": None, "seconds_to_go_on": None, "seconds_to_end": None, "seconds_anew": 0.0} | more
    return Outcome("serve", fault, kind, what, outcome, steps_redone=0, interval=0, **facts)
