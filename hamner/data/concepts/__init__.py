"""Concepts: small skills that a model is trained on from scratch and tested on, each with items that it never met.

In: a name such as "opposites", "facts50" or "opposites/heldout". Out: items to train on, or those of a test cell. All
are made here, by tables and rules; each concept is refused where a held-out item is among the trained ones (leaks.py).
"""

from __future__ import annotations

import re
from functools import cache

from hamner.config.errors import BadInput, did_you_mean
from hamner.data.concepts import forms
from hamner.data.concepts.item import Concept, Item, evenly
from hamner.data.concepts.leaks import check_concept

__all__ = ["CONCEPTS", "SEVEN", "Concept", "Item", "load_concept", "test_items", "training_items"]

CONCEPTS = {
    "compare": forms.compare,
    "opposites": forms.opposites,
    "qa": forms.qa,
    "echo": forms.echo,
    "number_words": forms.number_words,
    "addition": forms.addition,
    "chat": forms.chat,
    "composite": forms.composite,
}
SEVEN = tuple(CONCEPTS)[:7]
UNTRAINED = {"subtraction": forms.subtraction, "multiplication": forms.multiplication}
TESTS = ("seen", "heldout", "rephrased")  # of a concept


@cache
def load_concept(name: str) -> Concept:
    """A concept by name; factsN has N facts. Raises BadInput for an unknown one, and for one that leaks."""
    if match := re.fullmatch(r"facts(\d+)", name):
        return check_concept(forms.facts(int(match[1])))
    if name not in CONCEPTS:
        raise BadInput(f"unknown concept '{name}'; {did_you_mean(name, list(CONCEPTS))}")
    return check_concept(CONCEPTS[name]())


def training_items(name: str) -> tuple[Item, ...]:
    """The items of a concept that are trained on. Raises BadInput as load_concept does."""
    return load_concept(name).train


def test_items(cell: str) -> tuple[Item, ...]:
    """The items of a cell: CONCEPT/seen, /heldout, /rephrased, or a skill that is never trained on.

    Raises BadInput for an unknown cell.
    """
    if cell in UNTRAINED:
        return UNTRAINED[cell]()
    name, _, test = cell.partition("/")
    if test not in TESTS:
        raise BadInput(f"unknown test '{cell}'; {did_you_mean(test, TESTS)}")
    concept = load_concept(name)
    return evenly(concept.train) if test == "seen" else getattr(concept, test)
