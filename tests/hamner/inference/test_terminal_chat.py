"""Chat at a terminal: every slash command, what is said of bad ones, what a full context says, what reaches the screen.

Lines come from a standard input that is no terminal; tests/hamner/test_chat.py has the keys of a real one.
"""

import io
import json
import re
from pathlib import Path

import pytest
from scripted_model import Script

from hamner.config.special_tokens import MESSAGE_END
from hamner.data.feedback import read_feedback
from hamner.data.sources.sft_conversations import parse
from hamner.data.tokenizer import Tokenizer
from hamner.inference.conversation import MAX_REPLY, Conversation
from hamner.inference.find_model import LoadedModel
from hamner.inference.terminal_chat import COMMANDS, KEYS, TerminalChat

TOKENIZER = Tokenizer.train(["user assistant system hello there the fox and the owl"], 300)


@pytest.fixture
def talk(monkeypatch, tmp_path, capsys):
    """Types lines to a model that gives these replies; returns the conversation, stdout and stderr."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)

    def run(replies, *lines, max_seq_len=MAX_REPLY + 300, feedback=None, **settings):
        tokens = [token for reply in replies for token in (*TOKENIZER.encode(reply), MESSAGE_END)]
        model = Script(tokens, TOKENIZER.vocab_size, max_seq_len)
        conversation = Conversation(LoadedModel(model, TOKENIZER, Path()), repetition_penalty=1.0, **settings)
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        TerminalChat(conversation, "mine", feedback).run(())
        written = capsys.readouterr()
        assert written.err.startswith(f"{KEYS}\n")
        return conversation, written.out, written.err.removeprefix(f"{KEYS}\n")

    return run


def _replies(out):
    return re.findall(r"hamner: (.*)", out)


def test_messages_are_answered_in_turn_and_an_empty_line_does_nothing(talk):
    conversation, out, _ = talk(["the owl", "fox"], "hello", "", "   ", "there")
    assert _replies(out) == ["the owl", "fox"] and out.count("you:    ") == 5
    assert [text for _, text in conversation.messages] == ["hello", "the owl", "there", "fox"]


def test_quit_ends_and_what_stands_after_it_is_not_read(talk):
    conversation, out, _ = talk(["the owl"], "/quit", "hello")
    assert _replies(out) == [] and conversation.messages == []


def test_help_has_a_row_for_each_command_and_unknown_ones_are_told_the_nearest(talk):
    assert " ".join(COMMANDS) == "/help /clear /system /temp /retry /edit /good /bad /fix /history /save /load /quit"
    _, out, err = talk([], "/help", "/rerty", "/saev x", "/zzzz", "/clear all", f"/{'l' * 5000}")
    lines = [line.removeprefix("you:    ") for line in out.splitlines()]
    for name, command in COMMANDS.items():
        assert any(line.startswith(name) and line.endswith(command.summary) for line in lines), name
    errors = err.splitlines()
    assert "did you mean '/retry'?" in errors[0] and "did you mean '/save'?" in errors[1]
    assert "known: /help, /clear" in errors[2] and "/clear takes no 'all'" in errors[3]
    assert len(errors) == 5 and max(map(len, errors)) < 300


def test_two_slashes_begin_a_message_with_one(talk):
    conversation, _, err = talk(["fox"], "//etc is a folder")
    assert conversation.messages[0] == ("user", "/etc is a folder") and err == ""


def test_retry_edit_and_clear(talk):
    lines = ("/retry", "/edit", "hello", "/retry", "/edit the fox", "/clear", "/history")
    conversation, out, err = talk(["the owl", "fox", "there"], *lines, system="the fox")
    assert _replies(out) == ["the owl", "fox", "there"]
    assert err.count("error: there is no message yet: type one first") == 2
    assert conversation.messages == [("system", "the fox")] and err.endswith("system: the fox\n0 exchanges\n")


def test_what_is_said_of_replies_is_kept_with_the_chat_before_them(talk, tmp_path):
    lines = ("/good", "hello", "/good", "/retry", "/bad", "/fix", "how are you?", "there", "/fix  hello there")
    conversation, _, err = talk(["the owl", "fox", "there"], *lines, system="be kind", feedback=tmp_path)
    kept, hello = read_feedback(tmp_path), (("system", "be kind"), ("user", "hello"))
    assert [(each.kind, each.reply, each.better) for each in kept] == [
        ("good", "the owl", ""),
        ("again", "the owl", ""),
        ("bad", "fox", ""),
        ("fix", "fox", "how are you?"),
        ("fix", "there", "hello there"),
    ]
    assert kept[0].context == hello and {each.model for each in kept} == {"mine"}
    assert kept[4].context == (*hello, ("assistant", "how are you?"), ("user", "there"))
    assert conversation.messages[-1] == ("assistant", "hello there")
    assert "error: there is no reply yet" in err and err.count(f"noted in {tmp_path / 'mine.jsonl'}") == 5


def test_without_feedback_nothing_is_kept_and_a_correction_stays_in_the_conversation(talk, tmp_path):
    before = set(tmp_path.iterdir())
    conversation, _, err = talk(["the owl"], "hello", "/good", "/fix there", "/fix there", "/save talk.jsonl")
    assert "feedback is not kept: start with" in err and "corrected in this conversation alone" in err
    assert "the reply stays as it was" in err and conversation.messages[-1] == ("assistant", "there")
    assert {path.name for path in set(tmp_path.iterdir()) - before} <= {"talk.jsonl", "state"}


def test_the_system_message_and_the_temperature_are_shown_and_set(talk):
    lines = ("/system", "/system be kind", "/system off", "/temp 0", "/temp hot", "/temp -1", "/temp nan", "/temp")
    conversation, _, err = talk([], *lines)
    assert "there is no system message\nsystem message: be kind\nthere is no system message\n" in err
    assert conversation.sampling.temperature == 0 and err.count("temperature 0, top k 40, top p 0.9, min p 0") == 2
    assert "temperature = hot must be a number" in err and err.count("must be a number of 0 or more") == 2


def test_a_full_context_says_how_many_exchanges_the_model_no_longer_reads(talk):
    conversation, _, err = talk(["the owl"] * 9, *["hello there"] * 9, "/history", max_seq_len=MAX_REPLY + 60)
    last = conversation.dropped
    assert last > 2 and len(conversation.messages) == 18
    lines = [line for line in err.splitlines() if "context is full" in line]
    assert lines[0].endswith("no longer reads the oldest exchange")
    assert lines[1:] == [
        f"the context is full: the model no longer reads the {count} oldest exchanges" for count in range(2, last + 1)
    ]
    assert err.endswith(f"9 exchanges, of which the model no longer reads {last}\n")


def test_a_message_that_does_not_fit_is_refused_with_its_length_and_the_talk_goes_on(talk):
    conversation, out, err = talk(["fox"], "hello there " * 300, "hello")
    assert re.search(r"error: the message is [\d,]+ tokens long; the model reads 556", err)
    assert _replies(out) == ["fox"] and len(conversation.messages) == 2


def test_a_saved_conversation_is_loaded_again_and_can_be_trained_on(talk, tmp_path):
    lines = ("/save", "hello", "/save a.jsonl", "there", "/save", "/load a.jsonl", "/history")
    conversation, out, err = talk(["the owl", " fox\x1b[31m"], *lines, system="the fox")
    assert "error: there is nothing to save yet" in err and "a.jsonl, 1 exchange\n" in err
    assert [path.name for path in tmp_path.glob("*.jsonl")] == ["a.jsonl"]  # the second /save writes to the same file
    assert (tmp_path / "a.jsonl").stat().st_mode & 0o777 == 0o600
    (line,) = (tmp_path / "a.jsonl").read_text().splitlines()
    assert parse(json.loads(line)).messages == tuple(conversation.messages)
    assert [role for role, _ in conversation.messages] == ["system", *["user", "assistant"] * 2]
    assert out.count("the owl") == 2  # said, and shown from the file


def test_a_file_that_holds_something_else_is_not_overwritten(talk, tmp_path):
    (tmp_path / "a.jsonl").write_text("precious")
    _, _, err = talk(
        ["fox"], "hello", "/save a.jsonl", "/save no/such\0", "/load", "/load none.jsonl", "/save ~no-such-user/x"
    )
    assert (tmp_path / "a.jsonl").read_text() == "precious"
    assert err.count("error: ") == 5 and "a.jsonl is there already" in err and "none.jsonl does not exist" in err
    assert len(err.splitlines()) == 5


def test_a_cleared_conversation_is_not_written_over_the_one_that_was_saved(talk, tmp_path):
    _, _, err = talk(["the owl", "fox"], "hello", "/save a.jsonl", "/clear", "there", "/save a.jsonl", "/save")
    assert "hello" in (tmp_path / "a.jsonl").read_text() and "is there already" in err
    (other,) = tmp_path.glob("chat_*.jsonl")
    assert "there" in other.read_text()


def test_an_exchange_without_words_is_not_saved(talk, tmp_path):
    _, out, err = talk(["", "fox"], "hello", "there", "/save a.jsonl")
    assert _replies(out) == ["...", "fox"] and "1 exchange; 1 without words left out" in err
    assert "hello" not in (tmp_path / "a.jsonl").read_text()


ATTACKS = ("\x1b[2J\x1b]0;owned\x07fox", "fox\x9b31m\x08\x08\x7f", "\u202efox\u2066\r", "\x00\x1bPq#0\x1b\\fox")


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_control_character_of_a_reply_a_message_or_a_file_reaches_the_terminal(attack, talk, tmp_path):
    record = {"messages": [{"role": role, "content": attack} for role in ("system", "user", "assistant")]}
    (tmp_path / "a.jsonl").write_text(json.dumps(record))
    conversation, out, err = talk([attack], "hello", "/history", "/load a.jsonl", "/history", "/system", f"/{attack}")
    assert conversation.messages[-1][1].strip("\r\x08") and "fox" in out
    allowed = {"\n"}
    assert {sign for sign in out + err if not sign.isprintable()} <= allowed


def test_a_reply_is_whole_at_a_message_that_spells_reserved_tokens(talk):
    conversation, out, _ = talk(["fox"], "<|im_end|><|endoftext|>")
    assert _replies(out) == ["fox"] and conversation.messages[0][1] == "<|im_end|><|endoftext|>"
