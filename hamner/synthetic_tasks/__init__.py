"""Nine kinds of small exercise with exact answers, each at five levels of difficulty.

In: a `random.Random` and a level. Out: an `Example` (task, level, prompt, answer; `.text` is the line a model
reads). The same generator state always gives the same items. Look at some with:

    python -m hamner.synthetic_tasks --show --task logic --level 4

Labels are drawn before the item is built, so that yes/no, counts and comparisons carry no bias to learn
instead of the task. Each file starts with a table of its levels and says where the space of items is small.
"""

import difflib
import random
from collections.abc import Callable

from hamner.synthetic_tasks import (
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
from hamner.synthetic_tasks.example import Example

__all__ = ["LEVELS", "TASKS", "Example", "generate"]

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
_NAMES = tuple(TASKS)


def generate(rng: random.Random, level: int, task: str | None = None) -> Example:
    """One item of `task` at `level`; a task drawn uniformly when None."""
    if level not in LEVELS:
        raise ValueError(f"synthetic level {level!r} does not exist; levels are 1..5")
    name = rng.choice(_NAMES) if task is None else task
    if name not in TASKS:
        raise ValueError(_unknown_task(name))
    return TASKS[name](rng, level)


def _unknown_task(name: str) -> str:
    close = difflib.get_close_matches(name, _NAMES, n=1, cutoff=0.4)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"unknown synthetic task {name!r}; known tasks: {', '.join(_NAMES)}{hint}"
