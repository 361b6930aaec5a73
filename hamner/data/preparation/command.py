"""The two prepare_data commands (text in, token shards out): options, early checks, progress bar, closing table.

Who does the work on the parts is an argument: one process (hamner.prepare_data) or a Ray cluster
(curriculum.prepare_data). Options are read and checked before any heavy library is imported.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamner.config.checks import source_problems
from hamner.config.errors import BadInput, Problems
from hamner.config.schema import Config
from hamner.data.preparation.inputs import (
    COPY_FIRST,
    check_data_path,
    default_sources,
    find_inputs,
    sources_to_read,
    text_names,
)
from hamner.data.preparation.part import SHARD_TOKENS, Part, Runner, Work
from hamner.data.preparation.store import Store
from hamner.data.sources import SOURCES, find_source, in_order
from hamner.data.sources.find_files import path_text
from hamner.runs import cli
from hamner.runs.cli import Parser
from hamner.runs.folders import home_folder

if TYPE_CHECKING:
    from rich.console import Console

STOPPED = "run the same command again to continue"
EXAMPLES = (
    "{prog} --data text --out shards                       # the known sources in text/, such as text/sft/",
    "{prog} --data text --out shards --sources wiki,sft    # text/wiki/ is a source of your own",
    "{prog} --data hub --out shards --tokens 1e9           # streams about 6.5 GB of each hub dataset",
)

Runners = Callable[["Console", Config], AbstractContextManager[Runner]]


def prepare_parser(prog: str) -> Parser:
    """The options of a prepare_data command."""
    options = Parser(prog, "Text in, token shards out.", [example.format(prog=prog) for example in EXAMPLES])
    cli.add_config_options(options)
    options.add_argument(
        "--sources",
        metavar="NAME,NAME",
        type=lambda words: [word.strip() for word in words.split(",")],
        help="default: all that the project knows and that are there, and those of a mix=... that is given",
    )
    options.add_argument(
        "--out",
        metavar="DIR",
        default=str(home_folder() / "data" / "prepared"),
        help="where shards go, a folder or any address fsspec knows (default: %(default)s)",
    )
    options.add_argument("--tokens", metavar="N", type=_count, help="stop each source after about N training tokens")
    options.add_argument(
        "--shard-tokens",
        metavar="N",
        type=_count,
        default=SHARD_TOKENS,
        help="length of a shard, and the most that a kill can cost (default: %(default)s)",
    )
    options.add_settings()
    options.set_defaults(resume=False)  # the command has no such option: it always continues
    return options


def prepare_command(
    arguments: Sequence[str], parser: Parser, runners: Runners, open_store: Callable[[str], Store] = Store
) -> int:
    """Prepare what the options name; returns the exit code.

    runners: opens what does the work on the parts. open_store: opens the store at --out.
    """
    options = parser.read(arguments)
    _check(options)
    config = cli.read_config(options, options.settings, "data")
    assert config is not None
    names = _names(options, config)
    place = options.out if "://" in options.out else str(Path(options.out).expanduser().resolve())
    console, store = cli.console(), open_store(place)
    with _lock(store):
        manifest = _prepare(options, config, names, store, console, runners)
    _show(console, manifest, place)
    return 0


def _names(options: argparse.Namespace, config: Config) -> tuple[str, ...]:
    """The sources to prepare, in order. Raises BadInput for data that is prepared already or not there."""
    from hamner.data.preparation.for_run import check_sources
    from hamner.data.preparation.manifest import is_prepared

    if is_prepared(config.data.path):
        raise BadInput(f"{config.data.path} is prepared already: give it to a run with --data")
    names = in_order(options.sources) if options.sources else default_sources(config)
    check_sources(config, names, "--sources" if options.sources else "mix")
    return names


def _prepare(
    options: argparse.Namespace,
    config: Config,
    names: tuple[str, ...],
    store: Store,
    console: Console,
    runners: Runners,
) -> dict[str, Any]:
    """The manifest of the prepared folder, written now or by an earlier command. Raises BadInput."""
    from hamner.data.preparation.for_run import choose_tokenizer
    from hamner.data.preparation.manifest import MANIFEST, check_finished
    from hamner.data.preparation.pipeline import remove_leftovers, run
    from hamner.data.preparation.plan import make_plan, plan_settings

    def say(line: str) -> None:
        console.print(line, soft_wrap=True, markup=False, emoji=False)  # names may hold brackets

    manifest, tokenizer = store.read_json(MANIFEST), choose_tokenizer(config)
    if manifest is not None:
        settings = plan_settings(config, names, options.tokens, options.shard_tokens)
        inputs = find_inputs(config, sources_to_read(config, names, trains_tokenizer=tokenizer is None))
        check_finished(store, manifest, settings, inputs, tokenizer)
        remove_leftovers(store)  # of a kill after the last step
        return dict(manifest)
    absent = "" if options.sources else ", ".join(name for name in text_names(SOURCES) if name not in names)
    say(
        f"preparing {', '.join(names)} from {config.data.path}{f' (which has no {absent})' if absent else ''}; "
        f"tokenizer: {'given' if tokenizer else 'to be trained'}, {config.size.vocab_size:,} entries"
    )
    plan = make_plan(
        config,
        store,
        names,
        tokenizer,
        seq_len=max(config.tournament.seq_len, config.curriculum.seq_len),
        tokens=options.tokens,
        shard_tokens=options.shard_tokens,
        runner=in_this_process(console),
        say=say,
    )
    with runners(console, config) as runner:
        return run(plan, tokenizer, runner, say)


def in_this_process(console: Console) -> Runner:
    """Does the work part by part in this process, with a progress bar."""

    def runner(step: str, work: Work, parts: Sequence[Part]) -> None:
        with progress_bar(console, step, sum(part.size for part in parts)) as advance:
            for part in parts:
                work(part, advance)

    return runner


@contextmanager
def progress_bar(console: Console, step: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar of `total` bytes with MB/s and the time left; yields the function that advances it."""
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(step, total=total)
        yield lambda size: progress.advance(task, size)
        progress.update(task, completed=total)


def _lock(store: Store) -> AbstractContextManager[None]:
    """Keeps other commands out of a folder, or of an address. Raises BadInput where there can be no folder."""
    if store.local is None:
        from hamner.data.preparation.store_lease import only_one_at

        return only_one_at(store)
    from hamner.runs.lock import only_one

    try:
        store.local.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--out {store.local} cannot be made: {error.strerror}; choose another folder") from None
    return only_one(
        store.local / ".prepare.lock", f"{store.place} is being prepared by another process: wait for it to end"
    )


def _check(options: argparse.Namespace) -> None:
    """Raises BadInput, with every problem, for options that are wrong whatever the config says."""
    problems = Problems()
    if options.data:
        with problems.collect():
            check_data_path(options.data)
    for name in options.sources or ():
        if find_source(name).is_text:
            problems.lines += source_problems([name], "--sources", options.data)
        else:
            problems.lines.append(f"--sources {name}: its items are drawn while training; leave it out")
    problems.raise_all()


def _count(word: str) -> int:
    """A positive whole number, also as 10_000_000 or 1e9."""
    try:
        value = float(word)
    except ValueError:
        value = 0.0
    if not value.is_integer() or value < 1:
        raise argparse.ArgumentTypeError(
            f"'{word}' is not a number of tokens: give a whole one from 1 on, as 10_000_000 or 1e9"
        )
    return int(value)


def _show(console: Console, manifest: dict[str, Any], place: str) -> None:
    """Print what the prepared folder holds, and how to use it."""
    from rich.table import Table

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
    use = COPY_FIRST if "://" in place else f"give it to a run: `tournament --data {path_text(place)}`"
    console.print(f"finished: {path_text(place)}; {use}", soft_wrap=True, markup=False, emoji=False)
