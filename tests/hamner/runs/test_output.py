"""Standard output that is closed, full, or without our signs: one line or none, never a traceback."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hamner.config.errors import BadInput
from hamner.runs import output

REPO = Path(__file__).resolve().parents[3]
SHOW = ["-m", "hamner", "show_tasks", "--show", "--count", "300"]  # more than a pipe holds
PLAN = ["-m", "tournament", "--plan", "--config", "smoke"]


def _run(words, tmp_path, **settings):
    environment = os.environ | {"PYTHONPATH": str(REPO), "HAMNER_RESULTS": str(tmp_path)} | settings.pop("env", {})
    return subprocess.run([sys.executable, *words], env=environment, stderr=subprocess.PIPE, check=False, **settings)


@pytest.mark.mended("output closed: `| head`")
@pytest.mark.parametrize("words", [SHOW, PLAN], ids=["print", "tables"])
def test_a_closed_pipe_ends_a_command_in_silence(words, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    answer = _run(words, tmp_path, stdout=writer)
    os.close(writer)
    assert (answer.returncode, answer.stderr) == (output.CLOSED_PIPE, b"")


@pytest.mark.mended("stdout on a full disk")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("words", [SHOW, PLAN, [*PLAN, "--json"], ["-m", "tournament", "--help"], ["-m", "curriculum"]])
def test_a_full_disk_under_the_output_is_one_line(words, tmp_path):
    with Path("/dev/full").open("wb") as full:
        answer = _run(words, tmp_path, stdout=full)
    assert answer.returncode == 2
    lines = answer.stderr.decode().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: the output cannot be written: No space left on device")


@pytest.mark.mended("stdout closed: `>&-`")
def test_a_closed_output_is_refused_before_anything_starts(tmp_path):
    answer = _run(PLAN, tmp_path, stdout=None, preexec_fn=lambda: os.close(1))
    assert answer.returncode == 2 and answer.stderr.startswith(b"error: standard output is closed: give it a place")


@pytest.mark.mended("output that cannot show Δ: --plan")
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_output_without_our_signs_gets_ascii(encoding, tmp_path):
    answer = _run(PLAN, tmp_path, stdout=subprocess.PIPE, env={"PYTHONIOENCODING": encoding})
    assert (answer.returncode, answer.stderr) == (0, b"")
    text = answer.stdout.decode("ascii")
    assert "4 x 64 tokens, 10 -> 5 -> 3 -> 1" in text and "| v01_dense_small " in text and "\\u" not in text


def test_an_error_is_said_in_an_output_without_its_characters(tmp_path):
    answer = _run([*PLAN, "--only", "Müller"], tmp_path, stdout=subprocess.PIPE, env={"PYTHONIOENCODING": "ascii"})
    assert answer.returncode == 2 and answer.stderr.startswith(b"error: --only M\\xfcller: unknown contestant")


def test_signs_have_an_ascii_spelling_and_others_their_escape():
    assert "Δ ± 3 → é".encode("ascii", output.ERRORS) == b"delta +- 3 -> \\xe9"
    assert "Δ ±".encode("latin-1", output.ERRORS) == b"delta \xb1"
    assert output.to_ascii("10 × 2 – é") == "10 x 2 - é"


class _Failing(io.TextIOWrapper):
    """A stream of which every write fails with an error."""

    def __init__(self, code):
        super().__init__(io.BytesIO())
        self.code = code

    def write(self, text):
        raise OSError(self.code, os.strerror(self.code))

    def fileno(self):
        raise OSError("of no file")


def test_a_terminal_that_has_gone_ends_nothing():
    import errno

    assert output.GuardedOutput(_Failing(errno.EIO)).write("x") == 1
    with pytest.raises(output.OutputFailed) as ended:
        output.GuardedOutput(_Failing(errno.EPIPE)).write("x")
    assert ended.value.code == output.CLOSED_PIPE


def test_what_another_thread_could_not_print_ends_the_main_one():
    import errno
    import threading

    stream = output.GuardedOutput(_Failing(errno.EPIPE))
    thread = threading.Thread(target=stream.write, args=("x",))
    thread.start()
    thread.join()
    with pytest.raises(output.OutputFailed):
        stream.flush()


def test_streams_may_be_opened_twice(monkeypatch):
    output.open_streams()
    output.open_streams()
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(BadInput, match="standard output is closed"):
        output.open_streams()
    assert sys.stdout is not None
