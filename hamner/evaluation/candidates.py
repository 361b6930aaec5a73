"""Multiple choice: the answers among which a model chooses by likelihood, and what a guesser scores (chance).

In: an item of a synthetic task. Out: up to MOST different answers of the right form, the right one first; the others
are what a guesser of chance.py says who knows the form and the numbers, facts or clauses shown, but not the question.
They are a function of the item alone, so all stages and processes choose among the same ones.

| task | candidates |
|---|---|
| arithmetic | answers of other items of the level, drawn as the right one was: how common a result is tells nothing |
| counting, copy_repeat | the counts that the level has |
| sorting | other orders of the numbers shown |
| brackets | yes, no |
| listops | the same list under MAX, MIN and SUM |
| context_recall, logic | the facts stated; the clauses of the rules |
| comparison | the numbers or expressions shown; at level 5 also "equal" |
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from hamner.data.synthetic_tasks import Example, generate

MOST = 4  # candidates of an item: more would cost time and tell little more
Propose = Callable[[Example, random.Random], Sequence[str]]  # an item -> answers, the right one may be among them


def candidates(example: Example) -> tuple[str, ...]:
    """Different answers of the right form, the right one first; at least two but for an item that has no others."""
    rng = random.Random(f"candidates/{example.text}")
    wrong = list(dict.fromkeys(c for c in PROPOSE[example.task](example, rng) if c != example.answer))
    return (example.answer, *(wrong if len(wrong) < MOST else rng.sample(wrong, MOST - 1)))


def choice_chance(examples: Sequence[Example], exact_chance: float) -> float:
    """Share of the items of a cell that a guesser chooses rightly who ignores the question.

    exact_chance: what the guesser of chance.py scores, who may choose with it.
    """
    return max(exact_chance, sum(map(_guess, examples)) / len(examples))


def _guess(example: Example) -> float:
    """The guesser's chance of one item: any candidate; of list operations the value that most operations give."""
    if example.task == "listops":
        values = _under_each_operation(example)
        return max(Counter(values).values()) / len(values)
    return 1 / len(candidates(example))


def _other_answers(example: Example, rng: random.Random) -> list[str]:
    answers: list[str] = []
    while len(answers) < MOST - 1:
        answer = generate(rng, example.level, example.task).answer
        if answer not in (example.answer, *answers):
            answers.append(answer)
    return answers


def _counts(example: Example, rng: random.Random) -> list[str]:
    """Of all items: 2 to 2 level + 2; of one word among others: 0 to level + 1."""
    low, high = (2, 2 * example.level + 2) if example.prompt.startswith("Count the items") else (0, example.level + 1)
    return [str(count) for count in range(low, high + 1)]


def _orders(example: Example, rng: random.Random) -> list[str]:
    numbers = example.answer.split()
    shuffled = [" ".join(rng.sample(numbers, len(numbers))) for _ in range(4 * MOST)]  # equal numbers have few orders
    return [" ".join(reversed(numbers)), *shuffled]


def _repetitions(example: Example, rng: random.Random) -> list[str]:
    text = example.prompt.split(": ", 1)[1].removesuffix(" -> ")
    separator = " | " if re.search(r" ", text) else " "
    return [separator.join([text] * times) for times in range(2, example.level + 3)]


def _under_each_operation(example: Example) -> list[str]:
    outer = re.match(r"\[(MAX|MIN|SUM) ", example.prompt)
    assert outer is not None
    words = example.prompt[outer.end() :].removesuffix(" = ").replace("[", "[ ").replace("]", " ]").split()
    values = _values(iter(words))
    return [str(operation(values)) for operation in _OPERATIONS.values()]


_OPERATIONS: dict[str, Callable[[list[int]], int]] = {"MAX": max, "MIN": min, "SUM": sum}


def _values(words: Iterator[str]) -> list[int]:
    """The values of a list's arguments, up to the bracket that closes it."""
    values: list[int] = []
    for word in words:
        if word == "]":
            break
        if word == "[":
            operation = _OPERATIONS[next(words)]
            values.append(operation(_values(words)))
        else:
            values.append(int(word))
    return values


def _facts(example: Example, rng: random.Random) -> list[str]:
    """The sentences before the question, which is the last one."""
    return re.findall(r"[^.?]+[.?]", example.prompt.replace(". ", "."))[:-1]


def _clauses(example: Example, rng: random.Random) -> list[str]:
    return [f"{clause}." for rule in re.findall(r"If (.*?) then (.*?)\.", example.prompt) for clause in rule]


def _shown(example: Example, rng: random.Random) -> list[str]:
    if example.level == 5:
        return [*re.findall(r"\d+[+*]\d+", example.prompt), "equal"]
    return re.findall(r"\d+", example.prompt)


PROPOSE: dict[str, Propose] = {
    "arithmetic": _other_answers,
    "counting": _counts,
    "sorting": _orders,
    "brackets": lambda example, rng: ("yes", "no"),
    "listops": lambda example, rng: _under_each_operation(example),
    "copy_repeat": _repetitions,
    "context_recall": _facts,
    "logic": _clauses,
    "comparison": _shown,
}
