"""Comparison: `Which is bigger: 70 or 46? ` answer `70`; equally often the first and the second.

| level | item                                                                            |
|-------|---------------------------------------------------------------------------------|
| 1     | bigger of two, 0-100 (10,100 distinct items)                                    |
| 2     | bigger of two, 0-200                                                            |
| 3     | bigger or smaller of two, 0-500                                                 |
| 4     | `Find the largest: 893, 203, 750. Answer: `, largest or smallest of 3-4, 1-1000 |
| 5     | `Which is bigger: 38+23 or 19*4? `, a sum against a product                     |

The answer at level 5 is the bigger expression, or `equal` (10 %). The winner is drawn first and the sum then
set 1-30 above or below the product, so that neither kind, neither side nor the mere size of a number gives
the answer away.
"""

import random

from hamner.data.synthetic_tasks.example import Example

_HIGHEST = {1: 100, 2: 200, 3: 500}
_EQUAL_FRACTION = 0.1
_MOST_DIFFERENCE = 30


def generate(rng: random.Random, level: int) -> Example:
    if level == 5:
        return _sum_or_product(rng, level)
    if level == 4:
        return _extreme(rng, level)
    first, second = rng.sample(range(_HIGHEST[level] + 1), 2)
    word = "smaller" if level == 3 and rng.random() < 0.5 else "bigger"
    answer = max(first, second) if word == "bigger" else min(first, second)
    return Example("comparison", level, f"Which is {word}: {first} or {second}? ", str(answer))


def _extreme(rng: random.Random, level: int) -> Example:
    numbers = rng.sample(range(1, 1001), rng.randint(3, 4))
    word = rng.choice(("largest", "smallest"))
    answer = max(numbers) if word == "largest" else min(numbers)
    listed = ", ".join(map(str, numbers))
    return Example("comparison", level, f"Find the {word}: {listed}. Answer: ", str(answer))


def _sum_or_product(rng: random.Random, level: int) -> Example:
    left, right = rng.randint(2, 20), rng.randint(2, 12)
    product = left * right
    if rng.random() < _EQUAL_FRACTION:
        total, winner = product, "equal"
    elif rng.random() < 0.5:
        total, winner = product + rng.randint(1, _MOST_DIFFERENCE), "sum"
    else:
        total, winner = product - rng.randint(1, min(_MOST_DIFFERENCE, product - 2)), "product"
    addend = rng.randint(1, total - 1)
    answers = {"sum": f"{addend}+{total - addend}", "product": f"{left}*{right}", "equal": "equal"}
    sides = [answers["sum"], answers["product"]]
    rng.shuffle(sides)
    return Example("comparison", level, f"Which is bigger: {sides[0]} or {sides[1]}? ", answers[winner])
