"""Rows of synthetic items: never one of the other side of the split; the ids are those of the whole text."""

import random
from collections import Counter

import numpy as np
import pytest
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from hamner.config.errors import BadInput
from hamner.config.special_tokens import END_OF_TEXT, RESERVED
from hamner.data import split
from hamner.data.synthetic_rows import TOKEN, SyntheticRows, WordCache, level_problems
from hamner.data.synthetic_tasks import LEVELS, TASKS, Draws, generate
from hamner.data.synthetic_tasks.texts import generate_texts
from hamner.data.synthetic_tasks.words import made_up_word
from hamner.data.tokenizer import Tokenizer

TEXTS = [
    generate(random.Random(f"{task} {level} {n}"), level, task).text
    for task in TASKS
    for level in LEVELS
    for n in range(40)
]
ODD = [
    "",
    " ",
    "a",
    " a",
    "a ",
    "a  b",
    "a   b",
    "a\n \nb",
    "a  \n b",
    "x\n y\t z",
    "it's we'll 'kite' don't",
    "12 3 -45 6,7",
    "x\ny z",
    "ä ö 日本 語",
    "a\u00a0b c",
    "<|endoftext|> <|im_start|>user",
    "( [ } ]",
    "MAX[3 5]",
    "tab\tand more",
]


def _other(pre_tokenizer):
    """A tokenizer that puts words together across spaces."""
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizer
    inner.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(
            vocab_size=600,
            special_tokens=list(RESERVED),
            show_progress=False,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        ),
    )
    return Tokenizer(inner)


@pytest.fixture(scope="module")
def ours():
    """A tokenizer that splits at spaces."""
    return Tokenizer.train(TEXTS[::2], 700)


def _ids(words, *texts):
    return np.frombuffer(words.pack(texts), TOKEN).tolist()


def _expected(tokenizer, *texts):
    return [token for text in texts for token in [END_OF_TEXT, *tokenizer.encode(text)]]


def test_ids_are_those_of_the_whole_text(ours):
    assert ours.splits_at_spaces
    words = WordCache(ours)
    for text in [*TEXTS, *ODD, *TEXTS[::-1]]:
        assert _ids(words, text) == _expected(ours, text), text
    for texts in [(), TEXTS[:50], ODD, ["one two", "three"], ["one ", "two"], ["one", " two"], ["one", "", "two"]]:
        assert _ids(words, *texts) == _expected(ours, *texts), texts


@pytest.mark.parametrize(
    "pre_tokenizer",
    [
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        pre_tokenizers.ByteLevel(add_prefix_space=True),
        pre_tokenizers.Sequence(
            [pre_tokenizers.Split("e", "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        ),
    ],
)
def test_a_tokenizer_that_may_join_words_is_asked_for_whole_texts(pre_tokenizer):
    other = _other(pre_tokenizer)
    assert not other.splits_at_spaces
    words = WordCache(other)
    assert all(_ids(words, text) == _expected(other, text) for text in [*TEXTS, *ODD])


def test_the_cache_does_not_grow_for_ever(ours):
    words = WordCache(ours, max_words=50)
    for text in TEXTS:
        assert _ids(words, text) == _expected(ours, text)
        assert len(words) <= 50


def test_made_up_words_are_tokenised_as_the_library_does(ours):
    draws = Draws(0)
    for syllables in (2, 3):
        for _ in range(300):
            word = made_up_word(draws, syllables)
            assert ours.encode_after_space(word) == ours.encode(f" {word}")


# --- rows ---


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(["True or false: sort, count: which is bigger 0123456789 yes no = + - * ->"], 290)


@pytest.mark.parametrize(("seq_len", "fraction"), [(0, 0.05), (8, 0.0), (8, 1.0), (8, float("nan"))])
def test_synthetic_rows_that_would_never_be_full_are_bad_input(tokenizer, seq_len, fraction):
    with pytest.raises(BadInput, match=f"synthetic rows of {seq_len} tokens with {fraction} of"):
        SyntheticRows(tokenizer, seq_len, 0, fraction, held_out=True)


@pytest.mark.parametrize("levels", [(), (1.0,) * 6, (0.5, 0.6), (1.5, -0.5), (float("nan"),)])
def test_levels_that_are_no_shares_are_named(levels):
    assert len(list(level_problems(levels))) == 1 and "levels" in next(level_problems(levels))
    assert not list(level_problems((0.1, 0.2, 0.7)))


def _items(tokenizer, rows, count, level):
    """Whole items among the first rows: the last of a row may be cut."""
    items = Counter()
    for index in range(count):
        ids = rows.row(index, (0,) * (level - 1) + (1.0,)).tolist()
        ends = [place for place, token in enumerate(ids) if token == END_OF_TEXT]
        for first, last in zip([-1, *ends], ends, strict=False):
            items[tokenizer.decode(ids[first + 1 : last])] += 1
    return items


@pytest.mark.parametrize("level", [1, 3, 5])
def test_synthetic_training_and_heldout_items_are_disjoint(tokenizer, level):
    training = _items(tokenizer, SyntheticRows(tokenizer, 256, 0, 0.05), 60, level)
    heldout = _items(tokenizer, SyntheticRows(tokenizer, 256, 0, 0.05, held_out=True), 20, level)
    assert sum(training.values()) > 100 and len(heldout) > 20
    assert not training.keys() & heldout.keys()
    assert max(split.unit_hash(item) for item in heldout) < 0.05 <= min(split.unit_hash(item) for item in training)


def test_synthetic_row_is_the_same_for_the_same_index(tokenizer):
    def rows(seed=0, **more):
        return SyntheticRows(tokenizer, 64, seed, 0.05, **more)

    backwards, forwards = rows(), rows()
    two, three = (0.3, 0.7), (0.1, 0.2, 0.7)
    later = [backwards.row(n, two).tolist() for n in reversed(range(6))][::-1]
    assert later == [forwards.row(n, two).tolist() for n in range(6)]
    assert all(len(row) == 64 for row in later)
    others = [rows(seed=1).row(0, two), rows().row(0, three), rows().row(1, two), rows(held_out=True).row(0, two)]
    assert len({tuple(row) for row in [later[0], *others]}) == 5


@pytest.mark.parametrize("seq_len", [1, 50, 256, 20_000])
def test_every_synthetic_row_begins_with_an_item(tokenizer, seq_len):
    """An item cut off at the end of a row is not read on at the beginning of the next."""
    rows = SyntheticRows(tokenizer, seq_len, 0, 0.05)
    firsts = Counter(int(rows.row(index, (0.5, 0.5))[0]) for index in range(min(900, 10**6 // seq_len)))
    begin = {tokenizer.encode(text)[0] for text in generate_texts(Draws(0), (0.5, 0.5), 4000)}
    assert set(firsts) <= begin
    assert all(len(rows.row(index, (0.5, 0.5))) == seq_len for index in range(3))


def test_no_item_is_read_twice_because_rows_are_drawn_together(tokenizer):
    """Level 5 has so many items that chance repeats hardly any."""
    items = _items(tokenizer, SyntheticRows(tokenizer, 256, 0, 0.05), 400, 5)
    recall = [text for text in items if "." in text]
    assert len(recall) > 200 and max(items[text] for text in recall) == 1


def test_easier_levels_stay_in_the_rows(tokenizer):
    """Arithmetic of level 1 reaches 10 and has two numbers, that of level 5 has three: both are there, as asked."""
    rows = SyntheticRows(tokenizer, 256, 0, 0.05)
    items = Counter()
    for index in range(900):
        ids = rows.row(index, (0.3, 0, 0, 0, 0.7)).tolist()
        for text in _texts(tokenizer, ids):
            if text.startswith("Calculate: ") and "=" in text:
                items[len(text.split("=")[0].split()) > 4] += 1
    share = items[True] / items.total()
    assert items.total() > 300 and abs(share - 0.7) < 0.09


def _texts(tokenizer, ids):
    ends = [place for place, token in enumerate(ids) if token == END_OF_TEXT]
    return [tokenizer.decode(ids[first + 1 : last]) for first, last in zip([-1, *ends], ends, strict=False)]
