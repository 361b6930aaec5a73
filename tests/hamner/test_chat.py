"""The command `hamner chat`: one reply on a pipe, and bad input that is refused before torch is imported."""

import io
import os
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
    "temperature": (["--temperature", "-1"], "hello", "--temperature -1.0 is below 0"),
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


def test_help_has_three_examples_and_needs_no_torch():
    script = "import sys; sys.modules['torch'] = None; from hamner.chat import main; main(['--help'])"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert answer.returncode == 0 and answer.stdout.count("hamner chat ") >= 3
