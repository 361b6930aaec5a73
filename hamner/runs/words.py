"""Misspelt words of a command line: what a word that is no key=value, or an option nobody knows, was meant to be.

Data in: the words, and what the command knows. Data out: one line a slip, with what to type instead.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from hamner.config.errors import did_you_mean
from hamner.runs.files import LONGEST_NAME

PAIRS = {"[": "]", "{": "}"}


def unknown_options(unknown: Sequence[str], options: Sequence[str], keys: Sequence[str]) -> list[str]:
    """One line for each word that argparse could not place. keys: of the config, where the command takes key=value."""
    problems = []
    for word in unknown:
        name, _, value = word.lstrip("-").partition("=")
        key = name.replace("-", "_")
        if not word.startswith("-"):
            problems.append(f"'{word}' is one word too many: leave it out, or quote a text of several words")
        elif key in keys:
            problems.append(f"unknown option '{word}'; {name} is a key of the config: use {key}={value or 'VALUE'}")
        else:
            problems.append(f"unknown option '{word}'; {did_you_mean(word.partition('=')[0], options)}")
    return problems


def misplaced_words(words: Sequence[str], options: Sequence[str], keys: Sequence[str]) -> list[str]:
    """One line for each of the `key=value` words that is none, and for each pair that spaces have torn apart."""
    problems = []
    for group in _joined(words):
        typed, together = " ".join(group), "".join(group)
        if len(group) > 1:
            if together.startswith("lr=") and not together[3:].isalpha():
                together = together.replace("lr=", "learning_rate=", 1)
            typed_right = shlex.quote(together)
            problems.append(
                f"'{typed}' came as {len(group)} words: no spaces around = or in the value. Use {typed_right}"
            )
        elif "=" not in typed or typed.startswith("="):
            problems.append(f"'{typed}' is not key=value{_meant(typed, options, keys)}")
    return problems


def _joined(words: Sequence[str]) -> Iterator[list[str]]:
    """The words, and together those that were one before spaces: `lr = 1`, `steps=[1, 2]`, `a= b`."""
    rest = list(words)
    while rest:
        group = [rest.pop(0)]
        if rest and "=" not in group[0] and rest[0].startswith("="):
            group.append(rest.pop(0))
        if rest and group[-1].endswith("=") and "=" not in rest[0]:
            group.append(rest.pop(0))
        while rest and "=" in "".join(group) and _is_open("".join(group)):
            group.append(rest.pop(0))
        yield group


def _is_open(text: str) -> bool:
    """Whether a bracket is not closed yet."""
    return any(text.count(opening) > text.count(closing) for opening, closing in PAIRS.items())


def _meant(word: str, options: Sequence[str], keys: Sequence[str]) -> str:
    """What a single word was meant to be; empty where nothing is near."""
    from hamner.config.load import config_names
    from hamner.config.presets import CONTESTANTS, PRESETS

    if word in config_names() or word.endswith((".toml", ".json")):
        return f"; did you mean `--config {word}`?"
    if word in ("hub", "builtin") or (len(word) <= LONGEST_NAME and Path(word).is_dir()):
        return f"; did you mean `--data {word}`?"
    if f"--{word}" in options:
        return f"; did you mean `--{word}`?"
    if word in CONTESTANTS and "--only" in options:
        return f"; did you mean `--only {word}`?"
    if word in ("winner", *CONTESTANTS, *PRESETS) and "--only" not in options:
        return ": only one model is trained, leave out the others"
    if word in keys:
        return f": give it a value, as in `{word}=VALUE`"
    key, colon, value = word.partition(":")
    if colon and key in keys:
        return f"; did you mean `{key}={value}`?"
    return f": {_nearest(word, [*config_names(), *(option.lstrip('-') for option in options), *keys], options)}"


def _nearest(word: str, known: Sequence[str], options: Sequence[str]) -> str:
    """The nearest of the names that could have been meant, as it is typed."""
    from difflib import get_close_matches

    from hamner.config.load import config_names

    near = get_close_matches(word, known, n=1)
    if not near:
        return "write the key of the config, '=' and the value, without spaces"
    if near[0] in config_names():
        return f"did you mean `--config {near[0]}`?"
    return f"did you mean `--{near[0]}`?" if f"--{near[0]}" in options else f"did you mean `{near[0]}=VALUE`?"


def values_of(unknown: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """The words right after unknown options: they are those options' values, and no slips of their own."""
    return [after for word, after in pairwise(arguments) if word in unknown and word.startswith("-")]
