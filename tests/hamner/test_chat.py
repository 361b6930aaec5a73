"""The command `hamner chat`: one reply on a pipe, and bad input that is refused before torch is imported."""

import io
import os
import pty
import select
import subprocess
import sys

import pytest

from hamner import chat
from hamner.inference.conversation import Conversation
from hamner.inference.find_model import load


def test_a_message_on_a_pipe_is_answered_once(model_results, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("hello\n"))
    assert chat.main(["mine", "--results", str(model_results), "--seed", "3"]) == 0
    expected = Conversation(load("mine", results=model_results), seed=3, temperature=0.7).reply("hello")
    assert capsys.readouterr().out.strip() == expected.strip()


REFUSED = {
    "temperature": (["--temperature", "-1"], "hello", "must be a number of 0 or more"),
    "run": (["mime"], "hello", "did you mean 'mine'"),
    "message": (["mine"], " \n", "the pipe holds no message"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_without_torch(model_results, case):
    """In a process whose imports of torch fail."""
    arguments, message, words = REFUSED[case]
    script = "import sys; sys.modules['torch'] = None; from hamner.chat import main; sys.exit(main(sys.argv[1:]))"
    answer = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        input=message,
        env=os.environ | {"HAMNER_RESULTS": str(model_results)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 2 and answer.stderr.startswith("error: ") and words in answer.stderr, answer.stderr


def _chat(model_results, *words, stdin=b"hello", **settings):
    return subprocess.run(
        [sys.executable, "-m", "hamner", "chat", *words],
        input=stdin,
        env=os.environ | {"HAMNER_RESULTS": str(model_results)} | settings.pop("env", {}),
        capture_output=True,
        check=False,
        **settings,
    )


@pytest.mark.mended("bytes that are not UTF-8 in chat")
@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Grüße".encode("latin-1"), "is not UTF-8: line 1 holds the byte 0xfc"),
        ("hello".encode("utf-16"), "is UTF-16"),
        (b"a\0b", "NUL bytes"),
        (b"\xff" * 9, "is not UTF-8"),
        (b"\xef\xbb\xbf \n", "the pipe holds no message"),
    ],
)
def test_a_message_that_is_no_text_is_refused(message, words, model_results, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(message), encoding="utf-8"))
    assert chat.main(["mine", "--results", str(model_results)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and words in error and error.count("\n") == 1


def test_a_message_is_utf8_whatever_the_locale_and_may_begin_with_a_mark(model_results, monkeypatch, capsys):
    replies = []
    for mark, encoding in ((b"", "utf-8"), (b"\xef\xbb\xbf", "ascii")):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(mark + "Grüße".encode()), encoding=encoding))
        assert chat.main(["mine", "--results", str(model_results)]) == 0
        replies.append(capsys.readouterr().out)
    assert replies[0] == replies[1]


@pytest.mark.mended("stdin closed in chat")
def test_a_closed_input_is_refused_without_torch(model_results):
    answer = _chat(model_results, "mine", stdin=None, preexec_fn=lambda: os.close(0))
    assert answer.returncode == 2 and answer.stderr.startswith(b"error: standard input is closed: give a message")


@pytest.mark.mended("--temperature nan")
@pytest.mark.parametrize(
    "words", [["--temperature", "nan"], ["--temperature=inf"], ["--seed=-1"], ["--seed", "9" * 20]]
)
def test_numbers_that_are_none_are_refused(words, model_results, capsys):
    assert chat.main(["mine", "--results", str(model_results), *words]) == 2
    assert "must be a" in capsys.readouterr().err


@pytest.mark.mended("a message longer than the context, in chat")
def test_a_message_that_is_too_long_is_refused(model_results, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("hello there " * 300))
    assert chat.main(["mine", "--results", str(model_results)]) == 2
    assert "tokens long; the model reads 300" in capsys.readouterr().err


def test_at_a_terminal_a_message_that_cannot_be_answered_ends_nothing(model_results):
    """Bytes that are no UTF-8, then a message that is too long, then one that is answered."""
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "hamner", "chat", "mine", "--results", str(model_results)],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        close_fds=True,
    )
    os.close(terminal)
    said = b""
    for message in (b"Gr\xfc\xdfe\n", b"the owl and the fox " * 60 + b"\n", b"hello\n", b"/quit\n"):
        prompts = said.count(b"you: ")
        while said.count(b"you: ") == prompts:
            assert select.select([main], [], [], 60)[0], said
            said += os.read(main, 65536)
        os.write(main, message)
    assert process.wait(60) == 0
    while select.select([main], [], [], 0.2)[0]:
        try:
            said += os.read(main, 65536)
        except OSError:
            break
    os.close(main)
    assert b"error: the message is not UTF-8" in said and b"tokens long; the model reads 300" in said
    assert said.count(b"hamner: ") == 1 and b"Traceback" not in said


def test_help_has_three_examples_and_needs_no_torch():
    script = "import sys; sys.modules['torch'] = None; from hamner.chat import main; main(['--help'])"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert answer.returncode == 0 and answer.stdout.count("hamner chat ") >= 3
