"""Brackets: `Brackets: ( [ ] ) Valid: ` answer `yes`, or `no` for exactly half of all draws.

| level | depth at most | kinds of bracket                        | pairs |
|-------|---------------|-----------------------------------------|-------|
| 1     | 2             | one per item, any of ( [ { <            | 1-5   |
| 2     | 3             | two per item                            | 2-6   |
| 3     | 4             | three per item                          | 3-7   |
| 4     | 5             | three per item                          | 3-8   |
| 5     | 6             | four                                    | 4-9   |

Half of the items also hold one to three nouns at any place (`( kite [ ] )`), which change nothing; at level 1
they are what makes the space large (bare, there are only some hundreds). A `no` is a valid string with one
bracket replaced or two swapped, so it is as long as a `yes` and often has the right counts: only the nesting
decides.
"""

import random

from hamner.data.synthetic_tasks.example import Example
from hamner.data.synthetic_tasks.words import NOUNS

PAIRS = (("(", ")"), ("[", "]"), ("{", "}"), ("<", ">"))
_CLOSER = dict(PAIRS)
_KINDS = {1: 1, 2: 2, 3: 3, 4: 3, 5: 4}
_PAIR_COUNT = {1: (1, 5), 2: (2, 6), 3: (3, 7), 4: (3, 8), 5: (4, 9)}


def generate(rng: random.Random, level: int) -> Example:
    kinds = rng.sample(PAIRS, _KINDS[level])
    symbols = _balanced(rng, kinds, rng.randint(*_PAIR_COUNT[level]), most_depth=level + 1)
    answer = rng.choice(("yes", "no"))
    if answer == "no":
        symbols = _spoil(rng, symbols, [symbol for pair in kinds for symbol in pair])
    if rng.random() < 0.5:
        for noun in rng.sample(NOUNS, rng.randint(1, 3)):
            symbols.insert(rng.randint(0, len(symbols)), noun)
    return Example("brackets", level, f"Brackets: {' '.join(symbols)} Valid: ", answer)


def _balanced(rng: random.Random, kinds: list[tuple[str, str]], pairs: int, most_depth: int) -> list[str]:
    symbols: list[str] = []
    waiting: list[str] = []  # closers still owed, innermost last
    to_open = pairs
    while to_open or waiting:
        if to_open and (not waiting or (len(waiting) < most_depth and rng.random() < 0.55)):
            opener, closer = rng.choice(kinds)
            symbols.append(opener)
            waiting.append(closer)
            to_open -= 1
        else:
            symbols.append(waiting.pop())
    return symbols


def _spoil(rng: random.Random, symbols: list[str], alphabet: list[str]) -> list[str]:
    """The same number of symbols, but not balanced any more."""
    while True:
        spoiled = list(symbols)
        place = rng.randrange(len(symbols))
        if rng.random() < 0.5:
            spoiled[place] = rng.choice(alphabet)
        else:
            other = rng.randrange(len(symbols))
            spoiled[place], spoiled[other] = spoiled[other], spoiled[place]
        if not _is_balanced(spoiled):
            return spoiled


def _is_balanced(symbols: list[str]) -> bool:
    waiting: list[str] = []
    for symbol in symbols:
        if symbol in _CLOSER:
            waiting.append(_CLOSER[symbol])
        elif not waiting or waiting.pop() != symbol:
            return False
    return not waiting
