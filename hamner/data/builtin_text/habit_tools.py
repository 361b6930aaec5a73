"""Tables of habits to text: rows of a block, the slots all habits share, and how people type."""

import random
import re

from hamner.data.builtin_text.given_names import GIVEN_NAMES, PET_NAMES
from hamner.data.builtin_text.phrasing import finish, pick
from hamner.data.builtin_text.words import DAYS, MONTHS, each_word, first_names, pool

Exchange = tuple[str, str]  # what the user says, what the friend answers
Values = dict[str, str]

CONTRACTED_FRACTION = 0.45
INVENTED_NAMES_FRACTION = 0.15
CARELESS_FRACTION = 0.15


def rows(text: str) -> tuple[tuple[str, ...], ...]:
    """The lines of a block of text, each cut at its " = "; a line that begins with a space goes on the one before."""
    lines = text.strip("\n").replace("\n ", " ").splitlines()
    return tuple(tuple(" ".join(cell.split()) for cell in line.split(" = ")) for line in lines if line.strip())


RELATIVES = each_word("""sister brother mother father grandmother grandfather aunt uncle cousin daughter son niece
nephew wife husband mum dad""")
PEOPLE = pool(
    """boss; neighbour; colleague; friend; teacher; flatmate; coach; landlord; doctor; dentist; classmate;
        girlfriend; boyfriend; roommate; hairdresser; trainer; piano teacher; best friend; old schoolmate;
        manager; baker"""
)
PETS = each_word("cat dog rabbit hamster horse parrot tortoise pony canary goat kitten puppy hen donkey budgie")
NUMBERS = each_word("two three four five six seven eight nine ten twelve")
TIMES = pool(
    """yesterday; this morning; last night; today; last week; this afternoon; an hour ago; on Monday; on Tuesday;
        on Wednesday; on Thursday; on Friday; on Saturday; on Sunday; two days ago; just now; this evening; at
        noon"""
)


def name(rng: random.Random) -> str:
    """A given name, now and then an invented one."""
    return pick(rng, first_names())[0] if rng.random() < INVENTED_NAMES_FRACTION else pick(rng, GIVEN_NAMES)


def details(rng: random.Random) -> Values:
    """Values for the slots that every table may use."""
    friend, me, other = name(rng), name(rng), name(rng)
    while me in (friend, other) or friend == other:
        friend, me = name(rng), name(rng)
    return {
        "friend": friend,
        "me": me,
        "other": other,
        "relative": pick(rng, RELATIVES),
        "person": pick(rng, PEOPLE),
        "pet": pick(rng, PETS),
        "pet_name": pick(rng, PET_NAMES),
        "number": pick(rng, NUMBERS),
        "day": pick(rng, DAYS),
        "month": pick(rng, MONTHS),
        "time": pick(rng, TIMES),
    }


CONTRACTIONS = {
    "I am": "I'm", "I have": "I've", "I will": "I'll", "it is": "it's", "It is": "It's", "that is": "that's",
    "That is": "That's", "you are": "you're", "You are": "You're", "do not": "don't", "does not": "doesn't",
    "did not": "didn't", "Do not": "Don't", "is not": "isn't", "was not": "wasn't", "are not": "aren't",
    "have not": "haven't", "has not": "hasn't", "would not": "wouldn't", "will not": "won't", "cannot": "can't",
    "could not": "couldn't", "What is": "What's", "what is": "what's", "we are": "we're", "they are": "they're",
    "There is": "There's", "there is": "there's", "should not": "shouldn't", "were not": "weren't",
}  # fmt: skip
# "I have a cat" stays: only "I have been", "I have lost" and the like are contracted.
_LONG = re.compile(
    r"\b(I have(?= (?:not|been|just|never|\w+ed|lost|got|done)\b)|"
    + "|".join(long for long in CONTRACTIONS if long != "I have")
    + r")\b(?= [A-Za-z]|[a-z])"
)


def contracted(text: str) -> str:
    """`text` as it is spoken: "I'm" for "I am"."""
    return _LONG.sub(lambda match: CONTRACTIONS[match.group(1)], text)


def spoken(rng: random.Random, said: str, answer: str) -> tuple[str, str]:
    """An exchange with its articles and capitals right, in full words or contracted, typed with more or less care."""
    said, answer = finish(said), finish(answer)
    if rng.random() < CONTRACTED_FRACTION:
        said = contracted(said)
    if rng.random() < CONTRACTED_FRACTION:
        answer = contracted(answer)
    if said.endswith(".") and not said.endswith("..") and rng.random() < CARELESS_FRACTION:
        said = said[:-1]
    return said, answer
