"""Names made from syllables, and pools of everyday words for stories, dialogues and the voice."""

import functools
import random
from dataclasses import dataclass


def each_word(text: str) -> tuple[str, ...]:
    """The words of a block of text."""
    return tuple(text.split())


def pool(text: str) -> tuple[str, ...]:
    """The phrases of a block of text, which semicolons divide."""
    return tuple(" ".join(phrase.split()) for phrase in text.split(";"))


_NAME_STARTS = each_word("""Al Bel Bri Cor Dar El Fen Gil Hol Im Jor Kel Lin Mar Nel Or Pel Ros Sel Tam Tro Ul
Ves Wil Yan Zan""")
_NAME_MIDDLES = ("", "a", "e", "i", "o")
_GIRL_ENDS = each_word("ra na la lie dy sa wen mi nia via da")
_BOY_ENDS = each_word("mo bin den lo rik to ton gar bert ver dan")
_SURNAME_STARTS = each_word(
    "Ash Black Bram Cold Dun Elm Fair Gold Green Hart Hazel Kings Long Marsh North Oak Pen Red Rook"
)
_SURNAME_ENDS = each_word(
    "by combe croft den field gate ham hurst ley low mere pool ridge ster ton vale ward well wood"
)

_NAMES_PER_GENDER = 160
_NAME_SEED = "people of the book"


@dataclass(frozen=True)
class Pronouns:
    he: str
    him: str
    his: str
    himself: str


HE = Pronouns("he", "him", "his", "himself")
SHE = Pronouns("she", "her", "her", "herself")


@functools.cache
def first_names() -> tuple[tuple[str, Pronouns], ...]:
    """Given names with the pronouns that go with them, always in the same order."""
    rng = random.Random(_NAME_SEED)
    girls = _shuffled(rng, _NAME_STARTS, _NAME_MIDDLES, _GIRL_ENDS)[:_NAMES_PER_GENDER]
    boys = _shuffled(rng, _NAME_STARTS, _NAME_MIDDLES, _BOY_ENDS)[:_NAMES_PER_GENDER]
    both = [(name, SHE) for name in girls] + [(name, HE) for name in boys]
    rng.shuffle(both)
    return tuple(both)


@functools.cache
def surnames() -> tuple[str, ...]:
    """Family names, always in the same order."""
    return tuple(_shuffled(random.Random(_NAME_SEED), _SURNAME_STARTS, ("",), _SURNAME_ENDS))


def _shuffled(
    rng: random.Random, starts: tuple[str, ...], middles: tuple[str, ...], ends: tuple[str, ...]
) -> list[str]:
    names = [start + middle + end for start in starts for middle in middles for end in ends]
    names = [name for name in names if not _is_clumsy(name.lower())]
    rng.shuffle(names)
    return names


def _is_clumsy(name: str) -> bool:
    """Whether a name is hard to read aloud: four consonants in a row, or a doubled letter other than t."""
    run = 0
    for letter, following in zip(name, name[1:] + " ", strict=True):
        run = 0 if letter in "aeiouy" else run + 1
        if run > 3 or (letter == following and letter != "t"):
            return True
    return False


COLOURS = each_word("red blue green yellow white black brown grey orange purple silver golden")

LOOKS = each_word("little big old new shiny wooden tiny round smooth heavy striped painted broken dusty pretty soft")

TREASURES = each_word("""kite ball drum whistle lantern scarf hat bell boat box button spoon marble compass
basket cup puppet wagon flute umbrella pillow blanket book key ring mirror brush bucket horn top""")

BUILDABLE = pool(
    """boat; kite; tree house; bird house; sledge; raft; windmill; little bridge; cart; scarecrow; lantern;
    puppet stage; snow fort; swing; water wheel; doll's house; rope ladder; box for the hedgehog"""
)

FOODS = pool(
    """apple pie; pear cake; honey bread; onion soup; plum jam; pancakes; nut biscuits; cheese rolls;
    porridge; oat cookies; carrot soup; berry tart; ginger bread; potato stew; warm milk; lemon cake; roasted
    chestnuts; mushroom pie"""
)

HOMES = pool(
    """in a small house by the sea; at the edge of the forest; on a farm near the hills; in a tall house in
    the town; in a cottage beside the mill; next to the old bridge; at the end of a long lane; above the
    bakery; by a quiet lake; on a boat on the river; in a village between two mountains; near the railway;
    behind the church; under the big oak hill"""
)

PLACES = pool(
    """the forest; the meadow; the beach; the market; the old mill; the river; the hill; the orchard; the
    harbour; the park; the pond; the barn; the schoolyard; the village square; the lake; the garden of the
    neighbours"""
)

HIDING_PLACES = pool(
    """under the bed; behind the stove; in the tall grass; under the stairs; on top of the cupboard; inside an
    old box; behind the barn; under a pile of leaves; beside the empty bucket; beside the well; beneath the
    bench; in the hen house; between two big stones; behind an old coat; under the bridge; behind the flower
    pots"""
)

SMALL_ANIMALS = pool(
    """kitten; puppy; duckling; lamb; rabbit; hedgehog; squirrel; owl; mouse; turtle; sparrow; fawn;
    goat kid; frog"""
)

HOBBIES = pool(
    """drawing pictures; climbing trees; looking at the stars; singing songs; collecting stones; listening to
    stories; building things; running in the wind; watching the birds; baking little cakes; asking questions;
    fishing in the pond; telling jokes; skipping over puddles; reading under the blanket; talking to the cows;
    planting seeds"""
)

TOOLS = pool(
    """hammer; saw; chisel; plane; file; drill; clamp; spanner; screwdriver; soldering iron; pair of pliers;
    mallet; square; spokeshave; vice; rasp"""
)

MONTHS = each_word("January February March April May June July August September October November December")
DAYS = each_word("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
