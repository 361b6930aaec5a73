"""YouTube captions to training samples: gather the caption files of a target in one folder, then cut them.

In: an address, or files on this disk. Out: OUT/youtube/*.vtt, *.srt, OUT/training_samples.jsonl, OUT/stats.json.
"""

from __future__ import annotations

import errno
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hamner.config.errors import BadInput
from hamner.data.sources.find_files import path_text
from hamner.data.youtube.caption_files import (
    Video,
    by_language,
    caption_files,
    caption_stem,
    is_address,
    is_captions,
    videos_of,
)
from hamner.data.youtube.caption_text import whole_text
from hamner.data.youtube.captions import read_captions
from hamner.data.youtube.download import LEFT_OUT, Outcome, fetch, fetched_ids
from hamner.data.youtube.samples import MIN_CHARACTERS, Cut, samples
from hamner.runs.files import write_json, write_text


def gather(target: str, folder: Path, language: str, sleep_seconds: float) -> Iterator[Outcome]:
    """Bring the captions of all the target's videos into the folder; one outcome a video, as they come."""
    if is_address(target):
        address = f"https://www.youtube.com/{target}" if target.startswith("@") else target
        yield from fetch(address, folder, language, sleep_seconds)
        return
    files = caption_files(Path(target).expanduser())
    videos = videos_of([path for path in files if is_captions(path)], fetched_ids(folder))
    groups: dict[tuple[Path, str] | str, list[Path]] = {}
    for path, video in videos.items():  # a file without an id is a video of its own, whatever its name
        has_no_id = video.id == path_text(caption_stem(path))
        groups.setdefault((path.parent, video.id) if has_no_id else video.id, []).append(path)
    seen: set[str] = set()
    for paths in groups.values():
        for outcome in _copy_first(
            sorted(paths, key=lambda path: by_language(path, language)), videos, folder, language
        ):
            yield outcome
            seen.add(outcome.video)
    for path in files:
        for outcome in () if path in videos else fetch(path, folder, language, sleep_seconds):
            if outcome.video not in seen or outcome.problem:
                yield outcome
            seen.add(outcome.video)


def _copy_first(paths: Sequence[Path], videos: Mapping[Path, Video], folder: Path, language: str) -> Iterator[Outcome]:
    """Copy the first of one video's files that can be read. The others are left out, and each is said."""
    problems: list[Outcome] = []
    for number, path in enumerate(paths, start=1):
        outcome = _copy(path, videos[path], folder, language)
        if not outcome.problem:
            yield from (replace(problem, how=LEFT_OUT) for problem in problems)
            yield outcome
            for other in paths[number:]:
                line = f"another caption file of {outcome.video}, left out: {other.parent}"
                yield Outcome(other.name, line, LEFT_OUT)
            return
        problems.append(outcome)
    yield problems[0]
    yield from (replace(problem, how=LEFT_OUT) for problem in problems[1:])


def _copy(path: Path, video: Video, folder: Path, language: str) -> Outcome:
    """Copy a caption file into the folder, under a name of its own."""
    try:
        captions = read_captions(path)
        own = captions.language or video.language
        if own and own.split("-")[0] != language.split("-")[0]:
            raise BadInput(f"captions in '{own}', not in '{language}' (--language chooses)")
        text, copy, name = whole_text(path), folder / path.name, video.id
        if name == path_text(caption_stem(path)):
            copy = _free_or_same(copy, text)
            name = path_text(caption_stem(copy))
        if _holds(copy, text):
            return Outcome(name)
        write_text(copy, text)
    except BadInput as error:
        return Outcome(path_text(path.name), str(error))
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return Outcome(path_text(path.name), "its name is too long to be copied: rename it")
    return Outcome(name, how="copied")


def _free_or_same(path: Path, text: str) -> Path:
    """The first of `path`, `path (2)`, ... where no file is, or one with this text."""
    stem = caption_stem(path)
    numbered = (f"{stem} ({number}){path.name.removeprefix(stem)}" for number in itertools.count(2))
    places = (path.with_name(name) for name in itertools.chain([path.name], numbered))
    return next(place for place in places if not place.is_file() or _holds(place, text))


def _holds(path: Path, text: str) -> bool:
    """Whether a file is there and holds this text; one of another encoding does not."""
    return path.is_file() and path.read_bytes() == text.encode()


def write_samples(out: Path, cut: Cut, language: str = "en", say: Callable[[str], None] = print) -> dict[str, str]:
    """Cut everything in OUT/youtube; returns of each file that gave samples its name and its video's id.

    language: of several files of a video that in this one is cut.
    """
    lines, kinds, words = [], Counter[str](), Counter[str]()
    names: dict[str, str] = {}
    paths = sorted(path for path in (out / "youtube").iterdir() if is_captions(path) and path.is_file())
    videos = videos_of(paths, fetched_ids(out / "youtube"))
    place = {video.id: number for number, video in reversed(list(enumerate(videos.values())))}  # of its first file
    for path in sorted(paths, key=lambda path: (place[videos[path].id], by_language(path, language))):
        video, title = videos[path].id, videos[path].title
        if video in words:
            say(f"{path.name}: another caption file of {video}, left out")
            continue
        try:
            captions = read_captions(path)
            of_video = list(samples(video, title, captions.words, cut))
            if not of_video:
                raise BadInput(f"too short: less than {MIN_CHARACTERS} characters are said in it")
        except BadInput as error:
            say(f"{path.name}: {error}")
            continue
        if captions.malformed:
            say(f"{path.name}: {captions.malformed} malformed cues passed over")
        names[path.name] = video
        words[video] = len(captions.words)
        kinds.update(sample["source"] for sample in of_video)
        lines += [json.dumps(sample, ensure_ascii=False) + "\n" for sample in of_video]
    if cut.uses > 1 and len(words) == 1:
        raise BadInput(
            f"--uses {cut.uses} needs two videos or more, since a video is held out as a whole or not at all, and "
            f"{out / 'youtube'} has one with words: use --uses 1, or add videos"
        )
    if lines:
        _write(out, lines, kinds, words, cut)
        counts = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
        say(
            f"{out / 'training_samples.jsonl'}: {len(lines)} samples ({counts}) of {len(words)} videos, "
            f"{words.total():,} words, each in at most {cut.uses}"
        )
    return names


def _write(out: Path, lines: list[str], kinds: Counter[str], words: Counter[str], cut: Cut) -> None:
    """Write the samples, and what was counted. kinds: samples of each kind; words: said in each video."""
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
