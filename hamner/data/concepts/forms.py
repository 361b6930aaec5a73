"""Questions of the seven concepts: each made of a key (numbers, words, a fact), in the ways one may ask.

The last way of each is never trained on. Out: concepts; the split between trained and held-out keys is a function of
the concept's name alone, so that all runs are tested on the same items.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations, combinations_with_replacement
from typing import Any

from hamner.data.builtin_text.words import each_word
from hamner.data.concepts.item import Concept, Item, evenly
from hamner.data.concepts.relations import RELATIONS
from hamner.data.concepts.talk import HELDOUT_LINES, MEANINGS
from hamner.data.concepts.word_pairs import PAIRS

LARGEST_COMPARED, LARGEST_ADDED, LARGEST_FACTOR, LARGEST_SAID = 30, 40, 20, 999
Say = Callable[[Any, int], Iterable[Item]]  # key, way of asking -> its items


def concept(name: str, keys: Sequence[Any], heldout: int, say: Say, ways: int = 2) -> Concept:
    """A concept of which `heldout` of the keys are held out. ways: that are trained on; one more is not."""
    shuffled = random.Random(f"concepts/{name}").sample(list(keys), len(keys))
    return split_concept(name, shuffled[heldout:], shuffled[:heldout], say, ways)


def split_concept(name: str, train: Sequence[Any], heldout: Sequence[Any], say: Say, ways: int = 2) -> Concept:
    """A concept of keys that are split already."""
    trained, tested = (
        [item for key in keys for way in range(ways) for item in say(key, way)] for keys in (train, heldout)
    )
    rephrased = [item for key in train for item in say(key, ways)]
    return Concept(name, tuple(trained), evenly(tested), evenly(rephrased))


def compare() -> Concept:
    """Yes or no: is one number more, or less, than another? Both answers are equally common."""
    ways = ("Is {} more than {}?", "Is {} less than {}?", "Would you say that {} is greater than {}?")

    def say(pair: tuple[int, int], way: int) -> Iterable[Item]:
        for a, b in (pair, pair[::-1]):
            yield Item(ways[way].format(a, b), "yes" if (a < b) == (way == 1) else "no", (str(a), str(b)))

    return concept("compare", list(combinations(range(1, LARGEST_COMPARED + 1), 2)), 108, say)


def opposites() -> Concept:
    """The opposite of a word, in both directions; a pair is trained on or held out as a whole."""
    ways = ("The opposite of {} is", "Turn {} round and you have", "Whoever is not for {} is for")
    return concept("opposites", PAIRS, 36, lambda pair, way: _both_ways(ways[way], pair))


def composite() -> Concept:
    """Opposites asked for in the form of a question that facts are asked in: trained pairs, and held-out ones."""
    ways = ("Q: What is the opposite of {}? A:", "Q: Which word says the opposite of {}? A:")
    plain = opposites()
    train, heldout = (
        list(dict.fromkeys(tuple(sorted(item.parts)) for item in items)) for items in (plain.train, plain.heldout)
    )
    return split_concept("composite", train, heldout, lambda pair, way: _both_ways(ways[way], pair), ways=1)


def _both_ways(way: str, pair: Sequence[str]) -> Iterable[Item]:
    return [Item(way.format(a), b, (a, b)) for a, b in (pair, pair[::-1])]


def qa() -> Concept:
    """Questions about everyday facts."""
    facts = [(relation, *fact.split("-")) for relation in RELATIONS for fact in relation.facts.split()]

    def say(fact: tuple[Any, str, str], way: int) -> Iterable[Item]:
        relation, subject, answer = fact
        question = relation.ways[way].format(s=subject)
        yield Item(f"Q: {_articles(question)} A:", answer, (subject, answer))

    return concept("qa", facts, len(facts) * 2 // 5, say)


def _articles(text: str) -> str:
    """`a owl` as `an owl`."""
    words = text.split(" ")
    pairs = zip(words, [*words[1:], ""], strict=True)
    return " ".join(f"{word}n" if word in ("a", "A") and after[:1] in tuple("aeio") else word for word, after in pairs)


def echo() -> Concept:
    """Repeating a number of two or three digits."""
    ways = ("Say {}.", "Repeat after me: {}", "Echo the number {}:")
    numbers = list(range(10, LARGEST_SAID + 1))
    return concept("echo", numbers, 200, lambda n, way: [Item(ways[way].format(n), str(n), (str(n),))])


def number_words() -> Concept:
    """A number in words, to be written in digits."""
    ways = ("In digits, {} is", "Write {} as a number:", "The figure for {} is")
    numbers = list(range(10, LARGEST_SAID + 1))

    def say(n: int, way: int) -> Iterable[Item]:
        yield Item(ways[way].format(in_words(n)), str(n), (in_words(n), str(n)))

    return concept("number_words", numbers, 200, say)


def addition() -> Concept:
    """The sum of two numbers, in both orders; a pair is trained on or held out as a whole."""
    ways = ("{} + {} =", "What is {} plus {}?", "The sum of {} and {} is")

    def say(pair: tuple[int, int], way: int) -> Iterable[Item]:
        for a, b in dict.fromkeys((pair, pair[::-1])):
            yield Item(ways[way].format(a, b), str(a + b), (str(a), str(b)))

    return concept("addition", list(combinations_with_replacement(range(1, LARGEST_ADDED + 1), 2)), 205, say)


def subtraction() -> tuple[Item, ...]:
    """Differences in the form of the sums, which no arm trains on."""
    pairs = combinations_with_replacement(range(1, LARGEST_ADDED + 1), 2)
    return evenly([Item(f"{b} - {a} =", str(b - a), (str(b), str(a))) for a, b in pairs])


def multiplication() -> tuple[Item, ...]:
    """Products in the form of the sums, which no arm trains on."""
    numbers = range(1, LARGEST_FACTOR + 1)
    return evenly([Item(f"{a} * {b} =", str(a * b), (str(a), str(b))) for a in numbers for b in numbers])


def chat() -> Concept:
    """Small talk: the reply that suits a line, ranked among the replies to all meanings."""
    ways = ("User: {} Friend:", "They say: {} You say:", "Message: {} Reply:")
    replies = tuple(MEANINGS)
    lines = [[(line, reply) for line in lines] for reply, lines in MEANINGS.items()]

    def say(key: tuple[str, str], way: int) -> Iterable[Item]:
        yield Item(ways[way].format(key[0]), key[1], (key[0],), replies)

    train = [key for keys in lines for key in keys[:-HELDOUT_LINES]]
    return split_concept("chat", train, [key for keys in lines for key in keys[-HELDOUT_LINES:]], say)


def facts(count: int) -> Concept:
    """The first `count` invented facts: who lives where. None is held out, since none could be known."""
    ways = ("{} lives in the", "The home of {} is the", "You will find {} in the")

    def say(number: int, way: int) -> Iterable[Item]:
        who, where = invented_name(number), random.Random(f"concepts/home/{number}").choice(HOMES)
        yield Item(ways[way].format(who), where, (who, where))

    return split_concept(f"facts{count}", range(count), (), say)


HOMES = each_word(
    "harbour valley forest castle village desert mill tower cave palace garden swamp island market barn chapel"
)
_ONSETS, _VOWELS = each_word("b d f g k l m n p r s t v z"), each_word("a e i o u")


def invented_name(number: int) -> str:
    """A name of three syllables, another for each number below 343,000."""
    syllables = [onset + vowel for onset in _ONSETS for vowel in _VOWELS]  # 70 of them
    order = (number * 104_729 + 7919) % len(syllables) ** 3  # a prime: every number has a name of its own
    name = ""
    for _ in range(3):
        order, place = divmod(order, len(syllables))
        name += syllables[place]
    return name.capitalize()


_ONES = each_word(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = each_word("twenty thirty forty fifty sixty seventy eighty ninety")


def in_words(n: int) -> str:
    """A number below 1,000 in English words, without hyphens."""
    if n >= 100:
        rest = f" and {in_words(n % 100)}" if n % 100 else ""
        return f"{_ONES[n // 100]} hundred{rest}"
    if n < 20:
        return _ONES[n]
    return _TENS[n // 10 - 2] + (f" {_ONES[n % 10]}" if n % 10 else "")
