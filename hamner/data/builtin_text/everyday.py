"""Conversations about everyday life, each written by hand: the lines of everyday/*.txt, one file an area of life.

    what somebody says | what a friend answers | what he says then | what the friend answers to that

Data in: those lines. Data out: `conversations()`, messages as (role, content), in order.
"""

from collections.abc import Iterator
from importlib.resources import files

from hamner.config.special_tokens import Message

AREAS = ("body", "family", "food", "hobby", "home", "talk", "travel", "work")
DIVIDER = " | "


def conversations() -> Iterator[list[Message]]:
    """Each conversation once, area after area."""
    for area in AREAS:
        text = (files(__package__) / "everyday" / f"{area}.txt").read_text(encoding="utf-8")
        for line in text.splitlines():
            yield [("assistant" if place % 2 else "user", side) for place, side in enumerate(line.split(DIVIDER))]
