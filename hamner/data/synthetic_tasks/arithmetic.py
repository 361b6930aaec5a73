"""Arithmetic: `Calculate: 10 - 4 = ` answer `6`. Results may be negative.

| level | operands                        | operators        | distinct items |
|-------|---------------------------------|------------------|----------------|
| 1     | 1-10                            | + -              | 200            |
| 2     | 1-20                            | + -              | 800            |
| 3     | 1-100                           | + - *            | 30,000         |
| 4     | 10-500                          | + - *            | 723,243        |
| 5     | A, B 10-500, C 1-200            | two of + -       | about 193 million |

Levels 1 to 3 are as small as these numbers are: a model may memorise them, which is what people do with them
too.
"""

import operator
import random

from hamner.data.synthetic_tasks.example import Example

_OPERATIONS = {"+": operator.add, "-": operator.sub, "*": operator.mul}
_RANGE = {1: (1, 10), 2: (1, 20), 3: (1, 100), 4: (10, 500), 5: (10, 500)}
_SYMBOLS = {1: "+-", 2: "+-", 3: "+-*", 4: "+-*", 5: "+-"}
_THIRD_OPERAND = (1, 200)


def generate(rng: random.Random, level: int) -> Example:
    low, high = _RANGE[level]
    first, second = rng.randint(low, high), rng.randint(low, high)
    symbol = rng.choice(_SYMBOLS[level])
    result = _OPERATIONS[symbol](first, second)
    sum_text = f"{first} {symbol} {second}"
    if level == 5:
        third, symbol = rng.randint(*_THIRD_OPERAND), rng.choice(_SYMBOLS[level])
        result = _OPERATIONS[symbol](result, third)
        sum_text += f" {symbol} {third}"
    return Example("arithmetic", level, f"Calculate: {sum_text} = ", str(result))
