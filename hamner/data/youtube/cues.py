"""Cues of captions: which repeat, grow or roll, so that what was said once is read once.

In: the cues of a file, in order. Out: fewer cues, and of each the lines that the cue before left on the screen.

repeated   the same text beginning at the same time: some tools write each cue twice
growing    the same line with more words, cue by cue, as it is spoken; only where a file has several such
rolling    the last lines of the cue before, and new ones below
"""

from __future__ import annotations

import html
import itertools
import re
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise

BRIDGE_SECONDS = 0.05  # a cue as short as this only moves lines up; a gap as short as this does not count
ROLL_GAP_SECONDS = 0.5  # between the cues of a file that rolls with pauses, at most
SAME_SECONDS = 0.1  # nobody says the same again after so short a time
MIN_GROWING = 3  # cues of a file, and a quarter of them, before growing is not chance ("No", "No, I do not")
TAG = re.compile(r"<(/?(?:[A-Za-z][^<>]*)?|[\d:.]+)>")  # "I <3 it, 2 > 1" has none
TIME = re.compile(r"(?:(\d{1,10}):)?(\d\d):(\d\d\.\d{3})")  # as many hours as webvtt reads


@dataclass(frozen=True)
class Cue:
    """Lines shown from `start` to `end`, in seconds."""

    start: float
    end: float
    lines: list[str]

    @cached_property
    def spoken(self) -> list[str]:
        """The lines with words."""
        return [line for line in self.lines if untagged(line)]

    @cached_property
    def plain(self) -> list[str]:
        """The lines with words, without tags."""
        return [untagged(line) for line in self.spoken]


def put_together(cues: list[Cue]) -> list[Cue]:
    """The cues, repeated and growing ones as one; words that grew get the time at which they appeared."""
    cues = _without_repeats(cues)
    has_growth = sum(_grows(one, other) for one, other in pairwise(cues)) >= max(MIN_GROWING, len(cues) // 4)
    joined: list[Cue] = []
    appeared: list[list[tuple[int, float]]] = []  # of each joined cue: number of words before, seconds
    for cue in cues:
        last = joined[-1] if joined else None
        if last and _is_more_of(last, cue, has_growth):
            appeared[-1].append((len(" ".join(last.plain).split()), cue.start))
            joined[-1] = replace(cue, start=last.start, end=max(last.end, cue.end))
        else:
            joined.append(cue)
            appeared.append([])
    return [
        replace(cue, lines=_with_times(cue.lines, times)) if times else cue
        for cue, times in zip(joined, appeared, strict=True)
    ]


def longest_gap(cues: list[Cue]) -> float:
    """Seconds between two cues after which the screen was empty: more where most cues roll over such gaps."""
    rolled = [
        0 < carried_lines(other, one.plain, BRIDGE_SECONDS) < len(other.plain)
        for one, other in pairwise(cues)
        if BRIDGE_SECONDS < other.start - one.end <= ROLL_GAP_SECONDS
    ]
    return ROLL_GAP_SECONDS if sum(rolled) > len(rolled) / 2 else BRIDGE_SECONDS


def carried_lines(cue: Cue, shown: list[str], gap: float = 0.0) -> int:
    """The number of a cue's first lines that the cue before, `gap` seconds ago, has left on the screen."""
    own = next((i for i, line in enumerate(cue.spoken) if has_times(line)), len(cue.spoken))  # with times: new
    carried = next((n for n in range(min(own, len(shown)), 0, -1) if cue.plain[:n] == shown[-n:]), 0)
    # The same cue again, longer than a bridge and without the empty line that a rolling display keeps for the next
    # line, was said again; so was the whole of a cue after a gap.
    is_display = cue.end - cue.start <= BRIDGE_SECONDS or len(cue.spoken) < len(cue.lines)
    is_repeated = cue.plain == shown and (not is_display or gap > BRIDGE_SECONDS)
    return 0 if is_repeated else carried


def _without_repeats(cues: list[Cue]) -> list[Cue]:
    """The cues without those of a text that begin when another of it does; the one shown longest stays."""
    places: dict[tuple[str, int], list[int]] = {}  # by text and second: a word may be said ten thousand times
    kept: list[Cue] = []
    for cue in cues:
        text, second = "\n".join(cue.plain), int(cue.start)
        near = sorted(i for moment in (second - 1, second, second + 1) for i in places.get((text, moment), []))
        same = [i for i in near if abs(kept[i].start - cue.start) <= SAME_SECONDS]
        if text and same:
            kept[same[0]] = replace(kept[same[0]], end=max(kept[same[0]].end, cue.end))
        else:
            places.setdefault((text, second), []).append(len(kept))
            kept.append(cue)
    return kept


def _is_more_of(last: Cue, cue: Cue, has_growth: bool) -> bool:
    """Whether a cue goes on with one before, in a file where cues grow or from the same start; or holds it there."""
    is_held = has_growth and cue.plain == last.plain and cue.start - last.end <= BRIDGE_SECONDS
    return is_held or (_grows(last, cue) and (has_growth or cue.start - last.start <= SAME_SECONDS))


def _grows(one: Cue, other: Cue) -> bool:
    """Whether `other` is `one` with more words in a line; a new line below is rolling.

    The last word of `one` may have been shown in part.
    """
    before, after = " ".join(one.plain), " ".join(other.plain)
    if not before or len(after) <= len(before) or not after.startswith(before):
        return False
    if other.start - one.end > ROLL_GAP_SECONDS or any(map(has_times, other.lines)):
        return False
    line_ends = accumulate(len(line) + 1 for line in other.plain)  # with the space after
    return len(before) + 1 not in line_ends


def _with_times(lines: list[str], times: list[tuple[int, float]]) -> list[str]:
    """The lines with inline times, each before the word of its number; unchanged where they have tags."""
    if any("<" in line for line in lines):
        return lines
    tags = {count: f"<{int(t // 3600):02}:{int(t // 60) % 60:02}:{t % 60:06.3f}>" for count, t in times}
    numbers = itertools.count()
    return [" ".join(f"{tags.get(next(numbers), '')}{word}" for word in line.split()) for line in lines]


def untagged(line: str) -> str:
    """A line's words."""
    return " ".join(parse(line)[0].split())


def has_times(line: str) -> bool:
    """Whether a word of a line has a time of its own."""
    return bool(parse(line)[1])


def parse(line: str) -> tuple[str, list[tuple[int, float]]]:
    """A cue's line without tags and entities, and its inline times (position in it, seconds)."""
    plain, times = "", []
    for number, part in enumerate(TAG.split(line)):
        if number % 2 == 0:
            plain += html.unescape(part).replace("\u200b", "")  # zero-width space
        elif time := TIME.fullmatch(part):
            times.append((len(plain), int(time[1] or 0) * 3600 + int(time[2]) * 60 + float(time[3])))
    return plain, times
