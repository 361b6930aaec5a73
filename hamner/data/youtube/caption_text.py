"""Subtitle files (WebVTT, SubRip .srt): their text, mended so far that a WebVTT parser reads every cue.

Data in: a .vtt or .srt file, as yt-dlp, an editor or a site writes it; what it is, its content says, not its name.
Data out: the text with LF line ends, and the same as WebVTT. Mended are decimal commas and missing milliseconds, empty
lines within a cue (its text would be lost), and numbers of cues that follow without an empty line.
"""

from __future__ import annotations

import re
from pathlib import Path

from hamner.config.errors import BadInput
from hamner.data.sources.open_text import encoding_of

TIMESTAMP = r"((?:\d+:)?\d{1,2}:\d{1,2})(?:[.,](\d{1,3}))?"
TIMING = re.compile(rf"^\s*{TIMESTAMP}[ \t]*-->[ \t]*{TIMESTAMP}(.*)$")
# without going back (*+): an empty line may begin a million of them
SUBRIP = re.compile(rf"\s*+(?:\d++[^\S\n]*+\n)?\s*+{TIMESTAMP}[ \t]*-->")
INLINE_TIME = re.compile(r"<(?:\d+:)?\d\d:\d\d\.\d{3}>")
NUMBER_OF_CUE = re.compile(r"(?<=[^\n])\n(?=\d+[ \t]*\n[^\n]*-->)")
OVERRIDE = re.compile(r"\{\\[^{}]*\}")  # {\an8}: where SubRip shows a line
NOT_SPEECH = re.compile(r"(NOTE|STYLE|REGION)(\s|$)")


def whole_text(path: Path, *, is_strict: bool = False) -> str:
    """A caption file's text. Raises BadInput when it is neither format, or breaks off within a line or a cue.

    is_strict: it must end with a line break, as all do that YouTube writes. A file cut exactly between two cues passes
    for a whole one; download.py moves its files into place whole.
    """
    text = re.sub(r"\r\n?", "\n", _decoded(path))
    if not text.strip():
        raise BadInput("half-written: the file is empty")
    if not text.startswith("WEBVTT") and not SUBRIP.match(text):
        raise BadInput(f"not WebVTT or SubRip (.srt): it begins with {text[:20]!r}")
    last = text.rstrip("\n").rsplit("\n", 2)[-2:]
    begins_block = len(last) == 2 and not last[0]  # with a time or the number of a cue, not with what is said in it
    if not text.endswith("\n") and (is_strict or begins_block or INLINE_TIME.search(text)):
        raise BadInput("half-written: ends in the middle of a line; if it is whole, end it with a line break")
    if "-->" in text.rstrip().rsplit("\n", 1)[-1]:
        raise BadInput("half-written: ends within a cue")
    return text if text.endswith("\n") else f"{text}\n"


def _decoded(path: Path) -> str:
    try:
        data = path.read_bytes()
        return data.decode(encoding_of(data[:4]))
    except UnicodeDecodeError as error:
        place = f"byte 0x{error.object[error.start]:02x} at {error.start}"
        raise BadInput(f"half-written, or not UTF-8 text: {place}; if it is whole, save it as UTF-8") from None
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}") from None


def is_whole(path: Path) -> bool:
    """Whether a downloaded caption file does not break off."""
    try:
        whole_text(path, is_strict=True)
    except BadInput:
        return False
    return True


def as_webvtt(text: str) -> str:
    """A caption file's text as WebVTT of which a parser loses nothing."""
    if not text.startswith("WEBVTT"):
        text = "WEBVTT\n\n" + re.sub(r"^[ \t]+$", "", text, flags=re.M)
    text = NUMBER_OF_CUE.sub("\n\n", OVERRIDE.sub("", text))
    blocks: list[list[str]] = []
    can_go_on = False  # what follows an empty line without a time of its own belongs to the cue before
    for block in re.split(r"\n\n+", text.strip("\n")):
        lines = [_timing(line) for line in block.split("\n")]
        if any("-->" in line for line in lines):
            can_go_on = True
        elif NOT_SPEECH.match(block):
            can_go_on = False
        elif can_go_on and block.isdecimal():
            continue  # the number of a cue
        elif can_go_on:
            blocks[-1] += lines
            continue
        blocks.append(lines)
    return "\n\n".join("\n".join(lines) for lines in blocks) + "\n"


def _timing(line: str) -> str:
    """A line with the times of a cue as WebVTT writes them; any other line unchanged."""
    match = TIMING.match(line)
    if match is None:
        return line
    begin, begin_part, end, end_part, rest = match.groups()
    return f"{begin}.{begin_part or 0:0<3} --> {end}.{end_part or 0:0<3}{rest}"
