"""Data of one run: check its sources, choose its tokenizer, make or link its token shards."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from hamner.config.checks import source_problems
from hamner.config.errors import BadInput, did_you_mean
from hamner.config.load import parse
from hamner.config.schema import Config, Data
from hamner.data.corpus import Corpus
from hamner.data.preparation.inputs import available_sources, check_data_path, find_inputs, sources_to_read, text_names
from hamner.data.preparation.manifest import MANIFEST, check_rows, is_prepared, prepared_sources
from hamner.data.preparation.part import Part, Runner, Work
from hamner.data.preparation.pipeline import run
from hamner.data.preparation.plan import SPARE, PrintLine, make_plan
from hamner.data.preparation.restore import damaged_text, lacks_text, restore_text
from hamner.data.preparation.store import Store
from hamner.data.sources import SOURCES
from hamner.data.split import CHARACTERS_PER_TOKEN
from hamner.data.tokenizer import Tokenizer
from hamner.runs.files import read_json_as, write_json
from hamner.runs.waiting import never_silent

PROGRESS_SECONDS = 20


def check_sources(config: Config, names: Iterable[str], where: str = "mix") -> None:
    """Raises BadInput for everything about the sources that is wrong before any is read.

    names: of the sources that are demanded, and `where` they stand; a source outside them may be missing.
    """
    names, path = tuple(names), config.data.path
    check_data_path(path)
    if is_prepared(path):
        _check_prepared(path, names)
        return
    problems = list(source_problems(names, where, path))
    if problems:
        raise BadInput(problems)
    find_inputs(config, sources_to_read(config, names, trains_tokenizer=config.data.tokenizer == "train"))


def absent_sources(config: Config, names: Iterable[str]) -> tuple[str, ...]:
    """Those of the known sources of text `names` that a config's data does not hold."""
    path = config.data.path
    if path not in ("hub", "builtin") and not Path(path).expanduser().is_dir():
        return ()  # an error of check_sources
    present = prepared_sources(path) if is_prepared(path) else available_sources(config)
    return tuple(name for name in text_names(names) if name in SOURCES and name not in present)


def _check_prepared(path: str, names: Iterable[str]) -> None:
    """Raises BadInput when a prepared folder lacks one of the sources."""
    sources = prepared_sources(path)
    missing = [name for name in text_names(names) if name not in sources]
    if missing:
        hints = dict.fromkeys(did_you_mean(name, list(sources)) for name in missing)
        near = "".join(f"; {hint}" for hint in hints if hint.startswith("did"))
        raise BadInput(
            f"{path} was prepared without {', '.join(missing)}: it holds {', '.join(sources)}"
            + (near or "; prepare again with --sources, or change the mix")
        )


def choose_tokenizer(config: Config) -> Tokenizer | None:
    """The config's ready-made tokenizer, None when one is to be trained. Raises BadInput for a wrong one."""
    if is_prepared(config.data.path):
        name: str | Path = Path(config.data.path).expanduser()  # the tokenizer travels with the shards
    elif config.data.tokenizer == "train":
        return None
    else:
        name = config.data.tokenizer
        beside_data = Path(config.data.path).expanduser() / "tokenizer"  # a data folder may bring cosmo2's copy
        is_default = name == Data().tokenizer and config.data.path != "hub"
        if is_default and (beside_data / "tokenizer.json").is_file():
            name = beside_data
    tokenizer = Tokenizer.load(name, config.data.hub_deadline)
    if tokenizer.vocab_size != config.size.vocab_size:
        raise BadInput(
            f"tokenizer '{name}' has {tokenizer.vocab_size} entries, the config's size.vocab_size is "
            f"{config.size.vocab_size}: use the tokenizer the config means, or change size.vocab_size"
        )
    if is_prepared(config.data.path):
        _check_same_tokenizer(config, tokenizer)
    return tokenizer


def _check_same_tokenizer(config: Config, own: Tokenizer) -> None:
    """Raises BadInput when the config names another tokenizer than a prepared folder's own."""
    name = config.data.tokenizer
    if name in ("train", Data().tokenizer):  # what configs say by default; the user has not named one
        return
    sha256 = Tokenizer.load(name).sha256
    if sha256 != own.sha256:
        raise BadInput(
            f"{config.data.path} was made with another tokenizer ({own.sha256[:12]}) than data.tokenizer = "
            f"{name} ({sha256[:12]}): leave that out, or prepare the data again with it"
        )


def prepare(
    config: Config,
    folder: Path,
    names: Sequence[str],
    *,
    tokenizer: Tokenizer | None,
    seq_len: int,
    hub_tokens: int,
    say: PrintLine = print,
) -> tuple[Corpus, Tokenizer]:
    """Write the tokens of the sources `names` to the folder of a run; train a tokenizer first when None is given.

    seq_len: of the run's rows, of which each source must fill at least one to train on and one held out.
    hub_tokens: how far each hub source is streamed. Raises BadInput when a source is missing, too small or
    unreadable. A finished folder is compared with its checksums and taken as it is, so preparing twice costs a reading;
    where the config's data was prepared beforehand, the run's folder only points at it. Of a run that was unpacked, or
    whose text is damaged, it is made again.
    """

    def write(place: Path, tokenizer: Tokenizer | None) -> None:
        if is_prepared(config.data.path):
            _point_at_prepared(config, place, names, tokenizer, seq_len)
        else:
            _prepare_text(config, place, names, tokenizer, seq_len, hub_tokens, say)

    is_new = not (folder / MANIFEST).is_file()
    if is_new:
        write(folder, tokenizer)
    elif lacks_text(folder):
        restore_text(config, folder, write, say)
    if (not is_new or is_prepared(config.data.path)) and (damaged := damaged_text(folder, say)):
        restore_text(config, folder, write, say, damaged)
    tokenizer = Tokenizer.load(folder)
    return Corpus(folder, tokenizer.sha256), tokenizer


def prepare_again(run: Path, path: str, say: PrintLine = print) -> None:
    """Make the text of a run again that was unpacked without it, or is damaged; of any other nothing. Raises BadInput.

    path: where it is looked for, as data.path, where the place that the run's config names is not there.
    """
    if not lacks_text(run / "data") and not damaged_text(run / "data", say):
        return
    config = read_json_as(run / "config.json", lambda document: parse(Config, document["config"], str(run)))
    if config.data.path not in ("hub", "builtin") and not Path(config.data.path).expanduser().is_dir():
        config = config.model_copy(update={"data": config.data.model_copy(update={"path": path})})
    settings = read_json_as(run / "data" / MANIFEST, lambda manifest: dict(manifest["settings"]))
    tokens, seq_len = settings["tokens"] or config.data.hub_tokens, min(settings["seq_len"])
    prepare(config, run / "data", settings["sources"], tokenizer=None, seq_len=seq_len, hub_tokens=tokens, say=say)


def _prepare_text(
    config: Config,
    folder: Path,
    names: Sequence[str],
    tokenizer: Tokenizer | None,
    seq_len: int,
    hub_tokens: int,
    say: PrintLine,
) -> None:
    is_hub = config.data.path == "hub"
    if is_hub:
        say(
            f"streaming some {hub_tokens:,} tokens of each hub source for this run alone, about "
            f"{hub_tokens * CHARACTERS_PER_TOKEN * SPARE / 1e6:,.0f} MB each; prepare them once with `hamner "
            "prepare_data` to spare every run the wait"
        )
    tokens, store = hub_tokens if is_hub else None, Store(folder)
    with never_silent("preparing the text", say, in_place=False) as say_own:
        runner = periodic_progress(say_own)
        plan = make_plan(config, store, names, tokenizer, seq_len=seq_len, tokens=tokens, runner=runner, say=say_own)
        run(plan, tokenizer, runner, say_own)


def _point_at_prepared(
    config: Config, folder: Path, names: Sequence[str], tokenizer: Tokenizer | None, seq_len: int
) -> None:
    """Make `folder` stand for the prepared one that the config names."""
    check_sources(config, names)
    place = Path(config.data.path).expanduser().resolve()
    own = Tokenizer.load(place)
    corpus = Corpus(place, (tokenizer or own).sha256)
    sources = {name: corpus.manifest["sources"][name] for name in dict.fromkeys(names) if name in text_names(names)}
    check_rows(sources, seq_len, place)
    own.save(folder)
    write_json(folder / MANIFEST, corpus.manifest | {"folder": str(place), "seed": config.seed})


def periodic_progress(say: PrintLine) -> Runner:
    """Does the work part by part in this process, with a line every PROGRESS_SECONDS."""

    def runner(step: str, work: Work, parts: Sequence[Part]) -> None:
        total, finished, last = sum(part.size for part in parts), 0, time.monotonic()

        def advance(size: int) -> None:
            nonlocal finished, last
            finished += size
            if time.monotonic() > last + PROGRESS_SECONDS:
                last = time.monotonic()
                say(f"{step}: {finished / 1e6:,.0f} of {total / 1e6:,.0f} MB so far")

        for part in parts:
            work(part, advance)

    return runner
