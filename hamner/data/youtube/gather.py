"""Gather caption files of videos, from YouTube or a folder, and write their samples."""

from __future__ import annotations

import argparse
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from hamner.config.errors import BadInput
from hamner.data.youtube.captions import read_captions, whole_text
from hamner.data.youtube.download import Outcome, fetch, fetched_ids
from hamner.data.youtube.samples import MIN_CHARACTERS, Cut, samples
from hamner.runs.files import write_json, write_text

YOUTUBE_ID = "[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]"  # 64 bits in eleven characters of six: few can be the last
FULL_WIDTH = str.maketrans("＂＊：＜＞？｜⧸⧹", '"*:<>?|/\\')  # what yt-dlp writes for signs no file name may have


def is_address(target: str) -> bool:
    return target.startswith(("https://", "http://", "@"))


def caption_files(place: Path) -> list[Path]:
    """Caption files, and the info-jsons that stand beside none."""
    if place.is_file():
        return [place]
    captions = sorted(place.rglob("*.vtt"))
    bases = {re.sub(r"(\.[A-Za-z0-9-]+)?\.vtt$", "", str(path)) for path in captions}
    return [
        *captions,
        *(path for path in sorted(place.rglob("*.info.json")) if str(path).removesuffix(".info.json") not in bases),
    ]


def gather(options: argparse.Namespace, folder: Path) -> Iterator[Outcome]:
    """Bring the captions of all the target's videos into the folder."""
    target = options.target
    if is_address(target):
        address = f"https://www.youtube.com/{target}" if target.startswith("@") else target
        yield from fetch(address, folder, options.language, options.sleep)
        return
    files = caption_files(Path(target).expanduser())
    named = videos_of([path for path in files if path.suffix == ".vtt"], fetched_ids(folder))
    seen: set[str] = set()
    for path in files:
        found = (
            [_copy(path, named[path][0], folder, options.language, seen)]
            if path in named
            else list(fetch(path, folder, options.language, options.sleep))
        )
        for outcome in found:
            if outcome.video not in seen or outcome.problem:
                yield outcome
            seen.add(outcome.video)


def _copy(path: Path, video: str, folder: Path, language: str, seen: set[str]) -> Outcome:
    """seen: videos whose captions this command has taken; a file without an id is a video of its own whatever its
    name."""
    try:
        captions = read_captions(path)
        if captions.language and captions.language.split("-")[0] != language.split("-")[0]:
            raise BadInput(f"captions in '{captions.language}', not in '{language}' (--language chooses)")
        text, copy = whole_text(path), folder / path.name
        if video == _stem(path):
            copy = _free_or_same(copy, text)
            video = _stem(copy)
        if copy.is_file() and copy.read_text(encoding="utf-8") == text:
            return Outcome(video)
        if video in seen:
            raise BadInput(f"another caption file of {video}, left out: {path.parent}")
        write_text(copy, text)
    except BadInput as error:
        return Outcome(path.name, str(error))
    return Outcome(video, how="copied")


def _free_or_same(path: Path, text: str) -> Path:
    """Where a text can go under its name, or one with a number, without taking another's place; or where it is."""
    stem = _stem(path)
    numbered = (f"{stem} ({number}){path.name.removeprefix(stem)}" for number in itertools.count(2))
    places = (path.with_name(name) for name in itertools.chain([path.name], numbered))
    return next(place for place in places if not place.is_file() or place.read_text(encoding="utf-8") == text)


def _stem(path: Path) -> str:
    """A caption file's name without language and ending."""
    return re.sub(r"\.[a-z]{2,3}(-[A-Za-z0-9]+)*$", "", path.name.removesuffix(".vtt"))


def videos_of(paths: Sequence[Path], fetched: AbstractSet[str]) -> dict[Path, tuple[str, str]]:
    """Ids and titles of caption files that are named as yt-dlp is told to here, `<id>_<title>.<language>.vtt`.

    An id is one that was fetched, or eleven characters as YouTube's are, `_` among them, with which no file of another
    title begins: part 1 and part 2 of something are two videos. Elsewhere the whole name stands for it.
    """
    stems = {path: _stem(path) for path in paths}
    begins = {stem: found[1] for stem in stems.values() if (found := re.match(f"({YOUTUBE_ID})_.", stem))}
    several = Counter(begins.values())
    videos = {}
    for path, stem in stems.items():
        known = max((i for i in fetched if stem.startswith(f"{i}_")), key=len, default="")
        video = known or (begins[stem] if stem in begins and several[begins[stem]] == 1 else stem)
        title = stem[len(video) + 1 :] if video != stem else stem.partition("_")[2] or stem
        videos[path] = (video, title.translate(FULL_WIDTH).strip())
    return videos


def write_samples(out: Path, cut: Cut) -> set[str]:
    """Cut everything in OUT/youtube; returns the names of the files that gave samples."""
    lines, kinds, words = [], Counter[str](), Counter[str]()
    made: set[str] = set()
    paths = sorted((out / "youtube").glob("*.vtt"))
    for path, (video, title) in videos_of(paths, fetched_ids(out / "youtube")).items():
        if video in words:
            print(f"{path.name}: another caption file of {video}, left out")
            continue
        try:
            captions = read_captions(path)
            found = list(samples(video, title, captions.words, cut))
            if not found:
                raise BadInput(f"too short: less than {MIN_CHARACTERS} characters are said in it")
        except BadInput as error:
            print(f"{path.name}: {error}")
            continue
        if captions.malformed:
            print(f"{path.name}: {captions.malformed} malformed cues passed over")
        made.add(path.name)
        words[video] = len(captions.words)
        kinds.update(sample["source"] for sample in found)
        lines += [json.dumps(sample, ensure_ascii=False) + "\n" for sample in found]
    if cut.uses > 1 and len(words) == 1:
        raise BadInput(
            f"--uses {cut.uses} needs two videos or more, for all of a video is held out or nothing, and "
            f"{out / 'youtube'} has one with words: leave --uses at 1, or add videos"
        )
    if lines:
        write_text(out / "training_samples.jsonl", "".join(lines))
        write_json(
            out / "stats.json",
            {
                "num_videos": len(words),
                "total_words": words.total(),
                "num_samples": len(lines),
                "sample_types": dict(sorted(kinds.items())),
                "uses": cut.uses,
                "pause_seconds": cut.pause_seconds,
                "seed": cut.seed,
            },
        )
        told = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
        print(
            f"{out / 'training_samples.jsonl'}: {len(lines)} samples ({told}) of {len(words)} videos, "
            f"{words.total():,} words, each in at most {cut.uses}"
        )
    return made
