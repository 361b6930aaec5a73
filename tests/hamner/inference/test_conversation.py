"""Chat: what a model reads of a conversation, its replies in pieces, and which exchanges are dropped."""

from pathlib import Path

import pytest
from scripted_model import Script

from hamner.config.errors import BadInput
from hamner.config.special_tokens import MESSAGE_END
from hamner.data.tokenizer import Tokenizer
from hamner.inference.conversation import MAX_REPLY, Conversation
from hamner.inference.find_model import LoadedModel, load
from hamner.inference.generate import LEAST_REPLY, Sampling, generate

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


@pytest.mark.mended("a message longer than the context")
def test_a_message_longer_than_the_context_is_refused_with_its_length():
    talk, shown = _talk(["the owl", "fox"], system="the fox")
    talk.reply("hello")
    message = "the owl and " * 200
    length = len(_prompt(("system", "the fox"), ("user", message)))
    with pytest.raises(BadInput, match=rf"the message, with the system message is {length:,} tokens long.*use one of"):
        talk.reply(message)
    assert talk.reply("there") == "fox"  # the conversation goes on as if it had not been sent
    exchange = (("user", "hello"), ("assistant", "the owl"))
    expected = _prompt(("system", "the fox"), *exchange, ("user", "there"))
    assert len(shown) == 2 and shown[1][: len(expected)] == expected


@pytest.mark.mended("the system prompt is dropped")
def test_the_longest_message_that_fits_is_read_whole_and_its_reply_ends_with_the_context():
    system = ("system", "the fox")
    room = MAX_REPLY + 60 - LEAST_REPLY
    count = next(n for n in range(400, 0, -1) if len(_prompt(system, ("user", "hello" * n))) <= room)
    talk, shown = _talk(["owl"] + ["the"] * 90, system="the fox")
    talk.reply("there")
    prompt = _prompt(system, ("user", "hello" * count))
    endless = Script([20] * 999, TOKENIZER.vocab_size, MAX_REPLY + 60)
    talk._hamner = endless
    talk.reply("hello" * count)
    (read,) = endless.shown  # the context never slid: what was read begins with the system message to the end
    assert read[: len(prompt)] == prompt and len(read) <= MAX_REPLY + 60
    with pytest.raises(BadInput, match="tokens long"):
        talk.reply("hello" * (count + 3))
    assert shown


@pytest.mark.mended("the system prompt is dropped")
def test_a_system_message_longer_than_the_context_is_refused():
    with pytest.raises(BadInput, match=r"the system message is \d+ tokens long; the model reads 316"):
        _talk([], system="the fox " * 300)


def test_what_is_dropped_are_whole_exchanges_even_after_a_reply_that_was_broken_off():
    talk, shown = _talk(["the owl", "fox", *["the owl"] * 9], system="the fox")
    reply = talk.stream_reply("hello there")
    next(reply)
    reply.close()
    for _ in range(8):
        talk.reply("hello there")
    marks = [TOKENIZER.decode(tokens).count("user") for tokens in shown]
    assert all(tokens[: len(shown[0]) - 20] == shown[0][: len(shown[0]) - 20] for tokens in shown[:2])
    assert max(marks) == marks[-1] < 9 and all("the fox" in TOKENIZER.decode(tokens) for tokens in shown)
    roles = [word for word in TOKENIZER.decode(shown[-1]).split() if word in ("user", "assistant", "system")]
    assert roles[0] == "system" and roles[1:3] == ["user", "assistant"]


@pytest.mark.mended("a prompt longer than the context, from Python")
def test_a_prompt_longer_than_the_context_is_refused_and_messages_are_never_cut(model_results):
    loaded = load("mine", results=model_results)
    for prompt in ("hello " * 400, [("user", "hello " * 400)]):
        with pytest.raises(BadInput, match=r"the prompt is [\d,]+ tokens long; the model reads 300"):
            generate(loaded, prompt)
    longest = [("system", "the fox"), ("user", "hello" * 40)]
    left = 300 - len(loaded.tokenizer.encode_chat(longest, reply=True))
    endless = LoadedModel(Script([20] * 999, loaded.tokenizer.vocab_size, 300), loaded.tokenizer, Path())
    generate(endless, longest, max_new_tokens=900, **GREEDY)
    assert len(endless.model.shown) == 1 and len(endless.model.shown[0]) in (left, 299, 300)


@pytest.mark.mended("NaN passes range checks: sampling")
@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"temperature": -0.1},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": float("nan")},
        {"top_p": 1.1},
        {"repetition_penalty": float("nan")},
        {"repetition_penalty": 0.0},
    ],
)
def test_impossible_sampling_is_refused(settings):
    (key,) = settings
    with pytest.raises(BadInput, match=f"{key} = .* must be"):
        Sampling(**settings)
