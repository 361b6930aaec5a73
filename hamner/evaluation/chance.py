"""Chance baseline (random guessing) of the synthetic tasks.

In: the items of hamner/evaluation/skills.py. Out: of each cell the exact match of a guesser who knows the form of its
answers, and at best the numbers or clauses that an item shows, but not the question.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from hamner.data.synthetic_tasks import Example, generate
from hamner.evaluation.skills import SkillItems

CHANCE_DRAWS = 2000  # fresh items of a cell, from which a guesser learns how frequent its answers are
Guess = Callable[[Sequence[Example], Iterable[Example]], float]  # items of a cell, fresh ones -> expected exact match


def chance(items: SkillItems) -> dict[str, float]:
    """Expected exact match of each cell's guesser, from 0 to 1."""
    expected = {}
    for index, name in enumerate(items.cells):
        of_cell = items.of(index)
        task, level = of_cell[0].task, of_cell[0].level
        rng = random.Random(f"chance/{task}/{level}")
        expected[name] = GUESSES[task](of_cell, (generate(rng, level, task) for _ in range(CHANCE_DRAWS)))
    return expected


def _commonest(kind: Callable[[Example], str] = lambda example: example.answer) -> Guess:
    """A guesser who always gives the commonest kind of answer."""

    def guess(items: Sequence[Example], fresh: Iterable[Example]) -> float:
        counts = Counter(map(kind, fresh))
        return max(counts.values()) / counts.total()

    return guess


def _one_of(candidates: Callable[[Example], int]) -> Guess:
    """A guesser who takes any of the candidates that an item shows; candidates: their number."""
    return lambda items, fresh: sum(1 / candidates(example) for example in items) / len(items)


def _any_count(items: Sequence[Example], fresh: Iterable[Example]) -> float:
    """Guess any of the cell's counts, which are equally likely."""
    return 1 / len({example.prompt.split()[1] for example in fresh})


def _orders(example: Example) -> int:
    """The number of different orders of the numbers shown, which may repeat."""
    counts = Counter(example.answer.split())
    return math.factorial(counts.total()) // math.prod(map(math.factorial, counts.values()))


def _facts(example: Example) -> int:
    """The number of sentences before the question."""
    return len(re.findall(r"[.?]", example.prompt)) - 1


def _conclusions(example: Example) -> int:
    """The number of different clauses in the rules."""
    sentences = example.prompt.removesuffix(" Therefore ").rstrip(".").split(". ")
    rules = [s.removeprefix("If ").split(" then ") for s in sentences if s.startswith("If ")]
    return len({clause for rule in rules for clause in rule})


def _list_operation(items: Sequence[Example], fresh: Iterable[Example]) -> float:
    """Guess the commonest answer, or any of the numbers shown: the better of the two."""
    shown = [re.findall(r"\d+", example.prompt) for example in items]
    repeated = sum(n.count(example.answer) / len(n) for n, example in zip(shown, items, strict=True)) / len(items)
    return max(_commonest()(items, fresh), repeated)


def _comparison(items: Sequence[Example], fresh: Iterable[Example]) -> float:
    """Guess one of the numbers shown; at level 5 the commonest of sum, product and equal."""
    if items[0].level < 5:
        return _one_of(lambda example: len(re.findall(r"\d+", example.prompt)))(items, fresh)
    return _commonest(lambda example: next((sign for sign in "+*" if sign in example.answer), "equal"))(items, fresh)


GUESSES: dict[str, Guess] = {
    "arithmetic": _commonest(),  # small results are commoner than large ones
    "counting": _commonest(),  # at level 1 one of three
    "sorting": _one_of(_orders),  # knows the numbers
    "brackets": _commonest(),  # yes or no
    "listops": _list_operation,  # MIN and MAX give one of the numbers back
    "copy_repeat": _any_count,  # knows the word, not how often
    "context_recall": _one_of(_facts),  # repeats one of the facts
    "logic": _one_of(_conclusions),  # says a clause of the rules
    "comparison": _comparison,
}
