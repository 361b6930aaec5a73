"""Captions (subtitles; WebVTT and SubRip): the words that were said, with their times.

Data in: a .vtt or .srt file, as yt-dlp writes it or any other. Data out: `Captions`. Automatic captions roll: a line
that was spoken moves up and is shown again while the next is spoken, so most of a file is repetition. What is new is
decided by the times: lines that stand where the cue before left them, without a break, are carried over; everything
else was said, however often it has been said before. Cues that repeat or grow are put together first (cues.py). Tags,
entities, notes, marks in brackets such as [Music] and speaker marks (>>) are not words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import webvtt

from hamner.config.errors import BadInput
from hamner.data.youtube.caption_text import as_webvtt, whole_text
from hamner.data.youtube.cues import Cue, carried_lines, longest_gap, parse, put_together

LONGEST_WORD_SECONDS = 1.0  # a cue stays on the screen through a pause, longer than its last word lasts
MARK = re.compile(r"\[[^\[\]]*\]|[♪♫♬]")


@dataclass(frozen=True)
class Word:
    """One word. Times in seconds; `turn`: another speaker begins with it."""

    text: str
    start: float
    end: float
    turn: bool = False


@dataclass(frozen=True)
class Captions:
    """What a file holds. malformed: the number of cues passed over; language: the header's, or empty."""

    words: list[Word]
    language: str
    malformed: int


def read_captions(path: Path) -> Captions:
    """Read a caption file. Raises BadInput when it is half-written, neither format, or without a word."""
    text = as_webvtt(whole_text(path))
    parsed = webvtt.from_string(text)  # passes over what it cannot read, so the header is checked before
    cues = [
        Cue(c.start_time.in_milliseconds() / 1000, c.end_time.in_milliseconds() / 1000, c.raw_text.split("\n"))
        for c in parsed.captions
    ]
    words = list(_words(put_together(cues)))
    if not words:
        raise BadInput("captions without a word")
    language = next((m.partition(":")[2].strip() for m in parsed.metadata if m.startswith("Language:")), "")
    return Captions(words, language, malformed=max(0, len(re.findall("^.*-->", text, flags=re.M)) - len(cues)))


def _words(cues: list[Cue]) -> Iterator[Word]:
    """The words of the cues, each as often as it was said."""
    shown: list[str] = []
    shown_until, turn, gap = 0.0, False, longest_gap(cues)
    for cue in cues:
        if cue.start - shown_until > gap:
            shown = []  # the screen was empty in between: nothing can have been carried over
        new = cue.spoken[carried_lines(cue, shown, cue.start - shown_until) :]
        shown, shown_until = cue.plain, cue.end
        for word in _timed(new, cue):
            text = word.text.lstrip(">") if word.text.startswith(">>") else word.text
            turn = turn or word.text.startswith(">>")
            if text:
                yield Word(text, word.start, word.end, turn)
                turn = False


def _timed(lines: list[str], cue: Cue) -> Iterator[Word]:
    """The words of a cue's new lines; a word without a time of its own stands evenly between its neighbours."""
    texts: list[str] = []
    known: dict[int, float] = {}
    for line in lines:
        plain, times = parse(line)
        reached = 0
        for match in re.finditer(r"\S+", MARK.sub(lambda mark: " " * len(mark[0]), plain)):
            own = [time for position, time in times if reached <= position <= match.start()]
            if own:
                known[len(texts)] = own[-1]
            texts.append(match[0])
            reached = match.end()
    if not texts:
        return
    known.setdefault(0, cue.start)
    known[len(texts)] = max(cue.end, *known.values())
    places = sorted(known)
    starts = np.maximum.accumulate(np.interp(range(len(texts) + 1), places, [known[place] for place in places]))
    for text, start, after in zip(texts, starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        yield Word(text, start, min(after, start + LONGEST_WORD_SECONDS))
