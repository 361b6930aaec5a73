"""Synthetic tasks: nine kinds of small exercise with exact answers, each at five levels of difficulty.

In: a `random.Random` and a level. Out: an `Example` (task, level, prompt, answer; `.text` is the line a model
reads). The same generator state always gives the same items; texts.py makes many at once. Look at some with:

    hamner show_tasks --show --type logic --level 4

Labels are drawn before the item is built, so that yes/no, counts and comparisons carry no bias that could be
learnt instead of the task. Each file starts with a table of its levels. How many distinct items there are:

| task           | level 1   | level 2   | level 3 | level 4 | level 5     |
|----------------|-----------|-----------|---------|---------|-------------|
| arithmetic     | 200       | 800       | 30,000  | 723,243 | 192,864,800 |
| counting       | > 10^8    | > 10^13   | > 10^17 | > 10^22 | > 10^26     |
| sorting        | 15,972    | 4,287,843 | > 10^8  | > 10^11 | > 10^13     |
| brackets       | > 10^9    | > 10^9    | > 10^9  | > 10^9  | > 10^9      |
| listops        | 33,300    | 333,300   | > 10^8  | > 10^10 | > 10^10     |
| copy_repeat    | 236,890   | 355,335   | > 10^9  | > 10^9  | > 10^9      |
| context_recall | > 10^16   | > 10^23   | > 10^31 | > 10^39 | > 10^46     |
| logic          | 4,874,304 | > 10^9    | > 10^9  | > 10^9  | > 10^9      |
| comparison     | 10,100    | 40,200    | 501,000 | > 10^12 | 1,947,984   |

Arithmetic is as small as its numbers are. Half of the brackets are bare, of which level 1 has some hundreds; the
nouns among the others make its space large.
"""

import random
from collections.abc import Callable

from hamner.config.errors import did_you_mean
from hamner.data.synthetic_tasks import (
    arithmetic,
    brackets,
    comparison,
    context_recall,
    copy_repeat,
    counting,
    listops,
    logic,
    sorting,
)
from hamner.data.synthetic_tasks.draws import Draws
from hamner.data.synthetic_tasks.example import Example

__all__ = ["LEVELS", "TASKS", "Draws", "Example", "generate"]

LEVELS = (1, 2, 3, 4, 5)

TASKS: dict[str, Callable[[random.Random, int], Example]] = {
    "arithmetic": arithmetic.generate,
    "counting": counting.generate,
    "sorting": sorting.generate,
    "brackets": brackets.generate,
    "listops": listops.generate,
    "copy_repeat": copy_repeat.generate,
    "context_recall": context_recall.generate,
    "logic": logic.generate,
    "comparison": comparison.generate,
}
_ALL = tuple(TASKS.values())


def generate(rng: random.Random, level: int, task: str | None = None) -> Example:
    """One item of `task` at `level`; a task drawn uniformly when None."""
    if level not in LEVELS:
        raise ValueError(f"synthetic level {level!r} does not exist: use 1..5")
    if task is None:
        return rng.choice(_ALL)(rng, level)
    if task not in TASKS:
        raise ValueError(f"unknown synthetic task '{task}'; {did_you_mean(task, list(TASKS))}")
    return TASKS[task](rng, level)
