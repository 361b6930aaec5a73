"""Conversations about everyday life: their lines are sound and all different."""

import re
from collections import Counter

from hamner.data.builtin_text import everyday

ALL = list(everyday.conversations())


def _words(text):
    return re.findall(r"\w+", text.lower())


def test_every_line_has_whole_exchanges_of_plain_text():
    for messages in ALL:
        assert [role for role, _ in messages] == ["user", "assistant"] * (len(messages) // 2), messages
        assert len(messages) in (2, 4, 6), messages
        for role, text in messages:
            assert text == text.strip() and text.isprintable() and not set(text) & set("|[]{}<>"), messages
            assert "  " not in text and len(_words(text)) <= 40 and (len(_words(text)) >= 2 or role == "user"), messages


def test_they_are_many_and_none_is_there_twice():
    assert len(ALL) > 3800
    assert len(ALL) == len({tuple(_words(messages[0][1])) for messages in ALL})
    replies = Counter(text for messages in ALL for role, text in messages if role == "assistant")
    assert replies.most_common(1)[0][1] <= 5
    assert len({word for messages in ALL for _, text in messages for word in _words(text)}) > 5000
    openings = Counter(" ".join(_words(text)[:3]) for text in replies)
    assert openings.most_common(1)[0][1] < len(ALL) / 30
