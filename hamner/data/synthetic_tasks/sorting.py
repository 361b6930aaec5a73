"""Sorting: `Sort: 7 2 9 -> ` answer `2 7 9`; numbers may repeat.

| level | numbers | range | direction                               |
|-------|---------|-------|-----------------------------------------|
| 1     | 3-4     | 0-10  | rising (16 thousand distinct items)     |
| 2     | 3-5     | 0-20  | rising                                  |
| 3     | 3-6     | 0-30  | rising                                  |
| 4     | 3-7     | 0-40  | 40 % falling, `Sort descending: ...`    |
| 5     | 3-8     | 0-50  | 40 % falling                            |
"""

import random

from hamner.data.synthetic_tasks.example import Example

_FALLING_FRACTION = 0.4


def generate(rng: random.Random, level: int) -> Example:
    count = rng.randint(3, level + 3)
    numbers = [rng.randint(0, 10 * level) for _ in range(count)]
    falling = level >= 4 and rng.random() < _FALLING_FRACTION
    command = "Sort descending:" if falling else "Sort:"
    answer = sorted(numbers, reverse=falling)
    return Example("sorting", level, f"{command} {_join(numbers)} -> ", _join(answer))


def _join(numbers: list[int]) -> str:
    return " ".join(map(str, numbers))
