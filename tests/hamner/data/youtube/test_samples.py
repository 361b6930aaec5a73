"""Samples of a voice: three kinds, no word more often than stated, the same from the same seed."""

import random
from collections import Counter

import pytest

from hamner.data.youtube.captions import Word
from hamner.data.youtube.samples import Cut, samples, sentence_ends


def spoken(n, *, stops=0, breath=0, seed=0):
    """n words, each unlike all others; a full stop, or a silence of a second, after every so many."""
    rng = random.Random(seed)
    words, at = [], 0.0
    for i in range(n):
        text = f"w{seed}x{i}" + ("." if stops and rng.random() < 1 / stops else "")
        words.append(Word(text, at, at + 0.3))
        at += 0.3 if not breath or i % breath != breath - 1 else 1.3
    return words


def uses_of(cut):
    """How many samples each word is in."""
    return Counter(
        word for sample in cut for word in set(sample["text"].removeprefix(f"Topic: {sample['title']}").split())
    )


@pytest.mark.parametrize("uses", [1, 2, 5])
@pytest.mark.parametrize(("n", "stops"), [(25, 0), (60, 0), (151, 0), (2000, 0), (3001, 9), (800, 30)])
def test_no_word_is_in_more_samples_than_stated(uses, n, stops):
    words = spoken(n, stops=stops)
    of_video = list(samples("v", "A title", words, Cut(uses=uses)))
    used = uses_of(of_video)
    assert set(used) <= {w.text for w in words} and max(used.values()) <= uses
    if n >= 800:
        # and as often as stated, but for leftovers, and pieces that a pass before has cut just so
        assert sum(used.values()) > (0.95 if uses == 1 else 0.75) * n * uses
        assert max(used.values()) == uses


def test_the_three_kinds_are_what_they_are_called():
    words = spoken(6000, stops=8)
    of_video = list(samples("v", "Why: a title", words, Cut(seed=3)))
    kinds = Counter(sample["source"] for sample in of_video)
    assert kinds["youtube_topic"] == 1 and kinds["youtube_raw"] >= 10 and kinds["youtube_conversation"] >= 5
    head, _, rest = of_video[0]["text"].partition("\n\n")
    assert head == "Topic: Why: a title" and rest.split() == [w.text for w in words][: len(rest.split())]
    for sample in of_video:
        assert sample["title"] == "Why: a title" and sample["video"] == "v"
        length = len(sample["text"].split())
        if sample["source"] == "youtube_raw":
            assert length <= 300 + 50 and len(sample["text"]) > 100
        elif sample["source"] == "youtube_conversation":
            lines = sample["text"].split("\n")
            assert len(lines) == 3 and all(line.endswith(".") and len(line) > 20 for line in lines)
        else:
            assert 150 <= len(rest.split()) <= 200
    windows = [s["text"] for s in of_video if s["source"] == "youtube_raw"]
    assert sum(text.endswith(".") for text in windows) > 0.9 * len(windows)


def test_without_punctuation_pauses_end_sentences():
    words = spoken(1200, breath=7)
    assert sentence_ends(words, None) == [1200]
    assert sentence_ends(words, 0.5) == [*range(7, 1200, 7), 1200]
    assert sentence_ends(words, 1.5) == [1200]
    kinds = [Counter(s["source"] for s in samples("v", "t", words, Cut(pause_seconds=pause))) for pause in (None, 0.5)]
    assert "youtube_conversation" not in kinds[0] and kinds[1]["youtube_conversation"] >= 2


def test_another_speaker_and_a_quoted_stop_end_a_sentence():
    texts = ["so", "you", "said", "“stop.”", "and", "me", "too"]
    words = [Word(text, i, i + 1, turn=text == "me") for i, text in enumerate(texts)]
    assert sentence_ends(words, None) == [4, 5, 7]


def test_samples_depend_on_the_seed_and_the_video_alone():
    words = spoken(3000, stops=8)
    one, again = (list(samples("v", "t", words, Cut(uses=2, seed=1))) for _ in range(2))
    assert one == again
    texts = [
        {s["text"] for s in samples(video, "t", words, Cut(uses=2, seed=seed))}
        for video, seed in (("v", 1), ("v", 2), ("u", 1))
    ]
    assert texts[0] != texts[1] and texts[0] != texts[2]


def test_too_short_a_video_gives_nothing_and_a_short_one_no_topic():
    assert list(samples("v", "t", spoken(12), Cut(uses=3))) == []
    assert [s["source"] for s in samples("v", "t", spoken(40), Cut(uses=3))] == ["youtube_raw"]
