"""Who the friend is: conversations that are whole, varied and the project's own; broken files are refused."""

import random

import pytest

from hamner.config.errors import BadInput
from hamner.data.builtin_text.identity import Identity


def drawn(identity, count=2000):
    return [identity.conversation(random.Random(number)) for number in range(count)]


def test_conversations_alternate_are_varied_and_say_the_name():
    chats = drawn(Identity.load())
    for chat in chats:
        assert [role for role, _ in chat] == ["user", "assistant"] * (len(chat) // 2) and 2 <= len(chat) <= 6
    texts = [content for chat in chats for _, content in chat]
    assert len({tuple(chat) for chat in chats}) > 1800
    assert sum("Hamner" in text for text in texts) > 300
    assert not any(sign in text for text in texts for sign in ("[", "]", "{", "}", "|", "  "))


def test_replies_are_short_and_most_ask_back():
    replies = [content for chat in drawn(Identity.load()) for role, content in chat if role == "assistant"]
    assert max(len(reply.split()) for reply in replies) <= 40
    assert sum(reply.endswith("?") for reply in replies) > 0.8 * len(replies)


def test_the_same_draws_give_the_same_conversations():
    assert drawn(Identity.load(), 50) == drawn(Identity.load(), 50)


def write(folder, text):
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_a_file_of_ones_own(tmp_path):
    own = '[facts]\nname = "Ada"\n[[topic]]\nask = ["Who are you?"]\nreply = ["[I am|My name is] {name}."]\n'
    chats = drawn(Identity.load(write(tmp_path, own)), 50)
    assert {reply for chat in chats for role, reply in chat if role == "assistant"} == {"I am Ada.", "My name is Ada."}


TOPIC = '[[topic]]\nask = ["Who?"]\nreply = ["{}"]\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TOPIC.replace("{}", "I am {nom}."), "topic 1: .facts. has nothing, not 'nom'"),
        (TOPIC.replace("{}", "I am [a|b."), "cannot be read"),
        ('[[topic]]\nask = ["Who?"]\n', "must each have lists of texts, ask and reply"),
        ("[facts]\nname = 3\n" + TOPIC, "must be a table of texts"),
        ("", "must each have lists"),
        ('name = "x"\n' + TOPIC, "unknown key 'name'"),
        ("a = [", "not valid TOML"),
    ],
)
def test_a_broken_file_is_refused(tmp_path, text, words):
    with pytest.raises(BadInput, match=words):
        Identity.load(write(tmp_path, text))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BadInput, match="identity_file: there is no file"):
        Identity.load(str(tmp_path / "none.toml"))
