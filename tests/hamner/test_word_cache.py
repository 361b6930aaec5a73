"""Word by word or at once: the same ids, with every tokenizer."""

import random

import pytest
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from hamner import word_cache
from hamner.synthetic_tasks import LEVELS, TASKS, generate
from hamner.tokenizer import RESERVED, Tokenizer
from hamner.word_cache import WordCache

TEXTS = [generate(random.Random(f"{task} {level} {n}"), level, task).text
         for task in TASKS for level in LEVELS for n in range(40)]
ODD = ["", " ", "a", " a", "a ", "a  b", "a   b", "a\n \nb", "a  \n b", "x\n y\t z", "it's we'll 'kite' don't",
       "12 3 -45 6,7", "x\ny z",
       "ä ö 日本 語", "a\u00a0b c", "<|endoftext|> <|im_start|>user", "( [ } ]", "MAX[3 5]", "tab\tand more"]


def _other(pre_tokenizer):
    """A tokenizer that puts words together across spaces."""
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizer
    inner.train_from_iterator(TEXTS, trainers.BpeTrainer(
        vocab_size=600, special_tokens=list(RESERVED), show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    return Tokenizer(inner)


@pytest.fixture(scope="module")
def ours():
    return Tokenizer.train(TEXTS[::2], 700)


def test_ids_are_those_of_the_whole_text(ours):
    assert ours.splits_at_spaces
    words = WordCache(ours)
    for text in [*TEXTS, *ODD, *TEXTS[::-1]]:
        assert words.encode(text) == ours.encode(text), text


@pytest.mark.parametrize("pre_tokenizer", [
    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    pre_tokenizers.ByteLevel(add_prefix_space=True),
    pre_tokenizers.Sequence([pre_tokenizers.Split("e", "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]),
])
def test_a_tokenizer_that_may_join_words_is_asked_for_whole_texts(pre_tokenizer):
    other = _other(pre_tokenizer)
    assert not other.splits_at_spaces
    words = WordCache(other)
    assert all(words.encode(text) == other.encode(text) for text in [*TEXTS, *ODD])


def test_the_cache_does_not_grow_for_ever(ours, monkeypatch):
    monkeypatch.setattr(word_cache, "MOST_WORDS", 50)
    words = WordCache(ours)
    for text in TEXTS:
        assert words.encode(text) == ours.encode(text)
        assert len(words._later) <= 50 and len(words._first) <= 50


def test_what_the_cache_returns_may_be_changed(ours):
    words = WordCache(ours)
    words.encode("yes").append(5)
    words.encode("no yes").append(5)
    assert words.encode("yes") == ours.encode("yes") and words.encode("no yes") == ours.encode("no yes")
