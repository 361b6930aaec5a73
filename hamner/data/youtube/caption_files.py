"""Caption files of videos: which files a target holds, and the id and title that a file's name states.

In: paths. Out: paths, ids, titles. Nothing is read here: the command checks its arguments with it before it imports
anything large.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

YOUTUBE_ID = "[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]"  # 64 bits in eleven characters of six: few can be the last
FULL_WIDTH = str.maketrans("＂＊：＜＞？｜⧸⧹", '"*:<>?|/\\')  # what yt-dlp writes for signs no file name may have


def is_address(target: str) -> bool:
    """Whether a target is an address or @channel, not something on this disk."""
    return target.startswith(("https://", "http://", "@"))


def caption_files(place: Path) -> list[Path]:
    """The caption files of a folder, and its info-jsons without one beside them; of a file, the file."""
    if place.is_file():
        return [place]
    captions = sorted(place.rglob("*.vtt"))
    bases = {re.sub(r"(\.[A-Za-z0-9-]+)?\.vtt$", "", str(path)) for path in captions}
    return [
        *captions,
        *(path for path in sorted(place.rglob("*.info.json")) if str(path).removesuffix(".info.json") not in bases),
    ]


def caption_stem(path: Path) -> str:
    """A caption file's name without language and ending."""
    return re.sub(r"\.[a-z]{2,3}(-[A-Za-z0-9]+)*$", "", path.name.removesuffix(".vtt"))


def videos_of(paths: Sequence[Path], fetched: AbstractSet[str]) -> dict[Path, tuple[str, str]]:
    """Id and title of the video of each caption file; yt-dlp names them `<id>_<title>.<language>.vtt` here.

    An id is one in `fetched`, or eleven characters as YouTube's are, `_` among them, with which no file of another
    title begins, since part 1 and part 2 of something are two videos. Without an id the whole name stands for it.
    """
    stems = {path: caption_stem(path) for path in paths}
    beginnings = {stem: match[1] for stem in stems.values() if (match := re.match(f"({YOUTUBE_ID})_.", stem))}
    counts = Counter(beginnings.values())
    videos = {}
    for path, stem in stems.items():
        known = max((i for i in fetched if stem.startswith(f"{i}_")), key=len, default="")
        video = known or (beginnings[stem] if stem in beginnings and counts[beginnings[stem]] == 1 else stem)
        title = stem[len(video) + 1 :] if video != stem else stem.partition("_")[2] or stem
        videos[path] = (video, title.translate(FULL_WIDTH).strip())
    return videos
