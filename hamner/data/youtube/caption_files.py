"""Caption files of videos: which files a target holds, and the id, title and language that a file's name states.

In: paths. Out: paths, ids, titles, languages. Nothing is read here: the command checks its arguments with it before it
imports anything large.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from hamner.data.sources.find_files import COMPRESSED_SUFFIXES, path_text, walk

SUFFIXES = (".vtt", ".srt")  # in any case
PACKED = tuple(suffix + packed for suffix in SUFFIXES for packed in (*COMPRESSED_SUFFIXES, ".zip"))
INFO = ".info.json"
# What yt-dlp and others write beside or instead, and nothing here reads.
OTHER_CAPTIONS = (".json3", ".srv1", ".srv2", ".srv3", ".ttml", ".dfxp", ".ass", ".ssa", ".sbv", ".smi", ".lrc", ".sub")
LIVE_CHAT = ".live_chat.json"
YOUTUBE_ID = "[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]"  # 64 bits in eleven characters of six: few can be the last
LIKE_DRAWN = re.compile(r"[0-9_-]|[a-z][A-Z]|[A-Z]{2}")  # "discussions" is no id
FULL_WIDTH = str.maketrans("＂＊：＜＞？｜⧸⧹", '"*:<>?|/\\')  # what yt-dlp writes for signs no file name may have
# ISO 639-1, and the longer codes that YouTube uses: "part.one" ends with a word.
CODES = (
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce "
    "ch co cr cs cu cv cy da de dv dz ee el en eo es et eu fa ff fi fj fo fr "  # codespell:ignore fo
    "fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is "
    "it iu iw ja ji jv jw ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb "
    "lg li ln lo lt lu lv mg mh mi mk ml mn mo mr ms mt my na nb nd ne ng nl "  # codespell:ignore nd
    "nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd "
    "se sg sh si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn "  # codespell:ignore te
    "to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu ast bho ceb "
    "ckb cmn doi fil gom gsw haw hmn ilo kok kri lus mai mni nan nso sat sdp und yue "
)
LANGUAGES = frozenset(CODES.split())
# ISO 639-2 and the names that players and editors write
NAMES = (
    "eng en ger de deu de fre fr fra fr spa es ita it por pt rus ru jpn ja chi zh "
    "zho zh kor ko ara ar dut nl nld nl pol pl swe sv dan da nor no fin fi tur tr "
    "cze cs ces cs hun hu gre el ell el heb he hin hi ukr uk rum ro ron ro english en "
    "german de french fr spanish es italian it portuguese pt russian ru japanese ja "
    "chinese zh korean ko arabic ar dutch nl polish pl swedish sv danish da norwegian no "
    "finnish fi turkish tr czech cs hungarian hu greek el hebrew he hindi hi ukrainian uk romanian ro"
)
SAME_AS = dict(zip(NAMES.split()[::2], NAMES.split()[1::2], strict=True))
REGION = r"(?:-[A-Za-z0-9_]+)*|_[A-Z]{2}|_[A-Z][a-z]{3}"  # en-US, zh-Hans, en-uYU-mmqFLq8; en_US
KINDS = r"(?:\.(?:sdh|cc|hi|forced|default|auto))*"  # after the language: for whom, or how it was made
COPY = r"(?: \(\d+\))?"  # what a browser or a file manager adds
ENDING = re.compile(rf"\.([A-Za-z]{{2,10}})({REGION})({KINDS}){COPY}$")
ROMAN = re.compile("[IVXLCDM]+")  # "vol.VI" is no Vietnamese


@dataclass(frozen=True)
class Video:
    """The video of a caption file. language: as the file's name states it, or empty."""

    id: str
    title: str
    language: str = ""


def is_address(target: str) -> bool:
    """Whether a target is an address or @channel, not something on this disk."""
    return target.startswith(("https://", "http://", "@"))


def is_captions(path: Path) -> bool:
    """Whether a file is named as captions that can be read."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def caption_files(place: Path) -> list[Path]:
    """The caption files of a folder, and its info-jsons without one beside them; of a file, the file."""
    if place.is_file():
        return [place]
    paths = sorted(walk(place))
    captions = [path for path in paths if is_captions(path) and (path.is_file() or path.is_symlink())]
    bases = {path.with_name(caption_stem(path)) for path in captions}
    infos = [path for path in paths if path.name.endswith(INFO)]
    return [*captions, *(path for path in infos if path.with_name(path.name.removesuffix(INFO)) not in bases)]


def other_caption_files(place: Path) -> list[Path]:
    """The files of a folder that hold captions in a format which is not read."""
    names = (*OTHER_CAPTIONS, *PACKED, LIVE_CHAT)
    return sorted(path for path in walk(place) if path.name.lower().endswith(names)) if place.is_dir() else []


def caption_stem(path: Path) -> str:
    """A caption file's name without language and ending."""
    stem, match = path.name[: -len(path.suffix)], _ending(path)
    return stem[: match.start()] if match else stem


def caption_language(path: Path) -> str:
    """The language that a caption file's name ends with, as YouTube writes it, or ""."""
    match = _ending(path)
    if match is None:
        return ""
    code = match[1].lower()
    return SAME_AS.get(code, code) + match[2].replace("_", "-", 1 if match[2].startswith("_") else 0)


def _ending(path: Path) -> re.Match[str] | None:
    """What a caption file's name ends with from its language on; None for a name without one."""
    match = ENDING.search(path.name[: -len(path.suffix)])
    if match is None or (match[1] != match[1].lower() and ROMAN.fullmatch(match[1])):
        return None
    return match if match[1].lower() in LANGUAGES or match[1].lower() in SAME_AS else None


def by_language(path: Path, wanted: str) -> tuple[int, bool, str]:
    """Sorts the files of one video: first those in the wanted language itself, then those nearest to it."""
    language, base = caption_language(path), wanted.partition("-")[0]
    order = [wanted, f"{wanted}-orig", base, f"{base}-orig"]
    if language in order:
        rank = order.index(language)
    else:
        rank = 4 if language.partition("-")[0] == base else 6 if language else 5
    is_special = bool((match := _ending(path)) and (match[3] or match[0].endswith(")")))
    return rank, is_special, "" if path.suffix.lower() == ".vtt" else "other format"


def videos_of(paths: Sequence[Path], fetched: AbstractSet[str]) -> dict[Path, Video]:
    """The video of each caption file; yt-dlp names them `<id>_<title>.<language>.vtt` here, `<title> [<id>]` elsewhere.

    An id is one in `fetched`, or eleven characters as YouTube's are with which no file of another title begins or ends,
    since part 1 and part 2 of something are two videos. Without an id the whole name stands for it.
    """
    stems = {path: path_text(caption_stem(path)) for path in paths}
    beginnings = {stem: match[1] for stem in stems.values() if (match := _id_at_the_beginning(stem))}
    endings = {stem: ending for stem in stems.values() if (ending := _id_at_the_end(stem))}
    counts = Counter([*beginnings.values(), *(video for _, video in endings.values())])
    bracketed = {video for stem, (_, video) in endings.items() if "]" in stem}
    videos = {}
    for path, stem in stems.items():
        video, title = stem, stem.partition("_")[2] or stem
        if known := max((i for i in fetched if stem.startswith(f"{i}_")), key=len, default=""):
            video, title = known, stem[len(known) + 1 :]
        elif stem in endings and ("]" in stem or counts[endings[stem][1]] == 1):
            title, video = endings[stem]
        elif stem in beginnings and (counts[beginnings[stem]] == 1 or beginnings[stem] in bracketed):
            video, title = beginnings[stem], stem[len(beginnings[stem]) :].removeprefix(" -").lstrip("_ ")
        videos[path] = Video(video, title.translate(FULL_WIDTH).strip(), caption_language(path))
    return videos


def _id_at_the_end(stem: str) -> tuple[str, str] | None:
    """Title and id of a name as yt-dlp gives it by default, `<title> [<id>]`, or youtube-dl, `<title>-<id>`."""
    match = re.fullmatch(rf"(.+?)[ _]?\[({YOUTUBE_ID})\]{COPY}", stem) or re.fullmatch(rf"(.+)-({YOUTUBE_ID})", stem)
    return (match[1], match[2]) if match and LIKE_DRAWN.search(match[2]) else None


def _id_at_the_beginning(stem: str) -> re.Match[str] | None:
    """The match of a name that begins with an id: `<id>_<title>`, as download.py has it, or `<id> - <title>`."""
    match = re.match(f"({YOUTUBE_ID})(_| - ).", stem)
    return match if match and (match[2] == "_" or LIKE_DRAWN.search(match[1])) else None
