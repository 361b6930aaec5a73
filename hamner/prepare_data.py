"""The command that turns text into shards, and the same for a run that was given text instead of shards.

    python -m hamner.prepare_data [--config NAME|PATH] [--data hub|builtin|DIR] [--sources NAME,NAME] [--out DIR]
                                  [--tokens N] [--shard-tokens N] [key=value ...]

Data in: the config's `data` section and the sources that are wanted. Data out: a folder (see corpus.py) and the
tokenizer beside it, to be given to any number of runs as their --data. Everything missing or broken is found here,
in the command's own process. Killed at any moment and started again it goes on; the same inputs give the same bytes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from hamner.config.errors import BadInput, did_you_mean
from hamner.config.schema import SOURCE_NAMES, Config
from hamner.data.preparation.for_run import check_sources, choose_tokenizer
from hamner.data.preparation.job import Runner, Work, settings
from hamner.data.preparation.manifest import check_finished, is_prepared
from hamner.data.preparation.part import WORK, Part
from hamner.data.preparation.pipeline import run
from hamner.data.preparation.plan import COPY_FIRST, STAGED, _inputs, open_job
from hamner.data.preparation.store import Store
from hamner.data.preparation.write_shards import SHARD_TOKENS
from hamner.data.sources import SOURCES
from hamner.runs import cli
from hamner.runs.cli import read_config, run_command
from hamner.runs.folders import home_folder
from hamner.runs.lock import only_one

STOPPED = "the same command goes on where it stood"


@contextmanager
def progress_bar(console: Console, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows what is done of `total` bytes, MB/s and the time left; yields what is told of each step."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(what, total=total)
        yield lambda size: progress.advance(task, size)
        progress.update(task, completed=total)


def with_bar(console: Console) -> Runner:
    """Part by part in this process, with a progress bar."""

    def runner(what: str, work: Work, parts: Sequence[Part]) -> None:
        with progress_bar(console, what, sum(part.size for part in parts)) as advance:
            for part in parts:
                work(part, advance)

    return runner


@contextmanager
def one_process(console: Console, config: Config) -> Iterator[Runner]:
    """The work of every part is done here."""
    yield with_bar(console)


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(lambda words: prepare_command(words, "hamner.prepare_data", one_process), arguments, STOPPED)


def prepare_command(
    arguments: Sequence[str], module: str, runners: Callable[[Console, Config], AbstractContextManager[Runner]]
) -> int:
    """The command, whoever does the work; returns the exit code."""
    options = _parse(arguments, module)
    config = read_config(options, options.settings, "data")
    assert config is not None
    names = _names(options.sources)
    if is_prepared(config.data.path):
        raise BadInput(f"{config.data.path} is prepared already: give it to a run with --data")
    check_sources(config, names)
    place = options.out if "://" in options.out else str(Path(options.out).expanduser().resolve())
    console, store = cli.console(), Store(place)
    if store.local is not None:
        _make_folder(store.local)
    lock = (
        nullcontext()
        if store.local is None
        else only_one(
            store.local / ".prepare.lock", f"{place} is being prepared by another process: wait for it to end"
        )
    )
    with lock:
        manifest = store.read_json("manifest.json")
        if manifest is None:
            tokenizer = choose_tokenizer(config)
            console.print(
                f"preparing {', '.join(names)} from {config.data.path}; tokenizer: "
                f"{'given' if tokenizer else 'to be trained'}, {config.size.vocab_size:,} entries",
                soft_wrap=True,
            )
            job = open_job(
                config,
                place,
                names,
                tokenizer,
                tokens=options.tokens,
                shard_tokens=options.shard_tokens,
                runner=with_bar(console),
                say=lambda line: console.print(line, soft_wrap=True),
            )
            with runners(console, config) as runner:
                run(
                    job,
                    tokenizer,
                    max(config.tournament.seq_len, config.curriculum.seq_len),
                    runner,
                    lambda line: console.print(line, soft_wrap=True),
                )
            manifest = store.read_json("manifest.json")
        else:
            check_finished(
                store,
                manifest,
                settings(config, names, options.tokens, options.shard_tokens),
                _inputs(config, names),
                choose_tokenizer(config),
            )
    for left in (WORK, STAGED):  # by a kill after the last step
        store.remove(left)
    _show(console, manifest, place)
    return 0


def _make_folder(folder: Path) -> None:
    """Raises BadInput where there can be none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--out {folder} cannot be made: {error.strerror}; choose another folder") from None


def _parse(arguments: Sequence[str], module: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description="Text in, token shards out.")
    parser.add_argument(
        "--config",
        metavar="NAME|PATH",
        help="a name in ray_configs/ or a TOML file, as the run's "
        "that will read it (default: rtx3090 where CUDA is, else laptop)",
    )
    parser.add_argument("--data", metavar="hub|builtin|DIR", help="where text comes from (default: the config's)")
    parser.add_argument("--sources", metavar="NAME,NAME", help="default: all that are text")
    parser.add_argument(
        "--out",
        metavar="DIR",
        default=str(home_folder() / "data" / "prepared"),
        help="where shards go, a folder or any address fsspec knows (default: %(default)s)",
    )
    parser.add_argument("--tokens", metavar="N", type=_count, help="stop each source after about N training tokens")
    parser.add_argument(
        "--shard-tokens",
        metavar="N",
        type=_count,
        default=SHARD_TOKENS,
        help="length of a shard, and the most that a kill can cost (default: %(default)s)",
    )
    parser.add_argument("settings", nargs="*", metavar="key=value", help="override any key of the config")
    options = parser.parse_intermixed_args(arguments)
    wrong = [word for word in options.settings if "=" not in word]
    if wrong:
        raise BadInput([f"'{word}' is not key=value" for word in wrong])
    options.resume = False  # nothing to say: it always goes on where it stood
    return options


def _count(word: str) -> int:
    """A positive whole number, also as 10_000_000 or 1e9."""
    try:
        value = float(word)
    except ValueError:
        value = 0.0
    if not value.is_integer() or value < 1:
        raise argparse.ArgumentTypeError(f"'{word}' is no number of tokens: give 1 or more, as 10_000_000 or 1e9")
    return int(value)


def _names(words: str | None) -> tuple[str, ...]:
    """The sources asked for, in SOURCE_NAMES order. Raises BadInput for those there are not."""
    text = tuple(name for name in SOURCE_NAMES if SOURCES[name].builtin)
    if words is None:
        return text
    asked = [word.strip() for word in words.split(",")]
    unknown = [
        f"--sources {word}: "
        + (
            "its items are drawn while training, there is nothing to prepare"
            if word in SOURCE_NAMES
            else f"unknown source; {did_you_mean(word, text)}"
        )
        for word in asked
        if word not in text
    ]
    if unknown:
        raise BadInput(unknown)
    return tuple(name for name in text if name in asked)


def _show(console: Console, manifest: dict[str, Any], place: str) -> None:
    table = Table("source", "documents", "tokens", "held out", "shards", "dropped", box=None, padding=(0, 2, 0, 0))
    for name, facts in manifest["sources"].items():
        dropped = ", ".join(f"{count:,} {why.replace('_', ' ')}" for why, count in facts["dropped"].items() if count)
        table.add_row(
            name,
            f"{facts['documents']:,}",
            f"{facts['tokens']:,}",
            f"{facts['heldout_tokens']:,}",
            str(len(facts["shards"])),
            dropped or "nothing",
        )
    console.print(table)
    use = COPY_FIRST if "://" in place else f"give it to a run with --data {place}"
    console.print(f"finished: {place}; {use}", soft_wrap=True)


if __name__ == "__main__":
    raise SystemExit(main())
