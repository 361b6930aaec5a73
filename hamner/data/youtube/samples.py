"""What one person said in a video, cut into samples to train on.

Data in: the timed words of one video. Data out: records {"text", "title", "source", "video"}, as `personal` reads
them. Three kinds, in the field `source`:

youtube_topic          "Topic: TITLE", an empty line, and how the video begins: its first 150 words
youtube_raw            a window of 300 words
youtube_conversation   three sentences of more than 20 characters, one a line

A pass over a video uses each of its words once: the opening, then windows and, where sentences are known,
conversations, drawn with even odds. Each further pass cuts at other places. So no word is in more samples than there
are passes. All samples of a video are on one side of the split, by their field `video`; of a single video they are
split one by one, which one pass allows, for no two of its samples share text. So no held-out speech is trained on.
"""

from __future__ import annotations

import random
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hamner.data.youtube.captions import Word

OPENING_WORDS, WINDOW_WORDS, SLACK_WORDS = 150, 300, 50  # a piece goes on to the end of its sentence, if near
MIN_OPENING_WORDS = 50
MIN_CHARACTERS = 100  # of a video, a window and what is left over at the end
CONVERSATION_SENTENCES, MIN_SENTENCE_CHARACTERS = 3, 20
SENTENCE_END = re.compile(r"[.!?…][\"')\]”’»]*$")


@dataclass(frozen=True)
class Cut:
    """How to cut. `pause_seconds`: a silence this long ends a sentence too; None, only . ! ? and speakers do."""

    uses: int = 1
    pause_seconds: float | None = None
    seed: int = 0


def samples(video: str, title: str, words: list[Word], cut: Cut) -> Iterator[dict[str, Any]]:
    """The samples of one video; they depend on that video and on `cut` alone. Too short a video gives none."""
    ends = sentence_ends(words, cut.pause_seconds)
    if len(_text(words)) < MIN_CHARACTERS:
        return
    given: set[str] = set()
    for number in range(cut.uses):
        for kind, begin, end in _pieces(words, ends, number, random.Random(f"{cut.seed}/{video}/{number}")):
            text = _text(words[begin:end])
            if kind == "youtube_topic":
                text = f"Topic: {title}\n\n{text}"
            elif kind == "youtube_conversation":
                text = "\n".join(_text(words[b:e]) for b, e in pairwise(_conversation(words, ends, begin)))
            if text not in given:  # of a short video two passes can cut the same
                yield {"text": text, "title": title, "source": kind, "video": video}
            given.add(text)


def sentence_ends(words: list[Word], pause_seconds: float | None) -> list[int]:
    """Positions just after each sentence. Automatic captions have no punctuation: give them `pause_seconds`."""
    ends = []
    for i, (word, following) in enumerate(pairwise(words), start=1):
        paused = pause_seconds is not None and following.start - word.end >= pause_seconds
        if paused or following.turn or SENTENCE_END.search(word.text):
            ends.append(i)
    return [*ends, len(words)]


def _pieces(words: list[Word], ends: list[int], number: int, rng: random.Random) -> Iterator[tuple[str, int, int]]:
    """One pass: (kind, begin, end) that share no word. Only what is too short to be a sample is left out."""
    at = 0
    if number == 0 and len(words) > MIN_OPENING_WORDS:
        at = _end(words, ends, OPENING_WORDS)
        yield "youtube_topic", 0, at
    elif number > 0:
        at = _end(words, ends, rng.randrange(1, min(WINDOW_WORDS, len(words))))
        if len(_text(words[:at])) > MIN_CHARACTERS:
            yield "youtube_raw", 0, at
    while at < len(words):
        kind, end = "youtube_raw", _end(words, ends, at + WINDOW_WORDS)
        talk = _conversation(words, ends, at) if at == 0 or ends[bisect_left(ends, at)] == at else []
        if talk and rng.random() < 0.5:
            kind, end = "youtube_conversation", talk[-1]
        if kind == "youtube_conversation" or len(_text(words[at:end])) > MIN_CHARACTERS:
            yield kind, at, end
        at = end


def _end(words: list[Word], ends: list[int], wanted: int) -> int:
    """Where a piece that should end at `wanted` does: with its sentence if that is near, and never short of the end
    by less than a sample."""
    near = bisect_left(ends, wanted)
    end = ends[near] if near < len(ends) and ends[near] <= wanted + SLACK_WORDS else wanted
    return len(words) if len(_text(words[end:])) <= MIN_CHARACTERS else end


def _conversation(words: list[Word], ends: list[int], at: int) -> list[int]:
    """The borders of three sentences from `at` on, empty when they do not fit a window; a sentence of few
    characters is part of the next."""
    borders = [at]
    for end in ends[bisect_right(ends, at) :]:
        if end - at > WINDOW_WORDS:
            break
        if len(_text(words[borders[-1] : end])) > MIN_SENTENCE_CHARACTERS:
            borders.append(end)
        if len(borders) > CONVERSATION_SENTENCES:
            return borders
    return []


def _text(words: list[Word]) -> str:
    return " ".join(word.text for word in words)
