"""Templates to text: `[red|blue]` picks one alternative, `{name}` or `{hero.his}` inserts a value.

    fill(rng, "[Once|One day], {hero.name} found a {thing}.", {"hero": hero, "thing": "apple"})

Alternatives nest and may be empty. Templates need not care what a value begins with: once per document,
`finish` turns "a" into "an" where it belongs and gives every sentence its capital.
"""

import functools
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
_Parts = tuple["str | tuple[_Parts, ...]", ...]

_TOKEN = re.compile(r"[\[\]|]|[^\[\]|]+")
# Words that begin with a vowel letter but a consonant sound stay with "a"; the pools hold no silent h.
_BEFORE_VOWEL = re.compile(r"\b([Aa])(?= (?!one\b|once\b|use|uni)[aeiouAEIOU])")

_LOWER_AFTER_STOP = re.compile(r"(?<=[.!?] )[a-z]")


def pick(rng: random.Random, options: Sequence[T]) -> T:
    """As `rng.choice`, at a third of its cost; documents need hundreds of draws."""
    return options[int(rng.random() * len(options))]


def fill(rng: random.Random, template: str, values: Mapping[str, Any]) -> str:
    """A random reading of `template`, with the values in it and a capital at its start."""
    text = _choose(rng, _parse(template)).format_map(values)
    return text[:1].upper() + text[1:]


def finish(text: str) -> str:
    """`text` with the right articles and capitals; a quotation's `?" asked` is left alone."""
    text = _LOWER_AFTER_STOP.sub(lambda match: match.group().upper(), text)
    return _BEFORE_VOWEL.sub(r"\1n", text)


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _choose(rng: random.Random, parts: _Parts) -> str:
    if len(parts) == 1 and isinstance(parts[0], str):
        return parts[0]
    return "".join([part if isinstance(part, str) else _choose(rng, pick(rng, part)) for part in parts])


@functools.cache
def _parse(template: str) -> _Parts:
    tokens = _TOKEN.findall(template)
    tokens.reverse()  # pop() takes them from the front
    parts = _parse_alternatives(tokens, closed_by=None)
    if len(parts) != 1:
        raise ValueError(f"'|' outside of brackets in template {template!r}")
    return parts[0]


def _parse_alternatives(tokens: list[str], closed_by: str | None) -> tuple[_Parts, ...]:
    alternatives: list[list[str | tuple[_Parts, ...]]] = [[]]
    while tokens:
        token = tokens.pop()
        if token == "[":
            alternatives[-1].append(_parse_alternatives(tokens, closed_by="]"))
        elif token == "|":
            alternatives.append([])
        elif token == "]":
            if closed_by is None:
                raise ValueError("']' without '[' in a template")
            return tuple(tuple(parts) for parts in alternatives)
        else:
            alternatives[-1].append(token)
    if closed_by is not None:
        raise ValueError("'[' without ']' in a template")
    return tuple(tuple(parts) for parts in alternatives)
