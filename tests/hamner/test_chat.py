"""The command `hamner chat`: one reply on a pipe, a real terminal's keys, bad input refused before torch is loaded."""

import io
import json
import os
import re
import signal
import stat
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from model_kinds import small_model
from pseudo_terminal import CTRL_C, CTRL_D, DELETE, LEFT, PROMPT, UP, Terminal

from hamner import chat
from hamner.data.tokenizer import Tokenizer
from hamner.inference.conversation import Conversation
from hamner.inference.find_model import load
from hamner.inference.generate import Sampling
from hamner.model.transformer import build
from hamner.runs.output import printable
from hamner.training import checkpoint


def test_a_message_on_a_pipe_is_answered_once(model_results, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("hello\n"))
    assert chat.main(["mine", "--results", str(model_results), "--seed", "3"]) == 0
    expected = Conversation(load("mine", results=model_results), seed=3, temperature=0.7).reply("hello")
    assert capsys.readouterr().out.split() == printable(expected).split()


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


def test_options_say_how_tokens_are_drawn(model_results, monkeypatch, capsys):
    words = ["--temperature", "1.5", "--top-k", "7", "--top-p", "1", "--min-p", "0.2", "--repetition-penalty", "1"]
    settings = {"temperature": 1.5, "top_k": 7, "top_p": 1.0, "min_p": 0.2, "repetition_penalty": 1.0}
    monkeypatch.setattr("sys.stdin", io.StringIO("hello"))
    assert chat.main(["mine", "--results", str(model_results), *words]) == 0
    expected = Conversation(load("mine", results=model_results), **settings).reply("hello")
    assert capsys.readouterr().out.split() == printable(expected).split()
    defaults = {key: default for key, (_, default, _) in chat.SAMPLING.items()}
    assert list(defaults) == list(vars(Sampling()))  # and in the order in which they work
    assert Sampling(**defaults) == Sampling(temperature=0.7)


@pytest.mark.parametrize("words", ["--top-k 0", "--top-k 1.5", "--top-p 0", "--min-p 1.1", "--repetition-penalty nan"])
def test_sampling_that_is_impossible_is_refused_before_the_message_is_read(words, model_results, capsys):
    assert chat.main(["mine", "--results", str(model_results), *words.split()]) == 2
    assert "must be a" in capsys.readouterr().err


def test_a_message_of_a_megabyte_is_refused_with_its_length(model_results, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("hello there " * 90_000))
    assert chat.main(["mine", "--results", str(model_results)]) == 2
    assert re.search(r"^error: the message is \d{3},\d{3} tokens long; the model reads 300", capsys.readouterr().err)


@pytest.fixture(scope="module")
def talkative(tmp_path_factory):
    """Environment of a results folder with a model that is slow enough to be broken off, and never ends a reply."""
    folder = tmp_path_factory.mktemp("talkative")
    tokenizer = Tokenizer.train(["user assistant system hello there the fox and the owl"], 300)
    shape = {"hidden_size": 512, "num_heads": 8, "intermediate_size": 1500, "num_layers": 8, "max_seq_len": 600}
    model = small_model(vocab_size=tokenizer.vocab_size, **shape)
    hamner = build(model, 0).requires_grad_(False)
    hamner.embedding.weight[:3] = 0  # the marks that end a reply are never among the likeliest tokens
    run = folder / "results" / "curriculum" / "mine"
    checkpoint.save(run / "final", {"model": hamner.state_dict()}, {"step": 7}, model, tokenizer)
    (run / "config.json").write_text(json.dumps({"config": {}}))
    return {"HAMNER_RESULTS": str(folder / "results"), "XDG_STATE_HOME": str(folder / "state")}


def test_at_a_terminal(talkative, tmp_path):
    """Bad lines, editing keys, Ctrl-C in a reply and at the prompt, Ctrl-D; and what is kept of it."""
    path = tmp_path / "a.jsonl"
    with Terminal("hamner", "chat", "mine", "--history", environment=talkative) as terminal:
        opening = terminal.expect(PROMPT)
        assert "M parameters, not fine-tuned" in " ".join(opening.split()) and "/help lists" in opening
        assert "error: the message is not UTF-8" in terminal.ask(b"Gr\xfc\xdfe")
        assert "tokens long; the model reads 600" in terminal.ask("the owl and the fox " * 150)
        assert "hamner" not in terminal.ask("") + terminal.ask("   ")

        terminal.send("hexlo" + LEFT * 2 + DELETE + "l\n")  # hello
        terminal.expect("hamner: .{20}")
        terminal.send(CTRL_C)
        assert "broken off; /retry asks again" in terminal.expect(PROMPT)
        terminal.send("junk")
        terminal.expect("junk$")
        assert "/quit or Ctrl-D ends" in terminal.interrupt_prompt()
        assert "saved: " in terminal.ask(f"/save {path}")
        user, assistant = json.loads(path.read_text())["messages"]
        assert user["content"] == "hello" and len(assistant["content"]) >= 10

        terminal.send("/edit\n")
        terminal.expect("hello$")
        terminal.send(" fox\n")
        terminal.expect("hamner: .{5}")
        terminal.send(CTRL_C)
        terminal.expect(PROMPT)
        assert "you:    hello fox\n" in terminal.ask("/history")
        assert "exchange" in terminal.ask("/hist\t")
        terminal.send(CTRL_D)
        assert terminal.exit_code() == 0 and "Traceback" not in terminal.raw

    history = Path(talkative["XDG_STATE_HOME"], "hamner", "chat_history")
    lines = [json.loads(line) for line in history.read_text().splitlines()]
    assert lines[-5:] == ["hello", f"/save {path}", "/edit", "hello fox", "/history"]
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


def test_the_next_chat_has_the_lines_of_the_last_one_and_a_signal_leaves_the_terminal_in_order(talkative):
    history = Path(talkative["XDG_STATE_HOME"], "next", "hamner", "chat_history")
    history.parent.mkdir(parents=True)
    history.write_text('"hello fox"\n"/history"\n')
    environment = talkative | {"XDG_STATE_HOME": str(history.parents[1])}
    with Terminal("hamner", "chat", "mine", "--history", environment=environment) as terminal:
        terminal.expect(PROMPT)
        terminal.send(UP * 2)
        terminal.expect("hello fox$")
        terminal.interrupt_prompt()
        terminal.wait_until_idle()
        terminal.process.send_signal(signal.SIGTERM)
        terminal.expect("stopped")
        modes = termios.tcgetattr(terminal.end)[3]
        assert terminal.exit_code() == 128 + signal.SIGTERM and modes & termios.ECHO and modes & termios.ICANON


def test_without_history_no_typed_line_is_kept(talkative, tmp_path):
    """Lines of an earlier chat with --history are neither read nor added to."""
    history = tmp_path / "state" / "hamner" / "chat_history"
    history.parent.mkdir(parents=True)
    history.write_text('"of before"\n')
    environment = talkative | {"XDG_STATE_HOME": str(tmp_path / "state")}
    with Terminal("hamner", "chat", "mine", environment=environment) as terminal:
        terminal.expect(PROMPT)
        assert "of before" not in terminal.ask(UP)
        terminal.ask("/temp 0")
        terminal.send(CTRL_D)
        assert terminal.exit_code() == 0
    assert history.read_text() == '"of before"\n'
    assert [path.name for path in (tmp_path / "state").rglob("*")] == ["hamner", "chat_history"]


def test_help_has_three_examples_and_needs_no_torch():
    script = "import sys; sys.modules['torch'] = None; from hamner.chat import main; main(['--help'])"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert answer.returncode == 0 and answer.stdout.count("hamner chat ") >= 3
