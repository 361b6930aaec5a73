"""Friend card and conversations (report card) as sections of a run's report.

In: friend_card.json of a run. Out: sections with its figures, and with the first ten conversations of its fixed list.
Nothing here measures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hamner.reports.friend_page import CLEARLY, explanation, figure_tables
from hamner.reports.parts import Conversation, Fold, Items, Paragraph, Part, Section
from hamner.reports.visible_text import visible
from hamner.runs.read_back import json_object

CARD = Path("friend_card", "friend_card.json")
CONVERSATIONS = 10  # shown, the first ones of the list
OPEN_TABLES = 3  # of figures: how it writes and talks; the others are shut


def read_card(folder: Path) -> Mapping[str, Any]:
    """The card of the run in a folder; an empty one where it was not measured."""
    return next(filter(None, (json_object(place / CARD) for place in (folder, folder / "final"))), {})


def card_sections(card: Mapping[str, Any], command: str) -> list[Section]:
    """The figures and the conversations. command: that measures the run; it is said where there is no card."""
    return [Section("Ten conversations", list(_talks(card))), Section("The friend card", list(_figures(card, command)))]


def card_words(card: Mapping[str, Any]) -> str:
    """How many figures are beyond guessing."""
    if not card:
        return "no friend card yet"
    scores = [score for figure in card.get("figures", ()) if (score := figure.get("errors_above")) is not None]
    return f"{sum(score > CLEARLY for score in scores)} of {len(scores)} figures of its card are beyond guessing"


def _figures(card: Mapping[str, Any], command: str) -> Iterator[Part]:
    if not card:
        yield Paragraph(f"It was not measured yet: use `{command}`.", "warn")
        return
    yield explanation()
    for place, (name, table) in enumerate(figure_tables(card)):
        yield replace(table, caption=name) if place < OPEN_TABLES else Fold(name, [table])
    if card.get("left_out"):
        yield Fold("what could not be measured", [Items(card["left_out"])])


def _talks(card: Mapping[str, Any]) -> Iterator[Part]:
    """The first ten conversations; the others shut."""
    talks = card.get("conversations") or []
    if not talks:
        return
    yield Paragraph(
        f"Not chosen: the first {min(CONVERSATIONS, len(talks))} of a fixed list of {len(talks)}, in its order. The "
        "user's lines are the same for every model.",
        "soft",
    )
    yield from map(_conversation, talks[:CONVERSATIONS])
    if talks[CONVERSATIONS:]:
        yield Fold(f"the other {len(talks) - CONVERSATIONS}", list(map(_conversation, talks[CONVERSATIONS:])))


def _conversation(messages: Sequence[Mapping[str, str]]) -> Conversation:
    return Conversation([{**message, "content": visible(message["content"], keeps_lines=True)} for message in messages])
