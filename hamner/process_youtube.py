"""Somebody's own videos to samples of their voice, which the source `personal` reads.

    python -m hamner.process_youtube CHANNEL_OR_VIDEO_OR_FOLDER [--pauses 0.5] [--uses 1] [--out data/personal]

The argument is an address (https://..., @channel) whose automatic captions yt-dlp fetches, or something on this disk:
a .vtt file, an info-json that yt-dlp wrote, or a folder of them. Data out:

OUT/youtube/<id>_<title>.<language>.vtt   captions of all the videos so far, fetched or copied here (copies keep their
                                          name; another file of a name that is taken gets a number)
OUT/youtube/archive                       which are done, as yt-dlp writes it
OUT/training_samples.jsonl, stats.json    samples of all of them (see voice_samples.py); what was counted

The samples are a function of the captions and the options alone. Stopped at any moment, the same command goes on.
What is wrong with a video is said in one line and the rest goes on; exit code 1 when nothing came out.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hamner.config.errors import BadInput, Problems
from hamner.data.youtube.gather import caption_files, gather, is_address, write_samples
from hamner.data.youtube.samples import Cut
from hamner.runs.cli import run_command
from hamner.runs.folders import home_folder
from hamner.runs.lock import only_one


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m hamner.process_youtube", description="Samples of a voice from automatic captions."
    )
    parser.add_argument(
        "target",
        metavar="CHANNEL_OR_VIDEO_OR_FOLDER",
        help="an address, @channel, a .vtt file, an info-json, or a folder of them",
    )
    parser.add_argument("--out", metavar="DIR", help="where captions and samples go (default: data/personal)")
    parser.add_argument(
        "--uses",
        type=int,
        default=1,
        help="samples that one word may be in (default: 1); more than 1 asks for two videos or more",
    )
    parser.add_argument(
        "--pauses",
        type=float,
        metavar="SECONDS",
        help="a silence this long ends a sentence, for captions without punctuation (try 0.5)",
    )
    parser.add_argument("--language", default="en", help="of the speech, as YouTube names it (default: en)")
    parser.add_argument(
        "--sleep",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="before each caption file; a seventh of it between other requests (default: 5)",
    )
    parser.add_argument("--seed", type=int, default=0, help="same seed and captions, same samples (default: 0)")
    options = parser.parse_args(arguments)
    _check(options)
    out = Path(options.out).expanduser().resolve() if options.out else home_folder() / "data" / "personal"
    try:
        (out / "youtube").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--out {out} cannot be made: {error.strerror}; choose another folder") from None
    try:
        with only_one(out / "youtube" / "process.lock", f"another process_youtube is at work in {out}"):
            return _process(options, out, Cut(options.uses, options.pauses, options.seed))
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on where it stood")
        return 130


def _check(options: argparse.Namespace) -> None:
    """Everything about the command line that can be found wrong at once. Raises BadInput."""
    problems = Problems()
    if options.uses < 1:
        problems.found.append(f"--uses {options.uses} must be 1 or more: how many samples one word may be in")
    if options.pauses is not None and not 0 < options.pauses < 60:
        problems.found.append(f"--pauses {options.pauses:g} must be above 0 and below 60 seconds: 0.5 is usual")
    if not 0 <= options.sleep <= 3600:
        problems.found.append(f"--sleep {options.sleep:g} must be from 0 to 3600 seconds")
    if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]+)*", options.language):
        problems.found.append(f"--language '{options.language}' is no language code: en, de, pt-BR, ...")
    target = options.target
    if not is_address(target):
        path = Path(target).expanduser()
        if not path.exists():
            problems.found.append(
                f"'{target}' is no folder or file here, and no address: give https://..., @channel, "
                "a .vtt file, an info-json, or a folder of them"
            )
        elif path.is_file() and not target.endswith((".vtt", ".info.json")):
            problems.found.append(f"{target} is no caption file: give a .vtt, an .info.json or a folder of them")
        elif path.is_dir() and not caption_files(path):
            problems.found.append(f"no *.vtt or *.info.json in {target}: download captions there, or give an address")
    problems.raise_all()


def _process(options: argparse.Namespace, out: Path, cut: Cut) -> int:
    counts: Counter[str] = Counter()
    good: set[str] = set()
    for outcome in gather(options, out / "youtube"):
        counts["without captions" if outcome.problem else outcome.how] += 1
        if outcome.problem or outcome.how != "here already":
            print(f"{outcome.video}: {outcome.problem or outcome.how}", flush=True)
        if not outcome.problem:
            good.add(outcome.video)
    made = write_samples(out, cut)
    print(f"{counts.total()} videos: " + ", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
    if not any(name.startswith(video) for video in good for name in made):
        print(f"nothing came of {options.target}")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
