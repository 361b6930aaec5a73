"""YouTube captions to training samples: gather the caption files of a target in one folder, then cut them.

In: an address, or files on this disk. Out: OUT/youtube/*.vtt, OUT/training_samples.jsonl, OUT/stats.json.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from hamner.config.errors import BadInput
from hamner.data.youtube.caption_files import caption_files, caption_stem, is_address, videos_of
from hamner.data.youtube.caption_text import whole_text
from hamner.data.youtube.captions import read_captions
from hamner.data.youtube.download import Outcome, fetch, fetched_ids
from hamner.data.youtube.samples import MIN_CHARACTERS, Cut, samples
from hamner.runs.files import write_json, write_text


def gather(target: str, folder: Path, language: str, sleep_seconds: float) -> Iterator[Outcome]:
    """Bring the captions of all the target's videos into the folder; one outcome a video, as they come."""
    if is_address(target):
        address = f"https://www.youtube.com/{target}" if target.startswith("@") else target
        yield from fetch(address, folder, language, sleep_seconds)
        return
    files = caption_files(Path(target).expanduser())
    named = videos_of([path for path in files if path.suffix == ".vtt"], fetched_ids(folder))
    seen: set[str] = set()
    for path in files:
        outcomes = (
            [_copy(path, named[path][0], folder, language, seen)]
            if path in named
            else list(fetch(path, folder, language, sleep_seconds))
        )
        for outcome in outcomes:
            if outcome.video not in seen or outcome.problem:
                yield outcome
            seen.add(outcome.video)


def _copy(path: Path, video: str, folder: Path, language: str, seen: set[str]) -> Outcome:
    """Copy a caption file into the folder, under a name of its own.

    seen: videos that already have captions of this run; a file without an id is a video of its own, whatever its name.
    """
    try:
        captions = read_captions(path)
        if captions.language and captions.language.split("-")[0] != language.split("-")[0]:
            raise BadInput(f"captions in '{captions.language}', not in '{language}' (--language chooses)")
        text, copy = whole_text(path), folder / path.name
        if video == caption_stem(path):
            copy = _free_or_same(copy, text)
            video = caption_stem(copy)
        if copy.is_file() and copy.read_text(encoding="utf-8") == text:
            return Outcome(video)
        if video in seen:
            raise BadInput(f"another caption file of {video}, left out: {path.parent}")
        write_text(copy, text)
    except BadInput as error:
        return Outcome(path.name, str(error))
    return Outcome(video, how="copied")


def _free_or_same(path: Path, text: str) -> Path:
    """The first of `path`, `path (2)`, ... where no file is, or one with this text."""
    stem = caption_stem(path)
    numbered = (f"{stem} ({number}){path.name.removeprefix(stem)}" for number in itertools.count(2))
    places = (path.with_name(name) for name in itertools.chain([path.name], numbered))
    return next(place for place in places if not place.is_file() or place.read_text(encoding="utf-8") == text)


def write_samples(out: Path, cut: Cut, say: Callable[[str], None] = print) -> set[str]:
    """Cut everything in OUT/youtube; returns the names of the files that gave samples."""
    lines, kinds, words = [], Counter[str](), Counter[str]()
    names: set[str] = set()
    paths = sorted((out / "youtube").glob("*.vtt"))
    for path, (video, title) in videos_of(paths, fetched_ids(out / "youtube")).items():
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
        names.add(path.name)
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
