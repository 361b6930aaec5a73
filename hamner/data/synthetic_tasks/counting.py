"""Counting: `Count the items: acorn, kite, oven. Answer: ` answer `3`.

| level | all items (different words) | one word among others, half of the items from level 3 on        |
|-------|-----------------------------|------------------------------------------------------------------|
| 1     | 2-4                         | -                                                                |
| 2     | 2-6                         | -                                                                |
| 3     | 2-8                         | `Count 'kite' in: ...` in 5-8 words, answer 0-4                  |
| 4     | 2-10                        | 6-10 words, answer 0-5                                           |
| 5     | 2-12                        | 7-12 words, answer 0-6                                           |

Every answer of a form is equally likely. In the second form the list's length is drawn apart from the answer
and the other words repeat as well, so neither the length nor "the word that repeats" gives the answer away.
"""

import random

from hamner.data.synthetic_tasks.example import Example
from hamner.data.synthetic_tasks.words import NOUNS


def generate(rng: random.Random, level: int) -> Example:
    if level >= 3 and rng.random() < 0.5:
        return _count_one_word(rng, level)
    count = rng.randint(2, 2 * level + 2)
    items = ", ".join(rng.sample(NOUNS, count))
    return Example("counting", level, f"Count the items: {items}. Answer: ", str(count))


def _count_one_word(rng: random.Random, level: int) -> Example:
    most = level + 1
    length = rng.randint(most + 1, 2 * level + 2)
    count = rng.randint(0, most)
    target, *others = rng.sample(NOUNS, 5)
    words = [target] * count + rng.choices(others, k=length - count)
    rng.shuffle(words)
    return Example("counting", level, f"Count '{target}' in: {', '.join(words)}. Answer: ", str(count))
