"""The command that turns text into shards, and the same for a run that was given text instead of shards.

    python -m hamner.prepare_data [--config NAME|PATH] [--data hub|builtin|DIR] [--sources NAME,NAME] [--out DIR]
                                  [--tokens N] [--shard-tokens N] [key=value ...]

Data in: the config's `data` section and the sources that are wanted. Data out: a folder (see corpus.py) and the
tokenizer beside it, to be given to any number of runs as their --data. Everything missing or broken is found here,
in the command's own process. Killed at any moment and started again it goes on; the same inputs give the same bytes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from hamner.config.errors import BadInput, Problems, closest
from hamner.config.schema import SOURCE_NAMES, Config, Data
from hamner.data.corpus import Corpus
from hamner.data.preparation.job import Inputs, Job, Runner, Work, inputs_of, parts_of, settings
from hamner.data.preparation.manifest import check_finished, held_sources, is_prepared
from hamner.data.preparation.part import WORK, Part
from hamner.data.preparation.pipeline import run
from hamner.data.preparation.store import Store
from hamner.data.preparation.write_shards import SHARD_TOKENS
from hamner.data.sources import SOURCES, Source
from hamner.data.sources.hub_stream import Staged, stage
from hamner.data.sources.local_files import folder_files
from hamner.data.split import CHARACTERS_PER_TOKEN
from hamner.data.tokenizer import Tokenizer
from hamner.runs import cli
from hamner.runs.cli import read_config, run_command
from hamner.runs.folders import home_folder, only_one, read_json, write_json

STOPPED = "the same command goes on where it stood"
STAGED = "from_hub"    # what was streamed, until the manifest is written
COPY_FIRST = "copy it to a disk of the machine first, and give that folder to a run with --data"
SPARE = 1.3    # of a hub source, streamed for what is held out or dropped

Say = Callable[[str], None]


def check_sources(config: Config, names: Iterable[str]) -> None:
    """Everything about the sources that can be found wrong without reading them. Raises BadInput."""
    problems = Problems()
    path = config.data.path
    if "://" in path:
        raise BadInput(f"--data {path} is an address, and text and shards are read from a folder: {COPY_FIRST}")
    if path not in ("hub", "builtin") and not Path(path).expanduser().is_dir():
        raise BadInput(
            f"no data folder '{path}': --data takes hub, builtin, or a folder with DIR/<source>/ in it"
        )
    if is_prepared(path):
        held = held_sources(path)
        missing = [name for name in dict.fromkeys(names) if SOURCES[name].builtin and name not in held]
        if missing:
            raise BadInput(f"{path} was prepared without {', '.join(missing)}: it holds {', '.join(held)}; prepare "
                           "again with --sources, or change the mix")
        return
    for name in sorted({*names, *(SOURCE_NAMES if config.data.tokenizer == "train" else ())}):
        folder = _folder_of(SOURCES[name], config)
        if folder is not None:
            with problems.collect():
                folder_files(SOURCES[name], folder)
    problems.raise_all()


def choose_tokenizer(config: Config) -> Tokenizer | None:
    """The config's ready-made tokenizer, None when one is to be trained. Raises BadInput for a wrong one."""
    if is_prepared(config.data.path):
        name: str | Path = Path(config.data.path).expanduser()    # the tokenizer travels with the shards
    elif config.data.tokenizer == "train":
        return None
    else:
        name = config.data.tokenizer
        beside_data = Path(config.data.path).expanduser() / "tokenizer"    # a data folder may bring cosmo2's copy
        usual = name == Data().tokenizer and config.data.path != "hub"
        if usual and (beside_data / "tokenizer.json").is_file():
            name = beside_data
    tokenizer = Tokenizer.load(name, config.data.hub_deadline)
    if tokenizer.vocab_size != config.size.vocab_size:
        raise BadInput(
            f"tokenizer '{name}' has {tokenizer.vocab_size} entries, the config's size.vocab_size is "
            f"{config.size.vocab_size}: use the tokenizer the config means, or change size.vocab_size"
        )
    if is_prepared(config.data.path):
        _check_asked_for(config, tokenizer)
    return tokenizer


def _check_asked_for(config: Config, own: Tokenizer) -> None:
    """Raises BadInput when the config names another tokenizer than a prepared folder's own."""
    asked = config.data.tokenizer
    if asked in ("train", Data().tokenizer):    # what a config says by itself; nobody has asked for one
        return
    sha256 = Tokenizer.load(asked).sha256
    if sha256 != own.sha256:
        raise BadInput(f"{config.data.path} was made with another tokenizer ({own.sha256[:12]}) than data.tokenizer = "
                       f"{asked} ({sha256[:12]}): leave that out, or prepare the data again with it")


def prepare(
    config: Config, folder: Path, names: Sequence[str], *, tokenizer: Tokenizer | None, seq_len: int,
    hub_tokens: int, say: Say = print,
) -> tuple[Corpus, Tokenizer]:
    """For one run: write the tokens of the sources `names` to `folder`; train a tokenizer first when None is given.

    seq_len: of the run's rows, of which each source must fill at least one to train on and one held out.
    hub_tokens: how far each hub source is streamed. Raises BadInput when a source is missing, too small or
    unreadable. A finished folder is taken as it is: preparing twice costs nothing, and a folder that was prepared
    beforehand is only pointed at.
    """
    if not (folder / "manifest.json").is_file():
        if is_prepared(config.data.path):
            _point_at(config, folder, names, tokenizer, seq_len)
        else:
            hub = config.data.path == "hub"
            if hub:
                say(f"streaming some {hub_tokens:,} tokens of each hub source for this run alone, about "
                    f"{hub_tokens * CHARACTERS_PER_TOKEN * SPARE / 1e6:,.0f} MB each; prepared once with `python -m "
                    "hamner.prepare_data`, no run waits for it again")
            runner = told_now_and_then(say)
            job = open_job(config, str(folder), names, tokenizer, tokens=hub_tokens if hub else None, runner=runner,
                           say=say)
            run(job, tokenizer, seq_len, runner, say)
            Store(job.place).remove(STAGED)
    tokenizer = Tokenizer.load(folder)
    return Corpus(folder, tokenizer.sha256), tokenizer


def _point_at(config: Config, folder: Path, names: Sequence[str], tokenizer: Tokenizer | None, seq_len: int) -> None:
    """Make `folder` stand for the prepared one that the config names."""
    check_sources(config, names)
    place = Path(config.data.path).expanduser().resolve()
    own = Tokenizer.load(place)
    corpus = Corpus(place, (tokenizer or own).sha256)
    short = [f"source '{name}' of {place} has {corpus.manifest['sources'][name][key]} tokens {use}, less than one row "
             f"of {seq_len}: prepare more text"
             for name in dict.fromkeys(names) if SOURCES[name].builtin
             for key, use in (("tokens", "to train on"), ("heldout_tokens", "held out"))
             if corpus.manifest["sources"][name][key] < seq_len]
    if short:
        raise BadInput(short)
    own.save(folder)
    write_json(folder / "manifest.json", corpus.manifest | {"folder": str(place), "seed": config.seed})


def open_job(
    config: Config, place: str, names: Iterable[str], tokenizer: Tokenizer | None, *, tokens: int | None,
    shard_tokens: int = SHARD_TOKENS, runner: Runner, say: Say,
) -> Job:
    """Find the text, streaming what comes from the hub (in this process, shown by `runner`). Raises BadInput, before
    anything is streamed when `place` was begun with other settings or other files."""
    trains, store = tokenizer is None, Store(place)
    written = tuple(name for name in SOURCE_NAMES if name in names and SOURCES[name].builtin)
    read = [SOURCES[name] for name in (SOURCE_NAMES if trains else written) if SOURCES[name].builtin]
    folders = {source.name: folder for source in read if (folder := _folder_of(source, config)) is not None}
    files = {name: folder_files(SOURCES[name], folder) for name, folder in folders.items()}
    _begin(store, {
        "settings": settings(config, written, tokens, shard_tokens),
        "inputs": [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for name in files for path in files[name]],
        "tokenizer": tokenizer.sha256 if tokenizer else "train"}, say)
    parts: list[Part] = []
    origins: dict[str, dict[str, Any]] = {}
    held: Inputs = {}    # what the manifest tells of them
    for source in read:
        name = source.name
        if name in files:
            origins[name] = {"origin": str(folders[name]), **_about(folders[name] / name / "about.json")}
            held[name] = inputs_of(files[name], folders[name] / name)
            parts += parts_of(name, files[name], folders[name] / name)
        elif config.data.path == "builtin":
            origins[name] = {"origin": "builtin", "revision": f"seed {config.seed}", "licence": "GPL-3.0-only"}
            parts.append(Part(name, 0, size=config.data.builtin_characters))
        else:
            staged = _stage(source, config, store, tokens, runner, say)
            assert source.hub is not None
            origins[name] = {"origin": f"hub: {source.hub.dataset}", "revision": staged.revision,
                             "licence": source.hub.licence}
            assert store.local is not None
            parts += parts_of(name, staged.pieces, store.local / STAGED / name)
    return Job(config, place, tuple(parts), written, origins, trains, tokens, shard_tokens, held)


def _begin(store: Store, plan: dict[str, Any], say: Say) -> None:
    """Leave on disk only what belongs to `plan`. Raises BadInput when shards of another one may be there already."""
    begun = store.read_json(f"{WORK}/plan.json")
    if begun == plan:
        return
    if begun is not None:
        differs = " and ".join(key for key in plan if begun.get(key) != plan[key])
        if store.read(f"{WORK}/decided.json") is not None:
            raise BadInput(f"{store.place} was begun with other {differs}: give the same options again, choose another "
                           f"--out, or delete {store.place}")
        say(f"{store.place} was begun with other {differs}, and nothing is written yet: beginning anew")
    for left in (STAGED, WORK):    # pieces are cut by how much is streamed: another plan's would give other shards
        store.remove(left)
    store.write_json(f"{WORK}/plan.json", plan)


def _inputs(config: Config, names: Sequence[str]) -> Inputs:
    """The files that would be read for the sources `names`; all five's to train a tokenizer."""
    folders = {name: _folder_of(SOURCES[name], config)
               for name in (SOURCE_NAMES if config.data.tokenizer == "train" else names)}
    return {name: inputs_of(folder_files(SOURCES[name], folder), folder / name)
            for name, folder in folders.items() if folder is not None}


def _about(path: Path) -> dict[str, Any]:
    """What a folder's owner says of its text; where nobody does, the manifest says so."""
    told = read_json(path) if path.is_file() else {}
    if not isinstance(told, dict) or not told.keys() <= {"revision", "licence"}:
        raise BadInput(f'{path} must be {{"revision": ..., "licence": ...}}')
    return {"revision": None, "licence": "not stated"} | told


def _stage(source: Source, config: Config, store: Store, tokens: int | None, runner: Runner, say: Say) -> Staged:
    """The pieces of a hub source, streamed if they are not there yet. Raises BadInput."""
    if store.local is None:
        raise BadInput(f"what is streamed from the hub needs a folder of this machine, not {store.place}: download "
                       "the data set's files and give them with --data DIR, or choose another --out")
    folder, told = store.local / STAGED, list[Staged]()
    wanted = int((config.data.hub_tokens if tokens is None else tokens) * CHARACTERS_PER_TOKEN * SPARE)

    def work(part: Part, advance: Callable[[int], None]) -> None:
        told.append(stage(source, folder, wanted, config.data.hub_deadline, say, advance))

    runner(f"{source.name} from the hub", work, [Part(source.name, 0, size=wanted)])
    return told[0]


def _folder_of(source: Source, config: Config) -> Path | None:
    """The folder a source is read from; None when it needs none."""
    if config.data.path == "builtin" or source.builtin is None:
        return None
    if config.data.path == "hub":
        return None if source.hub else (home_folder() / Path(config.data.own).expanduser()).resolve()
    return Path(config.data.path).expanduser()


def told_now_and_then(say: Say) -> Runner:
    """Part by part in this process, with a line every 20 seconds."""
    def runner(what: str, work: Work, parts: Sequence[Part]) -> None:
        done, told, total = 0, time.monotonic(), sum(part.size for part in parts)

        def advance(size: int) -> None:
            nonlocal done, told
            done += size
            if time.monotonic() > told + 20:
                told = time.monotonic()
                say(f"{what}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB so far")

        for part in parts:
            work(part, advance)

    return runner


@contextmanager
def progress_bar(console: Console, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows what is done of `total` bytes, MB/s and the time left; yields what is told of each step."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TransferSpeedColumn(),
               TimeRemainingColumn())
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
    arguments: Sequence[str], module: str, runners: Callable[[Console, Config], AbstractContextManager[Runner]],
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
    lock = nullcontext() if store.local is None else only_one(
        store.local / ".prepare.lock", f"{place} is being prepared by another process: wait for it to end")
    with lock:
        manifest = store.read_json("manifest.json")
        if manifest is None:
            tokenizer = choose_tokenizer(config)
            console.print(f"preparing {', '.join(names)} from {config.data.path}; tokenizer: "
                          f"{'given' if tokenizer else 'to be trained'}, {config.size.vocab_size:,} entries",
                          soft_wrap=True)
            job = open_job(config, place, names, tokenizer, tokens=options.tokens, shard_tokens=options.shard_tokens,
                           runner=with_bar(console), say=lambda line: console.print(line, soft_wrap=True))
            with runners(console, config) as runner:
                run(job, tokenizer, max(config.tournament.seq_len, config.curriculum.seq_len), runner,
                    lambda line: console.print(line, soft_wrap=True))
            manifest = store.read_json("manifest.json")
        else:
            check_finished(store, manifest, settings(config, names, options.tokens, options.shard_tokens),
                           _inputs(config, names), choose_tokenizer(config))
    for left in (WORK, STAGED):    # by a kill after the last step
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
    parser.add_argument("--config", metavar="NAME|PATH", help="a name in ray_configs/ or a TOML file, as the run's "
                        "that will read it (default: rtx3090 where CUDA is, else laptop)")
    parser.add_argument("--data", metavar="hub|builtin|DIR", help="where text comes from (default: the config's)")
    parser.add_argument("--sources", metavar="NAME,NAME", help="default: all that are text")
    parser.add_argument("--out", metavar="DIR", default=str(home_folder() / "data" / "prepared"),
                        help="where shards go, a folder or any address fsspec knows (default: %(default)s)")
    parser.add_argument("--tokens", metavar="N", type=_count, help="stop each source after about N training tokens")
    parser.add_argument("--shard-tokens", metavar="N", type=_count, default=SHARD_TOKENS,
                        help="length of a shard, and the most that a kill can cost (default: %(default)s)")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="override any key of the config")
    options = parser.parse_intermixed_args(arguments)
    wrong = [word for word in options.settings if "=" not in word]
    if wrong:
        raise BadInput([f"'{word}' is not key=value" for word in wrong])
    options.resume = False    # nothing to say: it always goes on where it stood
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
    unknown = [f"--sources {word}: " + ("its items are drawn while training, there is nothing to prepare"
               if word in SOURCE_NAMES else f"unknown source; {closest(word, text)}")
               for word in asked if word not in text]
    if unknown:
        raise BadInput(unknown)
    return tuple(name for name in text if name in asked)


def _show(console: Console, manifest: dict[str, Any], place: str) -> None:
    table = Table("source", "documents", "tokens", "held out", "shards", "dropped", box=None, padding=(0, 2, 0, 0))
    for name, facts in manifest["sources"].items():
        dropped = ", ".join(f"{count:,} {why.replace('_', ' ')}" for why, count in facts["dropped"].items() if count)
        table.add_row(name, f"{facts['documents']:,}", f"{facts['tokens']:,}", f"{facts['heldout_tokens']:,}",
                      str(len(facts["shards"])), dropped or "nothing")
    console.print(table)
    use = COPY_FIRST if "://" in place else f"give it to a run with --data {place}"
    console.print(f"finished: {place}; {use}", soft_wrap=True)


if __name__ == "__main__":
    raise SystemExit(main())
