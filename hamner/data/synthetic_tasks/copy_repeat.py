"""Copying: `Repeat 3 times: kettle -> ` answer `kettle kettle kettle`.

| level | times | what is repeated                                                                     |
|-------|-------|--------------------------------------------------------------------------------------|
| 1     | 2-3   | a word: one in four a common noun, else made up from two syllables                   |
| 2     | 2-4   | the same                                                                             |
| 3     | 2-5   | a made-up word of three syllables; 40 % a phrase of two or three words, joined by \\| |
| 4     | 2-6   | the same                                                                             |
| 5     | 2-7   | the same                                                                             |

Made-up words keep the space large (over 50,000 words of two syllables) and can only be copied, not recalled.
"""

import random

from hamner.data.synthetic_tasks.example import Example
from hamner.data.synthetic_tasks.words import DESCRIBING, NOUNS, made_up_word

_PHRASE_FRACTION = 0.4
_NOUN_FRACTION = 0.25


def generate(rng: random.Random, level: int) -> Example:
    times = rng.randint(2, level + 2)
    separator = " "
    if level >= 3 and rng.random() < _PHRASE_FRACTION:
        text, separator = _phrase(rng), " | "
    elif level < 3 and rng.random() < _NOUN_FRACTION:
        text = rng.choice(NOUNS)
    else:
        text = made_up_word(rng, syllables=3 if level >= 3 else 2)
    return Example("copy_repeat", level, f"Repeat {times} times: {text} -> ", separator.join([text] * times))


def _phrase(rng: random.Random) -> str:
    noun = rng.choice(NOUNS) if rng.random() < 0.5 else made_up_word(rng, syllables=2)
    return " ".join([*rng.sample(DESCRIBING, rng.randint(1, 2)), noun])
