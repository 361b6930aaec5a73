"""Conversations that show six habits: whole text, the right name, and the reply that what was said calls for."""

import random
import re
from collections.abc import Iterator

import pytest

from hamner.data.builtin_text import habit_kindness, habit_names, habits
from hamner.data.builtin_text.given_names import GIVEN_NAMES
from hamner.data.builtin_text.habit_tools import Exchange, Values, details

DRAWS = 500


def draws() -> Iterator[tuple[random.Random, Values]]:
    for seed in range(DRAWS):
        rng = random.Random(seed)
        yield rng, details(rng)


@pytest.fixture(scope="module")
def conversations() -> list[list[dict[str, str]]]:
    return [habits.conversation(random.Random(seed)) for seed in range(2000)]


def test_the_same_seed_gives_the_same_conversation():
    assert habits.conversation(random.Random(7)) == habits.conversation(random.Random(7))


def test_user_and_friend_take_turns(conversations):
    for messages in conversations:
        roles = [message["role"] for message in messages]
        spoken = roles[1:] if roles[0] == "system" else roles
        assert spoken == ["user", "assistant"] * (len(spoken) // 2)
        assert 2 <= len(spoken) <= 8


def test_every_message_is_whole_and_short(conversations):
    for message in (message for messages in conversations for message in messages):
        text = message["content"]
        assert not re.search(r"[\[\]{}|\"]|  | [.,?!]|\?\.|[,!:]\.|^[a-z]|[^.]\.\.$", text), text
        if message["role"] == "user":
            assert 2 <= len(text.split()) <= 25, text
        if message["role"] == "assistant":
            assert 4 <= len(text.split()) <= 25 and text[-1] in ".!?", text


def test_conversations_differ(conversations):
    assert len({str(messages) for messages in conversations}) > 0.98 * len(conversations)
    words = {word for messages in conversations for message in messages for word in message["content"].lower().split()}
    assert len(words) > 2000
    assert sum(len(messages) >= 4 for messages in conversations) > 0.5 * len(conversations)


def test_the_name_that_is_said_is_the_users_own():
    for rng, values in draws():
        exchanges = habits.named(rng, values)
        first = exchanges[0][1]
        assert values["me"] in first, exchanges
        answers = " ".join(answer for _, answer in exchanges)
        assert values["other"] not in answers or values["other"] in " ".join(said for said, _ in exchanges), exchanges
        for said, answer in exchanges[1:]:
            if said in habit_names.ASK_OWN:
                assert values["me"] in answer and values["other"] not in answer, exchanges


def test_who_asks_for_another_hears_the_other():
    for rng, values in draws():
        _, answer = habits.nameless(rng, values)[-1]
        assert values["me"] not in answer and re.search("not|nobody|yours", answer, re.I), answer
        values = {**values, "role": "brother"}
        _, answer = habits.name_question(rng, values, "other")
        assert values["other"] in answer and values["me"] not in answer
        _, answer = habits.name_question(rng, values, "who")
        assert "brother" in answer.lower()


def test_telling_is_asked_about_and_asking_is_answered():
    marks = set()
    for rng, values in draws():
        said, answer = habits.tells(rng, values)[0]
        assert answer.count("?") == 1 and answer.endswith("?"), (said, answer)
        asked, answer = habits.asks(rng, values)[0]
        assert "?" not in answer, (asked, answer)
        marks |= {("tells", said[-1] == "?"), ("asks", asked[-1] == "?")}
    assert len(marks) == 4  # the mark at the end does not tell which it is


def test_what_was_told_is_repeated_and_what_was_not_told_is_unknown():
    ways = re.compile(r"kn[oe]w|cannot|told|tell|say|no idea|good question|honest|guess|said|sorry|remember|hint", re.I)
    for rng, values in draws():
        row = rng.choice(habits.tellable.TELLABLE)
        _, answer = habits.untold(rng, values, row)
        assert ways.search(answer), answer
        assert ways.search(habits.unknown(rng, values)[0][1])


def test_a_question_about_what_was_told_is_answered_in_its_words():
    for rng, values in draws():
        exchanges = habits.told(rng, values)
        heard = content(" ".join(said for said, _ in exchanges))
        assert any(len(heard & content(answer)) > 1 for _, answer in exchanges[1:]), exchanges


def test_news_decides_between_joy_and_sorrow():
    joy = ("Wonderful", "Hooray", "Congratulations", "Well done", "Bravo", "I am so glad", "You make my day")
    for rng, values in draws():
        _, answer = habits.news_told(rng, values, "good")
        assert not re.search("sorry|awful|no fun", answer, re.I), answer
        for kind in ("bad", "moan"):
            _, answer = habits.news_told(rng, values, kind)
            assert not answer.startswith(joy), answer


def test_hard_words_are_met_by_whom_they_hit():
    faults = re.compile("|".join(rf"\b{fault}\b" for fault in habit_kindness.FAULTS if len(fault) > 5))
    for rng, values in draws():
        scolded: Exchange = habits.scolded(rng, values)
        assert not re.search(r"\byou are (stupid|slow|useless|rude|an idiot)", scolded[1]), scolded
        _, answer = habits.run_down(rng, values)
        assert "I am sorry for my" not in answer and not answer.startswith("Perhaps I am"), answer
        _, answer = habits.blamed(rng, values)
        assert not faults.search(answer), answer


def content(text: str) -> set[str]:
    return {word.rstrip("s") for word in re.findall(r"\w{3,}", text.lower())} - {
        "the",
        "and",
        "you",
        "for",
        "what",
        "help",
    }


def test_the_reply_keeps_to_the_subject():
    for rng, values in draws():
        (said, question), (short, answer) = habits.on_subject(rng, values)[:2]
        assert content(said) & content(question), (said, question)
        assert (content(said) | content(short)) & content(answer), (said, short, answer)


def test_there_are_many_names():
    assert len(set(GIVEN_NAMES)) >= 250
