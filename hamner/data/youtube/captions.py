"""WebVTT captions (subtitles): the words that were said, with their times.

Data in: a .vtt file, as yt-dlp writes it or any other. Data out: `Captions`. Automatic captions roll: a line that was
spoken moves up and is shown again while the next is spoken, so most of a file is repetition. What is new is decided
by the times alone: lines that stand where the cue before left them, without a break, are carried over; everything else
was said, however often it has been said before. Tags, entities, notes, marks in brackets such as [Music] and
speaker marks (>>) are not words.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import webvtt

from hamner.config.errors import BadInput

BRIDGE_SECONDS = 0.05  # a cue as short as this only moves lines up; a gap as short as this does not count
LONGEST_WORD_SECONDS = 1.0  # a cue stays on the screen through a pause, longer than its last word lasts
TAG = re.compile(r"<([^>]*)>")
TIME = re.compile(r"(?:(\d+):)?(\d\d):(\d\d\.\d{3})")
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


@dataclass(frozen=True)
class _Cue:
    start: float
    end: float
    lines: list[str]


def read_captions(path: Path) -> Captions:
    """Read a caption file. Raises BadInput when it is half-written, not WebVTT, or without a word."""
    text = whole_text(path)
    parsed = webvtt.from_string(text)  # passes over what it cannot read, so the header is checked before
    cues = [
        _Cue(c.start_time.in_milliseconds() / 1000, c.end_time.in_milliseconds() / 1000, c.raw_text.split("\n"))
        for c in parsed.captions
    ]
    words = list(_words(cues))
    if not words:
        raise BadInput("captions without a word")
    language = next((m.partition(":")[2].strip() for m in parsed.metadata if m.startswith("Language:")), "")
    return Captions(words, language, malformed=max(0, len(re.findall("^.*-->", text, flags=re.M)) - len(cues)))


def whole_text(path: Path) -> str:
    """A caption file's text. Raises BadInput when it is not WebVTT, or breaks off within a line or a cue.

    A file cut exactly between two cues passes for a whole one; download.py moves its files into place whole.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise BadInput(f"half-written, or not UTF-8 text: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}") from None
    if not text.strip():
        raise BadInput("half-written: the file is empty")
    if not text.startswith("WEBVTT"):
        raise BadInput(f"not WebVTT: it begins with {text[:20]!r}")
    if not text.endswith("\n"):
        raise BadInput("half-written: ends in the middle of a line; if it is whole, end it with a line break")
    if "-->" in text.rstrip().rsplit("\n", 1)[-1]:
        raise BadInput("half-written: ends within a cue")
    return text


def is_whole(path: Path) -> bool:
    """Whether a caption file is WebVTT and does not break off."""
    try:
        whole_text(path)
    except BadInput:
        return False
    return True


def _words(cues: Iterable[_Cue]) -> Iterator[Word]:
    """The words of the cues, each as often as it was said."""
    shown: list[str] = []
    shown_until, turn = 0.0, False
    for cue in cues:
        lines = [line for line in cue.lines if _untagged(line)]
        if cue.start - shown_until > BRIDGE_SECONDS:
            shown = []  # the screen was empty in between: nothing can have been carried over
        new = lines[_carried(cue, lines, shown) :]
        shown, shown_until = [_untagged(line) for line in lines], cue.end
        for word in _timed(new, cue):
            text = word.text.lstrip(">") if word.text.startswith(">>") else word.text
            turn = turn or word.text.startswith(">>")
            if text:
                yield Word(text, word.start, word.end, turn)
                turn = False


def _carried(cue: _Cue, lines: list[str], shown: list[str]) -> int:
    """The number of a cue's first lines that the cue before has left on the screen."""
    plain = [_untagged(line) for line in lines]
    own = next((i for i, line in enumerate(lines) if _has_times(line)), len(lines))  # a line with times is new
    carried = next((n for n in range(min(own, len(shown)), 0, -1) if plain[:n] == shown[-n:]), 0)
    # The same cue again, longer than a bridge and without the empty line that a rolling display keeps for the next
    # line, was said again.
    is_repeated = plain == shown and cue.end - cue.start > BRIDGE_SECONDS and len(lines) == len(cue.lines)
    return 0 if is_repeated else carried


def _timed(lines: list[str], cue: _Cue) -> Iterator[Word]:
    """The words of a cue's new lines; a word without a time of its own stands evenly between its neighbours."""
    texts: list[str] = []
    known: dict[int, float] = {}
    for line in lines:
        plain, times = _parse(line)
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


def _parse(line: str) -> tuple[str, list[tuple[int, float]]]:
    """A cue's line without tags and entities, and its inline times (position in it, seconds)."""
    plain, times = "", []
    for number, part in enumerate(TAG.split(line)):
        if number % 2 == 0:
            plain += html.unescape(part).replace("\u200b", "")  # zero-width space
        elif time := TIME.fullmatch(part):
            times.append((len(plain), int(time[1] or 0) * 3600 + int(time[2]) * 60 + float(time[3])))
    return plain, times


def _untagged(line: str) -> str:
    return " ".join(_parse(line)[0].split())


def _has_times(line: str) -> bool:
    return bool(_parse(line)[1])
