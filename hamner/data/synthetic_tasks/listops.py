"""List operations: `[MAX 3 [MIN 7 2] 5] = ` answer `5`; MAX, MIN and SUM over digits and inner lists.

| level | arguments per list | nesting                                          |
|-------|--------------------|--------------------------------------------------|
| 1     | 2-4                | none (33,300 distinct items)                     |
| 2     | 2-5                | none                                             |
| 3     | 2-4                | one inner list, each other argument with p = 0.3 |
| 4     | 2-5                | as level 3                                       |
| 5     | 2-4                | as level 3, and inner lists may nest once more   |
"""

import random
from collections.abc import Callable, Iterable

from hamner.data.synthetic_tasks.example import Example

_OPERATIONS: dict[str, Callable[[Iterable[int]], int]] = {"MAX": max, "MIN": min, "SUM": sum}
_NAMES = tuple(_OPERATIONS)
_MOST_ARGUMENTS = {1: 4, 2: 5, 3: 4, 4: 5, 5: 4}
_DEPTH = {1: 0, 2: 0, 3: 1, 4: 1, 5: 2}
_NEST_PROBABILITY = 0.3


def generate(rng: random.Random, level: int) -> Example:
    text, value = _list(rng, _MOST_ARGUMENTS[level], _DEPTH[level], must_nest=True)
    return Example("listops", level, f"{text} = ", str(value))


def _list(rng: random.Random, most_arguments: int, depth: int, must_nest: bool) -> tuple[str, int]:
    """A list that may nest `depth` times more, and its value; with `must_nest`, one argument is a list."""
    name = rng.choice(_NAMES)
    count = rng.randint(2, most_arguments)
    certain = rng.randrange(count) if must_nest else None
    texts, values = [name], []
    for place in range(count):
        if depth and (place == certain or rng.random() < _NEST_PROBABILITY):
            text, value = _list(rng, most_arguments, depth - 1, must_nest=False)
        else:
            value = rng.randint(0, 9)
            text = str(value)
        texts.append(text)
        values.append(value)
    return f"[{' '.join(texts)}]", _OPERATIONS[name](values)
