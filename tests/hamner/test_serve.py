"""The command `hamner serve`: bad input that is refused before torch is imported, and a server from start to Ctrl-C."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

PORT = "PORT"  # one that is taken
REFUSED = {  # words of the command: lines of the answer
    "an unknown run": (["mime"], ["did you mean 'mine'?"]),
    "other machines": (["--host", "0.0.0.0"], ["--host 0.0.0.0 lets other machines ask: give a --token"]),
    "a short token": (
        ["--token", "friend"],
        ["the token (--token or HAMNER_TOKEN) has 6 letters: use 16 or more, or it can be guessed"],
    ),
    "a token with a space": (["--token", "one two three four"], ["has a space"]),
    "a port that is taken": (["mine", "--port", PORT], ["Address already in use; choose another port or host"]),
    "a host that is none": (
        ["mine", "--host", "no.such.invalid", "--token", "x" * 16],
        ["choose another port or host"],
    ),
    "no place": (["--streams", "0"], ["a whole number from 1 to 4096"]),
    "all at once": (["--host", "::", "--token", "ö"], ["not ASCII"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_without_torch(model_results, case):
    """In a process whose imports of torch fail."""
    words, lines = REFUSED[case]
    script = "import sys; sys.modules['torch'] = None; from hamner.serve import main; sys.exit(main(sys.argv[1:]))"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = [str(taken.getsockname()[1]) if word == PORT else word for word in words]
        answer = subprocess.run(
            [sys.executable, "-c", script, *words],
            env=os.environ | {"HAMNER_RESULTS": str(model_results), "HAMNER_TOKEN": ""},
            capture_output=True,
            text=True,
            check=False,
        )
    errors = answer.stderr.splitlines()
    assert answer.returncode == 2 and len(errors) == len(lines), answer.stderr
    assert all(error.startswith("error: ") and line in error for error, line in zip(errors, lines, strict=True))


def test_a_missing_package_is_said_with_the_way_to_get_it(model_results):
    script = "import sys; sys.modules['fastapi'] = None; from hamner.serve import main; sys.exit(main(['mine']))"
    environment = os.environ | {"HAMNER_RESULTS": str(model_results)}
    answer = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert (
        answer.returncode == 2 and answer.stderr == "error: `hamner serve` needs fastapi: use `pip install fastapi`\n"
    )


def test_a_server_from_its_first_line_to_ctrl_c(model_results):
    process = subprocess.Popen(
        [sys.executable, "-m", "hamner", "serve", "mine", "--port", "0", "--results", str(model_results)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        address = re.match(r"(http://127\.0\.0\.1:\d+/)  ", process.stdout.readline())[1]
        body = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 3, "seed": 1}
        request = urllib.request.Request(
            f"{address}v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert json.load(answer)["usage"]["completion_tokens"] <= 3
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and "Traceback" not in errors
    promise, _, stopped = errors.splitlines()
    assert promise.startswith("mine: ") and "parameters" in promise and stopped.startswith("stopped; ")
