"""Chance baselines of the synthetic tasks: what one scores who knows the form of the answer, but not the question."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from hamner.data.synthetic_tasks import Example, generate
from hamner.evaluation.skills import SkillItems

CHANCE_DRAWS = 2000
Guess = Callable[[Sequence[Example], Iterable[Example]], float]  # items of a cell, fresh ones -> expected accuracy


def chance(items: SkillItems) -> dict[str, float]:
    """Expected exact match of each cell's guesser. Where it needs to know the cell's answers, fresh items tell it."""
    found = {}
    for index, name in enumerate(items.cells):
        asked = items.of(index)
        task, level = asked[0].task, asked[0].level
        rng = random.Random(f"chance/{task}/{level}")
        found[name] = GUESSES[task](asked, (generate(rng, level, task) for _ in range(CHANCE_DRAWS)))
    return found


def _commonest(kind: Callable[[Example], str] = lambda example: example.answer) -> Guess:
    """Always says the same: the commonest kind of answer."""

    def guess(asked: Sequence[Example], fresh: Iterable[Example]) -> float:
        counts = Counter(map(kind, fresh))
        return max(counts.values()) / counts.total()

    return guess


def _one_of(candidates: Callable[[Example], int]) -> Guess:
    """Takes any of the candidates that an item shows."""
    return lambda asked, fresh: sum(1 / candidates(example) for example in asked) / len(asked)


def _any_count(asked: Sequence[Example], fresh: Iterable[Example]) -> float:
    """Any of the cell's counts, which are equally likely."""
    return 1 / len({example.prompt.split()[1] for example in fresh})


def _orders(example: Example) -> int:
    """Different orders of the numbers shown; numbers may repeat."""
    counts = Counter(example.answer.split())
    return math.factorial(counts.total()) // math.prod(map(math.factorial, counts.values()))


def _facts(example: Example) -> int:
    """Sentences before the question."""
    return len(re.findall(r"[.?]", example.prompt)) - 1


def _conclusions(example: Example) -> int:
    """Different clauses of the rules."""
    sentences = example.prompt.removesuffix(" Therefore ").rstrip(".").split(". ")
    rules = [s.removeprefix("If ").split(" then ") for s in sentences if s.startswith("If ")]
    return len({clause for rule in rules for clause in rule})


def _listop(asked: Sequence[Example], fresh: Iterable[Example]) -> float:
    """The commonest answer, or any of the numbers shown: the better of the two."""
    shown = [re.findall(r"\d+", example.prompt) for example in asked]
    repeated = sum(n.count(example.answer) / len(n) for n, example in zip(shown, asked, strict=True)) / len(asked)
    return max(_commonest()(asked, fresh), repeated)


def _compared(asked: Sequence[Example], fresh: Iterable[Example]) -> float:
    """One of the numbers shown; at level 5 the sum, the product, or equal."""
    if asked[0].level < 5:
        return _one_of(lambda example: len(re.findall(r"\d+", example.prompt)))(asked, fresh)
    return _commonest(lambda example: next((sign for sign in "+*" if sign in example.answer), "equal"))(asked, fresh)


GUESSES: dict[str, Guess] = {
    "arithmetic": _commonest(),  # small results are commoner than large ones
    "counting": _commonest(),  # at level 1 one of three
    "sorting": _one_of(_orders),  # knows the numbers
    "brackets": _commonest(),  # yes or no
    "listops": _listop,  # MIN and MAX give one of the numbers back
    "copy_repeat": _any_count,  # knows the word, not how often
    "context_recall": _one_of(_facts),  # repeats one of the facts told
    "logic": _one_of(_conclusions),  # says a clause of the rules
    "comparison": _compared,
}
