"""Command: YouTube captions of somebody's own videos to training samples, which the source `personal` reads.

    hamner process_youtube CHANNEL_OR_VIDEO_OR_FOLDER [--pauses 0.5] [--uses 1] [--out data/personal]

Data in: an address (https://..., @channel) whose automatic captions yt-dlp fetches, or something on this disk: a .vtt
or .srt file, an info-json that yt-dlp wrote, or a folder of them. Data out:

OUT/youtube/<id>_<title>.<language>.vtt   captions of all the videos so far, fetched or copied here (copies keep their
                                          name; another file of a name that is taken gets a number)
OUT/youtube/archive                       the finished videos, as yt-dlp writes them
OUT/training_samples.jsonl, stats.json    samples of all of them (see data/youtube/samples.py), and their counts

The samples are a function of the captions and the options alone. Stopped at any moment, the same command continues.
A problem of one video is one line, and the others are processed; exit code 1 when there are no samples at all.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hamner.config.errors import BadInput, Problems
from hamner.data.youtube.caption_files import INFO, caption_files, is_address, is_captions, other_caption_files
from hamner.runs.cli import Parser, run_command

if TYPE_CHECKING:
    from hamner.data.youtube.samples import Cut

SHOWN = 5  # names of files in a line
EXAMPLES = (
    "hamner process_youtube @CHANNEL --pauses 0.5                      # automatic captions have no punctuation",
    "hamner process_youtube https://youtu.be/VIDEO --language de       # one video, of German speech",
    "hamner process_youtube ~/captions --uses 2 --out ~/text/personal  # caption files that are here already",
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser(
        "hamner process_youtube",
        "Captions of videos to samples of one person's speech, for the source `personal`.",
        EXAMPLES,
    )
    options.add_argument(
        "target",
        metavar="CHANNEL_OR_VIDEO_OR_FOLDER",
        help="an address, @channel, a .vtt or .srt file, an info-json, or a folder of them",
    )
    options.add_argument("--out", metavar="DIR", help="where captions and samples go (default: data/personal)")
    options.add_argument(
        "--uses",
        type=int,
        default=1,
        help="samples that one word may be in (default: 1); more than 1 needs two videos or more",
    )
    options.add_argument(
        "--pauses",
        type=float,
        metavar="SECONDS",
        help="a silence this long ends a sentence, for captions without punctuation (try 0.5)",
    )
    options.add_argument("--language", default="en", help="of the speech, as YouTube names it (default: en)")
    options.add_argument(
        "--sleep",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="before each caption file; a seventh of it between other requests (default: 5)",
    )
    options.add_argument("--seed", type=int, default=0, help="same seed and captions, same samples (default: 0)")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments, stopped="use the same command to continue")


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    _check(options)
    from hamner.data.youtube.samples import Cut
    from hamner.runs.folders import home_folder
    from hamner.runs.lock import only_one

    out = Path(options.out).expanduser().resolve() if options.out else home_folder() / "data" / "personal"
    try:
        (out / "youtube").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--out {out} cannot be created ({error.strerror}): use another folder") from None
    busy = f"another process_youtube is at work in {out}: wait for it, or use another --out"
    with only_one(out / "youtube" / "process.lock", busy):
        return _process(options, out, Cut(options.uses, options.pauses, options.seed))


def _check(options: argparse.Namespace) -> None:
    """Raises BadInput with everything that is wrong with the command line."""
    problems = Problems()
    if options.uses < 1:
        problems.lines.append(f"--uses {options.uses}: use 1 or more, the samples that one word may be in")
    if options.pauses is not None and not 0 < options.pauses < 60:
        problems.lines.append(f"--pauses {options.pauses:g}: use above 0 and below 60 seconds, 0.5 as a rule")
    if not 0 <= options.sleep <= 3600:
        problems.lines.append(f"--sleep {options.sleep:g}: use 0 to 3600 seconds")
    if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]+)*", options.language):
        problems.lines.append(f"--language '{options.language}' is not a language code: use en, de, pt-BR, ...")
    target = options.target
    if not is_address(target):
        path = Path(target).expanduser()
        if not path.exists():
            problems.lines.append(
                f"'{target}' is neither an address nor a file or folder here: give https://..., @channel, "
                "a .vtt or .srt file, an info-json, or a folder of them"
            )
        elif path.is_file() and not (is_captions(path) or path.name.endswith(INFO)):
            problems.lines.append(
                f"{target} is not a caption file: give a .vtt, an .srt, an .info.json, or a folder of them"
            )
        elif path.is_dir() and not caption_files(path):
            beside = f", but {others}" if (others := _other_files(path)) else ""
            problems.lines.append(
                f"no *.vtt, *.srt or *.info.json in {target}{beside}: download captions there, or give an address"
            )
    problems.raise_all()


def _other_files(place: Path) -> str:
    """How many caption files of a folder are in formats that are not read, and which; empty for none."""
    paths = other_caption_files(place)
    names = ", ".join(path.name for path in paths[:SHOWN]) + (", ..." if len(paths) > SHOWN else "")
    return f"{len(paths)} in formats that are not read ({names})" if paths else ""


def _process(options: argparse.Namespace, out: Path, cut: Cut) -> int:
    """Gather captions, write samples, print a line for each video; returns the exit code."""
    from hamner.data.youtube.download import LEFT_OUT, NOT_REACHED
    from hamner.data.youtube.gather import gather, write_samples
    from hamner.runs.folders import home_folder
    from hamner.runs.waiting import never_silent

    if not is_address(options.target) and (passed_over := _other_files(Path(options.target).expanduser())):
        print(f"passed over: {passed_over}; convert them to .vtt, as yt-dlp --convert-subs vtt does", flush=True)
    counts: Counter[str] = Counter()
    videos: set[str] = set()
    with never_silent("asking for captions", partial(print, flush=True)) as say:
        for outcome in gather(options.target, out / "youtube", options.language, options.sleep):
            if outcome.problem or outcome.how != "here already":
                say(f"{outcome.video}: {outcome.problem or outcome.how}")
            if outcome.how == LEFT_OUT:
                continue
            is_reached = outcome.how != NOT_REACHED
            counts["without captions" if outcome.problem and is_reached else outcome.how] += 1
            if not outcome.problem:
                videos.add(outcome.video)
    names = write_samples(out, cut, options.language)
    print(f"{counts.total()} videos: " + ", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
    if not any(video in names.values() or name.startswith(video) for video in videos for name in names):
        print(f"no samples from {options.target}")
        return 1
    if out.name == "personal":
        place = "" if out.parent == home_folder() / "data" else f" --data {shlex.quote(str(out.parent))}"
        print(f"the source `personal` is read from there; what else is missing: `curriculum doctor{place}`")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
