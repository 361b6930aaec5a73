"""Articles about the invented world of `world.py`: places, people, nature, trades and simple explanations.

`document(rng)` describes one to three related entities in 80-250 words. What is said of an entity is the same
in every document; which attributes are mentioned, in what order and in which words, varies.
"""

import random
from collections.abc import Callable

from hamner.data.builtin_text import fact_sentences, science
from hamner.data.builtin_text.phrasing import fill, finish, pick
from hamner.data.builtin_text.world import Entity, World, world

_MOST_WORDS = 235
_ENOUGH_WORDS = 88
_TITLE_FRACTION = 0.3


def document(rng: random.Random) -> str:
    """An article."""
    kind = pick(rng, _KINDS)
    return finish(_WRITERS[kind](rng, world()))


def describe(rng: random.Random, entity: Entity, sentences: int) -> str:
    """A paragraph: an opening and up to `sentences` further facts about `entity`, in any order."""
    kind = entity["kind"]
    opening = fill(rng, pick(rng, fact_sentences.OPENINGS[kind]), entity)
    unsaid = [ways for name, ways in fact_sentences.ATTRIBUTES[kind].items() if entity[name] not in opening]
    chosen = rng.sample(unsaid, min(sentences, len(unsaid)))
    return " ".join([opening, *(say(rng, pick(rng, ways), entity) for ways in chosen)])


def say(rng: random.Random, template: str, entity: Entity) -> str:
    """One sentence whose subject `{S}` is the entity's name, a pronoun or a common noun."""
    subject = pick(rng, fact_sentences.SUBJECTS[entity["kind"]])
    return fill(rng, template.replace("{S}", subject), entity)


def _entity_article(rng: random.Random, entity: Entity) -> str:
    """About `entity` first, then about things it is connected with until there is enough to read."""
    known = world()
    paragraphs = [describe(rng, entity, rng.randint(4, 7))]
    others = list(known.related[entity["name"]])
    rng.shuffle(others)
    least = rng.randint(1, 3)
    while len(paragraphs) < least or _word_count(paragraphs) < _ENOUGH_WORDS:
        other = known.by_name[others.pop()] if others else known.draw(rng, known.towns)
        bridge = fill(rng, pick(rng, fact_sentences.BRIDGES[other["kind"]]), other)
        paragraph = f"{bridge} {describe(rng, other, rng.randint(3, 5))}".lstrip()
        if _word_count([*paragraphs, paragraph]) > _MOST_WORDS:
            break
        paragraphs.append(paragraph)
    if rng.random() < _TITLE_FRACTION:
        name = entity["name"]
        paragraphs.insert(0, name[0].upper() + name[1:])
    return "\n\n".join(paragraphs)


def _word_count(paragraphs: list[str]) -> int:
    return sum(paragraph.count(" ") + 1 for paragraph in paragraphs)


def _science(rng: random.Random, known: World) -> str:
    title = pick(rng, _TITLES)
    person = known.draw(rng, known.people)
    town = known.by_name.get(person["birthplace"]) or known.towns[0]
    values = {"title": title, "person": person["name"], "trade": person["trade"], "town": town["name"]}
    sentences = [fill(rng, template, values) for template in science.TOPICS[title]]
    frame = [fill(rng, pick(rng, frames), values) for frames in (science.OPENERS, science.CLOSERS)]
    explanation = " ".join(part for part in (frame[0], *sentences, frame[1]) if part)
    about = describe(rng, pick(rng, (person, town)), rng.randint(4, 6))
    return f"{title}\n\n{explanation}\n\n{about}"


def _trade(rng: random.Random, known: World) -> str:
    person = known.draw(rng, known.people)
    tools, day = science.TRADES[person["trade"]]
    values = {**person, "tools": tools, "day": day}
    about_trade = fill(rng, pick(rng, _TRADE_SENTENCES), values)
    town = known.by_name.get(person["work_town"]) or known.towns[0]
    parts = [f"{about_trade} {describe(rng, person, rng.randint(4, 6))}", describe(rng, town, rng.randint(3, 5))]
    return "\n\n".join(parts)


_TRADE_SENTENCES = (
    "A {trade} {tools}. [A good one|Whoever does it well] {day}.",
    "What does a {trade} do? A {trade} {tools} and {day}.",
    "[It takes years to become|Few people become] a good {trade}. A {trade} {day}, and {tools}.",
)
_TITLES = tuple(science.TOPICS)
_WRITERS: dict[str, Callable[[random.Random, World], str]] = {
    "town": lambda rng, known: _entity_article(rng, known.draw(rng, known.towns)),
    "river": lambda rng, known: _entity_article(rng, known.draw(rng, known.rivers)),
    "mountain": lambda rng, known: _entity_article(rng, known.draw(rng, known.mountains)),
    "person": lambda rng, known: _entity_article(rng, known.draw(rng, known.people)),
    "animal": lambda rng, known: _entity_article(rng, known.draw(rng, known.animals)),
    "plant": lambda rng, known: _entity_article(rng, known.draw(rng, known.plants)),
    "trade": _trade,
    "science": _science,
}
_WEIGHTS = {"town": 26, "river": 11, "mountain": 10, "person": 20, "animal": 12, "plant": 9, "trade": 5, "science": 7}
_KINDS = tuple(kind for kind, weight in _WEIGHTS.items() for _ in range(weight))
