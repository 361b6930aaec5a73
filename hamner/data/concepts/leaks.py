"""Leakage between train and test (contamination): a held-out item that training shows, reversed or in other words.

In: a concept. Out: nothing, or a BadInput with every leak. It is asked each time that concepts are loaded.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from hamner.config.errors import BadInput
from hamner.data.concepts.item import Concept, Item

MOST_NAMED = 5  # leaks that a message names


def check_concept(concept: Concept) -> Concept:
    """The concept. Raises BadInput where its held-out items are among the trained ones, or an item contradicts itself.

    Two items are one where their parts are, in any order and with any words around, or where their questions read
    alike but for case, signs and spaces.
    """
    problems = [*_leaks(concept), *_broken(concept)]
    if problems:
        more = [f"and {len(problems) - MOST_NAMED} more"] if len(problems) > MOST_NAMED else []
        raise BadInput([f"concept '{concept.name}': {line}" for line in [*problems[:MOST_NAMED], *more]])
    return concept


def normal_text(text: str) -> str:
    """Letters, digits and arithmetic signs alone, in lower case, with single spaces between words."""
    return " ".join(re.findall(r"[^\W_]+|[-+*=]", text.casefold()))


def _leaks(concept: Concept) -> Iterator[str]:
    identities = {item.identity: item for item in concept.train}
    prompts = {normal_text(item.prompt): item for item in concept.train}
    words = defaultdict[str, list[Item]](list)
    for item in concept.train:
        for word in set(normal_text(item.text).split()):
            words[word].append(item)
    for item in concept.heldout:
        twin = identities.get(item.identity) or prompts.get(normal_text(item.prompt)) or _hidden(item, words)
        if twin:
            yield f"'{item.text}' is held out and trained on as '{twin.text}': take it out of one of the two"


def _hidden(item: Item, words: dict[str, list[Item]]) -> Item | None:
    """A trained item that names all parts of a held-out one, whatever its own parts say."""
    if any(part.isdigit() for part in item.parts):  # a number is in many sums
        return None
    parts = [normal_text(part) for part in item.parts]
    rare = min((words.get(word, []) for part in parts for word in part.split()), key=len, default=[])
    return next((one for one in rare if all(f" {p} " in f" {normal_text(one.text)} " for p in parts)), None)


def _broken(concept: Concept) -> Iterator[str]:
    """Items whose parts their text does not show, and questions with two answers."""
    answers: dict[str, str] = {}
    for item in (*concept.train, *concept.heldout, *concept.rephrased):
        text = f" {normal_text(item.text)} "
        missing = [part for part in item.parts if f" {normal_text(part)} " not in text]
        if missing or not item.parts:
            yield f"'{item.text}' does not say {', '.join(missing) or 'what it is about'}: mend its parts"
        if item.candidates and item.candidates.count(item.answer) != 1:
            yield f"'{item.text}': the right answer must be among the candidates once"
        if answers.setdefault(item.prompt, item.answer) != item.answer:
            yield f"'{item.prompt}' has two answers, {answers[item.prompt]} and {item.answer}: take one out"
