"""Friendly conversations: greetings, small talk, practical help, and questions about the world of `world.py`.

`conversation(rng)` returns turns in order, each {"role": "system" | "user" | "assistant", "content": text}:
an optional system turn, then one to four exchanges. About one in five opens with nothing but a greeting,
since that is how people begin; what follows may be any of the other kinds.
"""

import random
from collections.abc import Mapping

from hamner.data.builtin_text import dialogue_turns as turns
from hamner.data.builtin_text import words
from hamner.data.builtin_text.fact_questions import (
    ANSWER_ENDS,
    ANSWER_STARTS,
    FOLLOW_UP_STARTS,
    QUESTION_STARTS,
    QUESTIONS,
    Question,
)
from hamner.data.builtin_text.phrasing import fill, finish, pick
from hamner.data.builtin_text.world import Entity, world

Exchange = tuple[str, str]  # what the user says, what the assistant answers

_GREETING_FRACTION = 0.22
_NAMED_GREETING_FRACTION = 0.1
_SYSTEM_FRACTION = 0.2
_GOODBYE_FRACTION = 0.3
_MOST_EXCHANGES = 4


def conversation(rng: random.Random) -> list[dict[str, str]]:
    """The turns of one conversation, in order."""
    details = _details(rng)
    exchanges = _exchanges(rng, details)
    messages: list[dict[str, str]] = []
    if rng.random() < _SYSTEM_FRACTION:
        messages.append({"role": "system", "content": finish(fill(rng, pick(rng, turns.SYSTEM_TURNS), details))})
    for question, answer in exchanges:
        # A plain greeting stays as typed; people often leave out capitals there.
        messages.append({"role": "user", "content": question if question in turns.GREETINGS else finish(question)})
        messages.append({"role": "assistant", "content": finish(answer)})
    return messages


def _exchanges(rng: random.Random, details: Mapping[str, str]) -> list[Exchange]:
    draw = rng.random()
    if draw < _GREETING_FRACTION + _NAMED_GREETING_FRACTION:
        is_named = draw > _GREETING_FRACTION
        exchanges = _greeting(rng, details, is_named)
        if rng.random() < 0.95:  # a greeting alone is too short to be new each time
            exchanges += _topic(rng, details)
        if is_named and rng.random() < 0.4:
            exchanges = [*exchanges[: _MOST_EXCHANGES - 1], _both(rng, turns.NAME_QUESTION, details)]
    else:
        exchanges = _topic(rng, details)
    if len(exchanges) < _MOST_EXCHANGES and rng.random() < _GOODBYE_FRACTION:
        exchanges.append(_both(rng, pick(rng, turns.THANKS), details))
    return exchanges[:_MOST_EXCHANGES]


def _greeting(rng: random.Random, details: Mapping[str, str], is_named: bool) -> list[Exchange]:
    """A greeting; where the assistant asks how things are, also the user's reply to that."""
    asks_how = rng.random() < 0.5
    state = fill(rng, pick(rng, turns.STATES), details)
    ask = fill(rng, pick(rng, turns.ASKS_HOW if asks_how else turns.ASKS_WHAT), details)
    values = {**details, "state": state, "ask": ask}
    said, answer = turns.NAMED_GREETING if is_named else (pick(rng, turns.GREETINGS), pick(rng, turns.GREETING_REPLIES))
    first = (fill(rng, said, values) if is_named else said, fill(rng, answer, values))
    return [first, _both(rng, pick(rng, turns.WELLBEING), details)] if asks_how else [first]


def _topic(rng: random.Random, details: Mapping[str, str]) -> list[Exchange]:
    """One to three exchanges about one thing."""
    draw = rng.random()
    if draw < 0.45:
        return _questions(rng, details)
    if draw < 0.72:
        return [
            _help(rng, details),
            *(_both(rng, f, details) for f in rng.sample(turns.HELP_FOLLOW_UPS, rng.randint(1, 2))),
        ]
    # Each with new details, or the same neighbour would turn up in every sentence.
    return [_both(rng, exchange, _details(rng)) for exchange in rng.sample(turns.SMALL_TALK, rng.randint(2, 3))]


def _both(rng: random.Random, exchange: Exchange, details: Mapping[str, str]) -> Exchange:
    said, answered = exchange
    return fill(rng, said, details), fill(rng, answered, details)


def _help(rng: random.Random, details: Mapping[str, str]) -> Exchange:
    request, steps, extra = pick(rng, turns.HELP)
    chosen = sorted(rng.sample(range(len(steps)), 3))
    first, second, third = (steps[place].format_map(details) for place in chosen)
    values = {"a": first, "b": second, "c": third, "extra": extra.format_map(details)}
    values |= {letter.upper(): values[letter][0].upper() + values[letter][1:] for letter in "abc"}
    opening = pick(rng, turns.HELP_OPENINGS).format_map(details)
    return opening + fill(rng, request, details), fill(rng, pick(rng, turns.ADVICE_FORMS), values)


def _questions(rng: random.Random, details: Mapping[str, str]) -> list[Exchange]:
    """One entity, asked about by name first and by pronoun afterwards."""
    known = world()
    kinds = (known.towns, known.towns, known.people, known.rivers, known.mountains, known.animals, known.plants)
    entity = known.draw(rng, pick(rng, kinds))
    questions = rng.sample(QUESTIONS[entity["kind"]], pick(rng, (1, 2, 2, 3)))
    opening = pick(rng, QUESTION_STARTS).format_map(details)
    exchanges = [_question(rng, entity, ways, is_first=number == 0) for number, ways in enumerate(questions)]
    return [(opening + exchanges[0][0], exchanges[0][1]), *exchanges[1:]]


def _question(rng: random.Random, entity: Entity, ways: Question, is_first: bool) -> Exchange:
    questions, answers = ways
    name = f"the {entity['name']}" if entity["kind"] in ("river", "animal") else entity["name"]
    pronouns = {"it": entity.get("he", "it"), "him": entity.get("him", "it"), "his": entity.get("his", "its")}
    names = {"it": name, "him": name, "his": f"{name}'s"}
    text = fill(rng, pick(rng, questions), names if is_first else pronouns)
    if not is_first:
        if entity["kind"] == "town":
            text = text.replace(" in it", " there")
        start = pick(rng, FOLLOW_UP_STARTS)
        text = f"And {text[0].lower()}{text[1:]}" if start == "And " else start + text
    return text, pick(rng, ANSWER_STARTS) + fill(rng, pick(rng, answers), entity) + pick(rng, ANSWER_ENDS)


def _details(rng: random.Random) -> dict[str, str]:
    """Values for every slot of `dialogue_turns.py`; the same throughout an exchange and its answer."""
    vegetable, other_vegetable = rng.sample(turns.VEGETABLES, 2)
    return {
        "day": pick(rng, words.DAYS),
        "month": pick(rng, words.MONTHS),
        "number": pick(rng, ("three", "four", "five", "six", "seven", "eight", "ten", "twelve", "fifteen", "twenty")),
        "food": pick(rng, words.FOODS),
        "drink": pick(rng, turns.DRINKS),
        "skill": pick(rng, turns.SKILLS),
        "project": pick(rng, turns.PROJECTS),
        "relative": pick(rng, turns.RELATIVES),
        "furniture": pick(rng, turns.FURNITURE),
        "stain": pick(rng, turns.STAINS),
        "grain": pick(rng, turns.GRAINS),
        "vegetable": vegetable,
        "other_vegetable": other_vegetable,
        "joke": pick(rng, turns.JOKES),
        "user": pick(rng, words.first_names())[0],
        "person": pick(rng, words.first_names())[0],
        "pet_name": pick(rng, words.first_names())[0],
        "town": world().draw(rng, world().towns)["name"],
    }
