"""Texts of many synthetic items at once, by the shares of their levels."""

import itertools
import random
from collections.abc import Sequence

import numpy as np

from hamner.data.synthetic_tasks import TASKS

_TASKS = tuple(TASKS.values())


def generate_texts(rng: random.Random, levels: Sequence[float], count: int) -> list[str]:
    """Texts of `count` items, of tasks drawn uniformly and of level 1, 2, ... by their shares, in random order.

    The number of each task and level is drawn first, and they are generated kind after kind, in a fifth less time than
    one by one. `levels` sum to 1.
    """
    numbers = np.random.default_rng(rng.getrandbits(64))
    shares = np.tile(np.asarray(levels, dtype=float) / sum(levels) / len(_TASKS), len(_TASKS))
    kinds = itertools.product(_TASKS, range(1, len(levels) + 1))
    texts = [
        task(rng, level).text
        for (task, level), number in zip(kinds, numbers.multinomial(count, shares).tolist(), strict=True)
        for _ in range(number)
    ]
    return [texts[place] for place in numbers.permutation(count).tolist()]
