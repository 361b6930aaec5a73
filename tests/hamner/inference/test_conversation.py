"""Chat: what a model reads of a conversation, its replies in pieces, and which exchanges are dropped."""

from pathlib import Path

import pytest
from scripted_model import Script

from hamner.config.special_tokens import MESSAGE_END
from hamner.data.tokenizer import Tokenizer
from hamner.inference.conversation import MAX_REPLY, Conversation
from hamner.inference.find_model import LoadedModel, load

TOKENIZER = Tokenizer.train(["user assistant system hello there the fox and the owl"], 300)
GREEDY = {"temperature": 0.0, "repetition_penalty": 1.0}


def _talk(replies, max_seq_len=MAX_REPLY + 60, **settings):
    """A conversation with a model that gives these replies, and what it reads of each message."""
    tokens = [token for reply in replies for token in (*TOKENIZER.encode(reply), MESSAGE_END)]
    model = Script(tokens, TOKENIZER.vocab_size, max_seq_len)
    return Conversation(LoadedModel(model, TOKENIZER, Path()), **GREEDY, **settings), model.shown


def _prompt(*turns):
    return TOKENIZER.encode_chat(turns, reply=True)


def test_each_message_is_read_with_all_turns_before_it():
    talk, shown = _talk(["the owl", "fox"], system="the fox")
    assert talk.reply("hello") == "the owl"
    assert "".join(talk.stream_reply("there")) == "fox"
    system, first = ("system", "the fox"), (("user", "hello"), ("assistant", "the owl"))
    prompts = [_prompt(system, first[0]), _prompt(system, *first, ("user", "there"))]
    assert [tokens[: len(prompt)] for tokens, prompt in zip(shown, prompts, strict=True)] == prompts


def test_the_oldest_exchanges_leave_when_a_reply_would_have_no_room_and_the_system_message_stays():
    talk, shown = _talk(["the owl"] * 9, system="the fox")
    for _ in range(9):
        talk.reply("hello there")
    system, exchange = ("system", "the fox"), (("user", "hello there"), ("assistant", "the owl"))
    prompts = [_prompt(system, *exchange * count, exchange[0]) for count in range(9)]
    fitting = [prompt for prompt in prompts if len(prompt) <= 60]
    assert 1 < len(fitting) < 9
    lengths = [len(fitting[min(turn, len(fitting) - 1)]) for turn in range(9)]
    assert [tokens[:length] for tokens, length in zip(shown, lengths, strict=True)] == [
        fitting[min(turn, len(fitting) - 1)] for turn in range(9)
    ]


def test_the_same_seed_gives_the_same_replies(model_results):
    loaded = load("mine", results=model_results)
    replies = [Conversation(loaded, seed=seed).reply("hello") for seed in (1, 1, 2)]
    assert replies[0] == replies[1] != replies[2]


def test_an_unknown_setting_is_refused():
    with pytest.raises(TypeError, match="temprature"):
        _talk([], temprature=0.1)
