"""Conversations about everyday life, each written by hand: the lines of everyday/*.txt, one file an area of life.

    what somebody says | what a friend answers | what he says then | what the friend answers to that

Data in: those lines. Data out: `conversation(rng)`, messages in order: a line, with small changes in how the person
types, now and then with thanks or a goodbye behind it. The words of its first message stay, since by them the split
keeps all that is drawn from one line on one side.
"""

import functools
import random
from importlib.resources import files

from hamner.data.builtin_text import dialogue_turns as turns
from hamner.data.builtin_text.habit_tools import details
from hamner.data.builtin_text.phrasing import fill, pick

AREAS = ("body", "family", "food", "hobby", "home", "talk", "travel", "work")
DIVIDER = " | "
_THANKS_FRACTION = 0.15
_AS_TYPED_FRACTION = 0.4  # the others lack a capital or a stop, or are said louder


@functools.cache
def lines() -> tuple[tuple[str, ...], ...]:
    """The sides of each line, in order; an even number."""
    folder = files(__package__) / "everyday"
    texts = [(folder / f"{area}.txt").read_text(encoding="utf-8") for area in AREAS]
    return tuple(tuple(line.split(DIVIDER)) for text in texts for line in text.splitlines())


def conversation(rng: random.Random) -> list[dict[str, str]]:
    """The turns of one conversation, in order."""
    sides = list(pick(rng, lines()))
    if len(sides) == 2 and rng.random() < _THANKS_FRACTION:
        values = details(rng)
        sides += (fill(rng, text, values) for text in pick(rng, turns.THANKS))
    return [
        {"role": "assistant" if place % 2 else "user", "content": side if place % 2 else _typed(rng, side)}
        for place, side in enumerate(sides)
    ]


def _typed(rng: random.Random, text: str) -> str:
    """A message as people type it, the same words."""
    if rng.random() < _AS_TYPED_FRACTION:
        return text
    if rng.random() < 0.4 and not text.startswith(("I ", "I'")):
        text = text[0].lower() + text[1:]
    if text.endswith(".") and not text.endswith(".."):
        text = text[:-1] + pick(rng, (".", "", "!", "..."))
    return text
