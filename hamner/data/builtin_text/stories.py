"""Short children's stories: somebody wants something, something is in the way, somebody helps, all ends well.

`document(rng)` draws a plot from `story_plots.py`, a cast with names, kinds and pronouns, and the things of
the story, and tells the plot's beats with them. A character, a thing or a place is the same from the first
line to the last, so that a reader who pays attention can predict names and pronouns.
"""

import random
from dataclasses import dataclass

from hamner.data.builtin_text import words
from hamner.data.builtin_text.phrasing import fill, finish, pick
from hamner.data.builtin_text.story_frame import FRAME
from hamner.data.builtin_text.story_plots import PLOTS

_PARAGRAPH_BREAK_FRACTION = 0.45
_FEWEST_WORDS, _MOST_WORDS = 60, 200

_ANIMAL_KINDS = words.each_word("fox bear rabbit mouse badger otter hedgehog squirrel duck goat cat beaver")
_TRAITS = words.each_word("shy brave clever curious quiet cheerful stubborn gentle dreamy careful lively patient")
_ELDER_ROLES = {
    "she": ("grandmother", "aunt", "the baker", "the teacher", "the neighbour", "the ferrywoman"),
    "he": ("grandfather", "uncle", "the miller", "the fisherman", "the postman", "the gardener"),
}


@dataclass(frozen=True)
class Character:
    """Everything a template may say of somebody, such as `{hero.name}` or `{hero.his}`."""

    name: str
    kind: str  # girl, fox, ...
    trait: str
    he: str
    him: str
    his: str
    himself: str


def document(rng: random.Random) -> str:
    """A story of 60 to 200 words."""
    while True:
        text = tell(rng, pick(rng, _PLOT_NAMES))
        if _FEWEST_WORDS <= text.count(" ") + text.count("\n\n") + 1 <= _MOST_WORDS:
            return text


def tell(rng: random.Random, plot: str) -> str:
    """A story of one of PLOTS, of any length."""
    values = _cast_and_things(rng)
    introduction = [FRAME["opening"], FRAME["habit"], FRAME["friend"]]
    if rng.random() < 0.4:
        introduction.pop(1)
    beats = [*([FRAME["weather"]] if rng.random() < 0.4 else []), *PLOTS[plot], FRAME["ending"]]
    text = " ".join(fill(rng, pick(rng, beat), values) for beat in introduction)
    for beat in beats:
        sentence = fill(rng, pick(rng, beat), values)
        breaks = sentence[0] == '"' or rng.random() < _PARAGRAPH_BREAK_FRACTION
        text += ("\n\n" if breaks else " ") + sentence
    return finish(text)


def _cast_and_things(rng: random.Random) -> dict[str, str | Character]:
    (name, pronouns), (friend_name, friend_pronouns), (elder_name, elder_pronouns) = rng.sample(words.first_names(), 3)
    animals = rng.random() < 0.4  # all of the young ones, so that a fox does not go to school with a boy
    trait, friend_trait = rng.sample(_TRAITS, 2)
    first_place, second_place = rng.sample(words.PLACES, 2)
    first_spot, second_spot, third_spot = rng.sample(words.HIDING_PLACES, 3)
    colour, other_colour = rng.sample(words.COLOURS, 2)
    treasure, other_treasure = rng.sample(words.TREASURES, 2)
    hero = _character(rng, name, pronouns, trait, animals)
    return {
        "hero": hero,
        "friend": _character(rng, friend_name, friend_pronouns, friend_trait, animals),
        "elder": _elder(rng, elder_name, elder_pronouns),
        "home": pick(rng, words.HOMES),
        "place": first_place,
        "other_place": second_place,
        "spot": first_spot,
        "other_spot": second_spot,
        "third_spot": third_spot,
        "thing": f"{pick(rng, (colour, pick(rng, words.LOOKS)))} {treasure}",
        "treasure": treasure,
        "other_thing": f"{other_colour} {other_treasure}",
        "buildable": pick(rng, words.BUILDABLE),
        "food": pick(rng, words.FOODS),
        "pet": pick(rng, [pet for pet in words.SMALL_ANIMALS if pet != hero.kind]),
        "hobby": pick(rng, words.HOBBIES),
        "colour": colour,
        "number": pick(rng, ("three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve")),
        "day": pick(rng, words.DAYS),
    }


def _character(rng: random.Random, name: str, pronouns: words.Pronouns, trait: str, is_animal: bool) -> Character:
    child = "girl" if pronouns is words.SHE else "boy"
    kind = pick(rng, _ANIMAL_KINDS) if is_animal else child
    return Character(name, kind, trait, pronouns.he, pronouns.him, pronouns.his, pronouns.himself)


def _elder(rng: random.Random, name: str, pronouns: words.Pronouns) -> Character:
    """`kind` is "the miller" or "aunt"; templates use the name alone or "the old miller Oda"."""
    role = pick(rng, _ELDER_ROLES[pronouns.he])
    full_name = f"{role} {name}" if role.startswith("the ") else f"{role.capitalize()} {name}"
    return Character(full_name, role, "wise", pronouns.he, pronouns.him, pronouns.his, pronouns.himself)


_PLOT_NAMES = tuple(PLOTS)
