"""Word by word or at once: the same ids, with every tokenizer."""

import random

import numpy as np
import pytest
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from hamner.config.special_tokens import END_OF_TEXT, RESERVED
from hamner.data import synthetic_rows
from hamner.data.synthetic_rows import TOKEN, WordCache
from hamner.data.synthetic_tasks import LEVELS, TASKS, Draws, generate
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


def test_the_cache_does_not_grow_for_ever(ours, monkeypatch):
    monkeypatch.setattr(synthetic_rows, "MOST_WORDS", 50)
    words = WordCache(ours)
    for text in TEXTS:
        assert _ids(words, text) == _expected(ours, text)
        assert len(words._known) <= 50


def test_made_up_words_are_tokenised_as_the_library_does(ours):
    draws = Draws(0)
    for syllables in (2, 3):
        for _ in range(300):
            word = made_up_word(draws, syllables)
            assert ours.encode_later_word(word) == ours.encode(f" {word}")
