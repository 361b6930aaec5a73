"""Chunking of transcripts: what one person said in a video, cut into training samples.

Data in: the timed words of one video. Data out: records {"text", "title", "source", "video"}, as `personal` reads
them. Three kinds, in the field `source`:

youtube_topic          "Topic: TITLE", an empty line, and how the video begins: its first 150 words
youtube_raw            a window of 300 words
youtube_conversation   three sentences of more than 20 characters, one a line

A pass over a video uses each of its words once: the opening, then windows and, where sentences are known,
conversations, drawn with even odds. Each further pass cuts at other places. So no word is in more samples than there
are passes. No held-out speech is trained on: all samples of a video are on one side of the split, by their field
`video`; of a single video they are split one by one, which one pass allows, since no two of its samples share text.
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

OPENING_WORDS, WINDOW_WORDS = 150, 300
SLACK_WORDS = 50  # a piece ends with its sentence where that is at most so many words longer
MIN_OPENING_WORDS = 50
MIN_CHARACTERS = 100  # of a video, a window, and the rest at the end
CONVERSATION_SENTENCES, MIN_SENTENCE_CHARACTERS = 3, 20
SENTENCE_END = re.compile(r"[.!?…][\"')\]”’»]*$")


@dataclass(frozen=True)
class Cut:
    """How to cut. pause_seconds: a silence this long ends a sentence too; with None, only . ! ? and speakers do."""

    uses: int = 1  # passes over a video
    pause_seconds: float | None = None
    seed: int = 0


def samples(video: str, title: str, words: list[Word], cut: Cut) -> Iterator[dict[str, Any]]:
    """The samples of one video, which depend on that video and `cut` alone; none of too short a video."""
    ends = sentence_ends(words, cut.pause_seconds)
    if len(_text(words)) < MIN_CHARACTERS:
        return
    texts: set[str] = set()
    for number in range(cut.uses):
        for kind, begin, end in _pieces(words, ends, number, random.Random(f"{cut.seed}/{video}/{number}")):
            text = _text(words[begin:end])
            if kind == "youtube_topic":
                text = f"Topic: {title}\n\n{text}"
            elif kind == "youtube_conversation":
                text = "\n".join(_text(words[b:e]) for b, e in pairwise(_conversation(words, ends, begin)))
            if text not in texts:  # of a short video two passes can cut the same
                yield {"text": text, "title": title, "source": kind, "video": video}
            texts.add(text)


def sentence_ends(words: list[Word], pause_seconds: float | None) -> list[int]:
    """Positions just after each sentence. Automatic captions, without punctuation, need `pause_seconds`."""
    ends = []
    for i, (word, following) in enumerate(pairwise(words), start=1):
        paused = pause_seconds is not None and following.start - word.end >= pause_seconds
        if paused or following.turn or SENTENCE_END.search(word.text):
            ends.append(i)
    return [*ends, len(words)]


def _pieces(words: list[Word], ends: list[int], number: int, rng: random.Random) -> Iterator[tuple[str, int, int]]:
    """The pieces (kind, begin, end) of pass `number`, which share no word; only what is too short is left out."""
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


def _end(words: list[Word], ends: list[int], target: int) -> int:
    """The end of a piece, near `target`: that of its sentence where it is near, and the video's where the rest would be
    too short for a sample.
    """
    near = bisect_left(ends, target)
    end = ends[near] if near < len(ends) and ends[near] <= target + SLACK_WORDS else target
    return len(words) if len(_text(words[end:])) <= MIN_CHARACTERS else end


def _conversation(words: list[Word], ends: list[int], at: int) -> list[int]:
    """The borders of three sentences from `at` on, empty when they do not fit a window.

    A sentence of few characters is part of the next.
    """
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
