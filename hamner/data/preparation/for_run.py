"""Prepare the data of one run: check its sources, choose its tokenizer, make or link its shards."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from hamner.config.errors import BadInput, Problems
from hamner.config.schema import SOURCE_NAMES, Config, Data
from hamner.data.corpus import Corpus
from hamner.data.preparation.job import Runner, Work
from hamner.data.preparation.manifest import held_sources, is_prepared
from hamner.data.preparation.part import Part
from hamner.data.preparation.pipeline import run
from hamner.data.preparation.plan import COPY_FIRST, SPARE, STAGED, Say, _folder_of, open_job
from hamner.data.preparation.store import Store
from hamner.data.sources import SOURCES
from hamner.data.sources.local_files import folder_files
from hamner.data.split import CHARACTERS_PER_TOKEN
from hamner.data.tokenizer import Tokenizer
from hamner.runs.files import write_json


def check_sources(config: Config, names: Iterable[str]) -> None:
    """Everything about the sources that can be found wrong without reading them. Raises BadInput."""
    problems = Problems()
    path = config.data.path
    if "://" in path:
        raise BadInput(f"--data {path} is an address, and text and shards are read from a folder: {COPY_FIRST}")
    if path not in ("hub", "builtin") and not Path(path).expanduser().is_dir():
        raise BadInput(f"no data folder '{path}': --data takes hub, builtin, or a folder with DIR/<source>/ in it")
    if is_prepared(path):
        held = held_sources(path)
        missing = [name for name in dict.fromkeys(names) if SOURCES[name].builtin and name not in held]
        if missing:
            raise BadInput(
                f"{path} was prepared without {', '.join(missing)}: it holds {', '.join(held)}; prepare "
                "again with --sources, or change the mix"
            )
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
        name: str | Path = Path(config.data.path).expanduser()  # the tokenizer travels with the shards
    elif config.data.tokenizer == "train":
        return None
    else:
        name = config.data.tokenizer
        beside_data = Path(config.data.path).expanduser() / "tokenizer"  # a data folder may bring cosmo2's copy
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
    if asked in ("train", Data().tokenizer):  # what a config says by itself; nobody has asked for one
        return
    sha256 = Tokenizer.load(asked).sha256
    if sha256 != own.sha256:
        raise BadInput(
            f"{config.data.path} was made with another tokenizer ({own.sha256[:12]}) than data.tokenizer = "
            f"{asked} ({sha256[:12]}): leave that out, or prepare the data again with it"
        )


def prepare(
    config: Config,
    folder: Path,
    names: Sequence[str],
    *,
    tokenizer: Tokenizer | None,
    seq_len: int,
    hub_tokens: int,
    say: Say = print,
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
                say(
                    f"streaming some {hub_tokens:,} tokens of each hub source for this run alone, about "
                    f"{hub_tokens * CHARACTERS_PER_TOKEN * SPARE / 1e6:,.0f} MB each; prepared once with `python -m "
                    "hamner.prepare_data`, no run waits for it again"
                )
            runner = told_now_and_then(say)
            job = open_job(
                config, str(folder), names, tokenizer, tokens=hub_tokens if hub else None, runner=runner, say=say
            )
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
    short = [
        f"source '{name}' of {place} has {corpus.manifest['sources'][name][key]} tokens {use}, less than one row "
        f"of {seq_len}: prepare more text"
        for name in dict.fromkeys(names)
        if SOURCES[name].builtin
        for key, use in (("tokens", "to train on"), ("heldout_tokens", "held out"))
        if corpus.manifest["sources"][name][key] < seq_len
    ]
    if short:
        raise BadInput(short)
    own.save(folder)
    write_json(folder / "manifest.json", corpus.manifest | {"folder": str(place), "seed": config.seed})


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
