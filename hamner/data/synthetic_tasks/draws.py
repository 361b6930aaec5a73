"""Fast random numbers for items by the million: `random.Random` with the same state and quicker small draws.

The standard methods check their arguments and reject bits until a draw is exactly uniform; an item needs ten such
draws, which took most of its time. Here a draw is one multiplication: of n values, none is likelier than another by
more than n / 2**53.
"""

from __future__ import annotations

import random
from collections.abc import MutableSequence, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


class Draws(random.Random):
    """The methods that the tasks use, in a third of the time. Arguments are not checked."""

    def randint(self, a: int, b: int) -> int:
        return a + int(self.random() * (b - a + 1))

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        if stop is None:
            return int(self.random() * start)
        return start + step * int(self.random() * ((stop - start + step - 1) // step))

    def choice(self, seq: Sequence[T]) -> T:  # type: ignore[override]
        return seq[int(self.random() * len(seq))]

    def sample(self, population: Sequence[T], k: int, *, counts: Any = None) -> list[T]:
        """`k` different values, in the order drawn; for small k.

        It would not end if `population` had fewer than k different values.
        """
        draw, length = self.random, len(population)
        drawn: list[T] = []
        while k:
            value = population[int(draw() * length)]
            if value not in drawn:
                drawn.append(value)
                k -= 1
        return drawn

    def shuffle(self, x: MutableSequence[Any]) -> None:
        draw = self.random
        for last in range(len(x) - 1, 0, -1):  # Fisher and Yates
            other = int(draw() * (last + 1))
            x[last], x[other] = x[other], x[last]
