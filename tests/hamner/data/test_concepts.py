"""Concepts: enough items, no leak between train and held out in any form, rows that differ in the loss alone."""

from dataclasses import replace

import numpy as np
import pytest

from hamner.config.errors import BadInput
from hamner.config.special_tokens import END_OF_TEXT
from hamner.data.concept_rows import ConceptRows
from hamner.data.concepts import CONCEPTS, SEVEN, Item, load_concept, training_items
from hamner.data.concepts import test_items as items_of_cell
from hamner.data.concepts.forms import in_words, invented_name
from hamner.data.concepts.leaks import check_concept, normal_text
from hamner.data.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train([item.text for name in CONCEPTS for item in training_items(name)], 700)


@pytest.mark.parametrize("name", SEVEN)
def test_the_sides_share_no_item_whatever_its_order_and_words(name):
    concept = load_concept(name)
    trained = {frozenset(item.identity) for item in concept.train}
    assert len(concept.heldout) >= 60 and not {frozenset(item.identity) for item in concept.heldout} & trained
    assert {frozenset(item.identity) for item in concept.rephrased} <= trained
    asked = {normal_text(item.prompt) for item in concept.train}
    assert not asked & {normal_text(item.prompt) for item in (*concept.heldout, *concept.rephrased)}


@pytest.mark.parametrize("name", ["compare", "echo", "number_words", "addition"])
@pytest.mark.parametrize("test", ["seen", "heldout", "rephrased"])
def test_cells_of_generators_have_items_for_five_points(name, test):
    assert len(items_of_cell(f"{name}/{test}")) == 400


def test_answers_are_right():
    assert all(int(item.answer) == int(item.parts[0]) + int(item.parts[1]) for item in training_items("addition"))
    assert all(int(i.answer) == int(i.parts[0]) - int(i.parts[1]) for i in items_of_cell("subtraction"))
    for item in load_concept("compare").heldout:
        a, b = map(int, item.parts)
        assert item.answer == ("yes" if (a > b) == (" more " in item.prompt) else "no"), item
    assert [in_words(n) for n in (12, 40, 99, 100, 305, 999)] == [
        "twelve",
        "forty",
        "ninety nine",
        "one hundred",
        "three hundred and five",
        "nine hundred and ninety nine",
    ]
    assert len({invented_name(number) for number in range(2000)}) == 2000


LEAKS = {  # held out although "hot is the opposite of cold" is trained on
    "itself": Item("The opposite of hot is", "cold", ("hot", "cold")),
    "reversed": Item("The opposite of cold is", "hot", ("cold", "hot")),
    "in other words": Item("Name what is not hot:", "cold", ("hot", "cold")),
    "shouted": Item("THE OPPOSITE OF  HOT, IS", "cold", ("THE",)),
    "under wrong parts": Item("Is cold what hot is not? It is", "cold", ("cold", "hot", "is")),
}


@pytest.mark.parametrize("form", LEAKS)
def test_a_planted_leak_is_refused(form):
    concept = load_concept("opposites")
    train = (*concept.train, Item("The opposite of hot is", "cold", ("hot", "cold")))
    clean = tuple(item for item in concept.heldout if not {"hot", "cold"} & set(item.parts))
    check_concept(replace(concept, train=train, heldout=clean))
    with pytest.raises(BadInput, match="held out and trained on"):
        check_concept(replace(concept, train=train, heldout=(*clean, LEAKS[form])))


def test_a_pair_in_the_other_order_is_a_leak_of_sums_too():
    concept = load_concept("addition")
    a, b = concept.heldout[0].parts
    planted = Item(f"{b} + {a} =", concept.heldout[0].answer, (b, a))
    with pytest.raises(BadInput, match="addition"):
        check_concept(replace(concept, train=(*concept.train, planted)))


def test_items_that_contradict_each_other_or_themselves_are_refused():
    concept = load_concept("qa")
    twice = replace(concept.train[0], answer="other", parts=(concept.train[0].parts[0],))
    nothing = Item("What?", "that", ("elephant",))
    choice = replace(load_concept("chat").train[0], candidates=("one", "two"))
    with pytest.raises(BadInput) as error:
        check_concept(replace(concept, train=(*concept.train, twice, nothing, choice)))
    assert len(error.value.problems) == 3


def test_unknown_names_are_refused():
    for call, name in ((load_concept, "oposites"), (items_of_cell, "qa/unseen")):
        with pytest.raises(BadInput, match="unknown"):
            call(name)


def test_masked_and_packed_rows_hold_the_same_items_and_differ_in_the_loss(tokenizer):
    items = training_items("qa")
    masked, packed = (ConceptRows(tokenizer, items, 64, "qa", 5, is_masked=flag) for flag in (True, False))
    for index in range(20):
        one, other = masked.row(index), packed.row(index)
        plain = np.where(one < 0, ~one, one)
        assert np.array_equal(plain, np.where(other < 0, ~other, other))
        documents = tokenizer.decode(plain).count("Q:")
        answers = [part for part in " ".join(str(t) for t in one).split(f" {END_OF_TEXT}") if part.strip()]
        assert documents >= 2 and len(answers) >= documents
        assert (other >= 0).sum() > 2 * (one >= 0).sum() > 0
        ends = (one == END_OF_TEXT).sum()
        assert ends == documents  # each answer's end is trained on, the filling behind the last is not
    assert np.array_equal(masked.row(3), ConceptRows(tokenizer, items, 64, "qa", 5, is_masked=True).row(3))
    assert not np.array_equal(masked.row(3), ConceptRows(tokenizer, items, 64, "qa", 6, is_masked=True).row(3))


def test_an_item_longer_than_a_row_is_refused(tokenizer):
    with pytest.raises(BadInput, match=r"concepts\.seq_len"):
        ConceptRows(tokenizer, training_items("chat"), 8, "chat", 0, is_masked=True)
