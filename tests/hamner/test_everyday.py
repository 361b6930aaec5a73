"""Conversations about everyday life: their lines are sound and all different, and the split can tell them apart."""

import random
import re
from collections import Counter

from hamner.data.builtin_text import everyday
from hamner.data.preparation.wholes import wholes
from hamner.data.sources.sft_conversations import conversation as document

LINES = everyday.lines()


def _words(text):
    return re.findall(r"\w+", text.lower())


def test_every_line_has_whole_exchanges_of_plain_text():
    for sides in LINES:
        assert len(sides) in (2, 4, 6), sides
        for place, side in enumerate(sides):
            assert side == side.strip() and side.isprintable() and not set(side) & set("|[]{}<>"), sides
            assert "  " not in side and len(_words(side)) <= 40 and (len(_words(side)) >= 2 or place % 2 == 0), sides


def test_they_are_many_and_none_is_there_twice():
    assert len(LINES) > 3000
    assert len(LINES) == len({tuple(_words(side)) for side, *_ in LINES})  # by its first message
    replies = Counter(side for sides in LINES for side in sides[1::2])
    assert replies.most_common(1)[0][1] <= 5
    assert len({word for sides in LINES for side in sides for word in _words(side)}) > 5000
    openings = Counter(" ".join(_words(side)[:3]) for sides in LINES for side in sides[1::2])
    assert openings.most_common(1)[0][1] < len(LINES) / 30


def test_a_conversation_is_a_line_as_people_type_it():
    seen = set()
    firsts = {" ".join(_words(sides[0])): sides for sides in LINES}
    for number in range(3000):
        rng = random.Random(number)
        messages = everyday.conversation(rng)
        assert messages == everyday.conversation(random.Random(number))
        assert [message["role"] for message in messages] == ["user", "assistant"] * (len(messages) // 2)
        sides = firsts[" ".join(_words(messages[0]["content"]))]
        assert [message["content"] for message in messages[1 : len(sides) : 2]] == list(sides[1::2])
        seen.add(tuple(message["content"] for message in messages))
    assert len(seen) > 2300


def test_all_that_is_drawn_from_a_line_is_on_one_side_of_the_split():
    groups = {}
    for number in range(2000):
        messages = [(m["role"], m["content"]) for m in everyday.conversation(random.Random(number))]
        groups.setdefault(messages[1][1], set()).add(wholes(document(messages))[0])
    assert any(len(group) == 1 for group in groups.values())
    many = [reply for reply, group in groups.items() if len(group) > 1]
    assert len(many) <= 0.01 * len(groups)  # replies that two lines share
