"""Test item (question and short answer) of a concept, and what makes two items the same one in other words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST_ITEMS = 400  # of a test cell: 95 % of such samples lie within 5 points of the truth


@dataclass(frozen=True)
class Item:
    """A question with its one right answer."""

    prompt: str  # ends without a space; the answer follows after one
    answer: str
    parts: tuple[str, ...]  # what the item is about, in whatever words and order; each is in its text
    candidates: tuple[str, ...] = ()  # answers to rank by likelihood, the right one among them; none: it is written

    @property
    def text(self) -> str:
        return f"{self.prompt} {self.answer}"

    @property
    def identity(self) -> tuple[str, ...]:
        """Equal for items that are one another's reverse or paraphrase."""
        return tuple(sorted(part.casefold() for part in self.parts))


@dataclass(frozen=True)
class Concept:
    """What is trained on, and three tests: trained items, items held out, trained items in words not met before."""

    name: str
    train: tuple[Item, ...]
    heldout: tuple[Item, ...]
    rephrased: tuple[Item, ...]


def evenly(items: Sequence[Item], count: int = MOST_ITEMS) -> tuple[Item, ...]:
    """At most `count` of the items, from evenly spread places, so that each kind keeps its share."""
    if len(items) <= count:
        return tuple(items)
    return tuple(items[index * len(items) // count] for index in range(count))
