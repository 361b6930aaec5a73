"""Memorisation: the longest runs are those that a plain search finds, over chunks and shards."""

from difflib import SequenceMatcher

import numpy as np
import pytest

from hamner.config.special_tokens import END_OF_TEXT
from hamner.data.corpus import TokenShards
from hamner.evaluation import memorisation
from hamner.evaluation.memorisation import SEED, Run, longest_runs, memorisation_figures, openings, pieces


def _plain(text, training):
    """The longest common run, by difflib."""
    found = SequenceMatcher(None, text, training, autojunk=False).find_longest_match()
    return found.size if found.size >= SEED else SEED - 1


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("words", [2, 4, 30])
def test_runs_are_those_of_a_plain_search(seed, words, monkeypatch):
    """Of 2 words everything is everywhere; of 30 hardly anything but what was copied."""
    monkeypatch.setattr(memorisation, "CHUNK", 97)
    rng = np.random.default_rng([seed, words])
    training = rng.integers(3, 3 + words, size=700)
    texts = [rng.integers(3, 3 + words + 2, size=rng.integers(0, 40)).tolist() for _ in range(6)]
    for length in (6, 11, 25):
        start = rng.integers(0, 600)
        texts.append([3, *training[start : start + length].tolist(), 4])
    runs = longest_runs(texts, training)
    assert [run.length for run in runs] == [_plain(text, training.tolist()) for text in texts]
    for text, run in zip(texts, runs, strict=True):
        if run.length >= SEED:
            stretch = text[run.start : run.start + run.length]
            windows = np.lib.stride_tricks.sliding_window_view(training, run.length)
            assert (windows == stretch).all(axis=1).any()


def test_a_run_may_cross_shards_but_not_the_limit():
    first, second = np.arange(3, 40, dtype=np.uint16), np.arange(40, 90, dtype=np.uint16)
    training = TokenShards.from_arrays([first, second])
    text = list(range(30, 60))
    assert longest_runs([text], training) == [Run(30, 0)]
    assert longest_runs([text], training, limit=45) == [Run(18, 0)]
    assert longest_runs([[1, 2, *text]], training)[0] == Run(30, 2)
    assert longest_runs([[99_999] * 9, []], training) == [Run(SEED - 1, 0)] * 2
    assert longest_runs([], training) == []


def test_a_token_that_no_text_has_matches_nothing():
    assert longest_runs([[5] * 8], np.array([70_000] * 20)) == [Run(SEED - 1, 0)]


def test_pieces_have_the_lengths_asked_for_and_end_with_their_document():
    tokens = np.arange(100, 200)
    assert [len(piece) for piece in pieces(tokens, [5, 7, 3])] == [5, 7, 3] and pieces(tokens, [5])[0][0] == 100
    tokens[2] = END_OF_TEXT
    assert pieces(tokens, [5]) == [[100, 101]] and pieces(tokens[:4], [5]) == [] and pieces(tokens, []) == []


def test_openings_are_of_documents():
    documents = [[10 + i] * 30 + [END_OF_TEXT] for i in range(8)] + [[9] * 5 + [END_OF_TEXT]]
    tokens = np.array([token for document in documents for token in document])
    assert openings(tokens, 40) == [[10 + i] * 16 for i in range(8)]
    assert openings(tokens, 4) == [[10 + i] * 16 for i in range(0, 8, 2)]


class _Corpus:
    """As much of a corpus as memorisation needs: training text that counts, held-out text that is random."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self._train = np.concatenate([[*range(10 + 60 * i, 70 + 60 * i), END_OF_TEXT] for i in range(50)])
        self._heldout = np.concatenate([[*rng.integers(5000, 9000, size=60), END_OF_TEXT] for _ in range(50)])

    def train(self, source):
        return TokenShards.from_arrays([self._train])

    def heldout(self, source):
        return TokenShards.from_arrays([self._heldout])


def test_a_writer_that_knows_its_text_by_heart_is_found_out():
    def by_heart(ids, most, *, seed, greedy=False):
        assert greedy
        return list(range(ids[-1] + 1, ids[-1] + 1 + most))  # 16 given, 44 left of each document

    figures = {f.name: f for f in memorisation_figures(_Corpus(), "personal", [[1, 2, 3] * 5], by_heart, 100)}
    assert figures["personal: replies, mean"].value == SEED - 1
    after = figures["personal: after openings of training text, mean"]
    assert (after.value, after.guess, after.count) == (44, SEED - 1, 40)
    assert figures["personal: after openings of training text, longest"].value == 44
    short = [f.name for f in memorisation_figures(_Corpus(), "personal", [[1] * 9], by_heart, 20)]
    assert short == ["personal: replies, mean", "personal: replies, longest"]
