"""Corrections of one kind, for tests: somebody tells of their day, the reply lectured, and should have asked back."""

from collections.abc import Callable
from itertools import product

from hamner.data.feedback import Feedback

DEEDS = {
    "baked": ("a cake", "some bread", "a pie", "buns for the school", "a tart"),
    "painted": ("the fence", "a small boat", "my kitchen", "an old chair", "the door"),
    "lost": ("my keys", "a glove", "my umbrella", "a ring", "my bag"),
    "read": ("a long letter", "a book about bees", "the newspaper", "an old diary", "a poem"),
    "met": ("an old friend", "my new neighbour", "a sailor", "my teacher", "a stranger"),
    "planted": ("two apple trees", "some beans", "a rose", "onions", "a hedge"),
    "repaired": ("my bicycle", "a clock", "the roof", "a radio", "the stove"),
    "bought": ("a lamp", "new shoes", "a drum", "a warm coat", "a kite"),
}
WHEN = ("today", "this week")
QUESTIONS = ("How did it go?", "How was that for you?", "What made you do that?", "How do you feel about it now?")
LECTURES = (
    "That takes time and care.",
    "Most people do that once.",
    "It is good to do it well.",
    "One should plan it early.",
)


def lecture(number: int, tale: str) -> str:
    return LECTURES[number % len(LECTURES)]


def ask_back_corrections(count: int, reply: Callable[[int, str], str] = lecture) -> list[Feedback]:
    """The first so many corrections, the same each time; every message is another one.

    reply: what was said to a tale, by its number.
    """
    tales = [f"I {verb} {thing} {when}." for when, (verb, things) in product(WHEN, DEEDS.items()) for thing in things]
    return [
        Feedback(
            "friend",
            "fix",
            (("user", tale),),
            reply(number, tale),
            QUESTIONS[(number // 3) % len(QUESTIONS)],
            id=f"{number:08x}",
            time=f"2026-01-01T00:00:{number:02}",
        )
        for number, tale in enumerate(tales[:count])
    ]
