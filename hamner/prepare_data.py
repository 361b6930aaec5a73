"""Command `hamner prepare_data`: turn text into token shards (data preparation), in one process.

    hamner prepare_data [--config NAME|PATH] [--data hub|builtin|DIR] [--sources NAME,NAME] [--out DIR]
                        [--tokens N] [--shard-tokens N] [key=value ...]

Data in: the config's `data` section and the sources that are named. Data out: a folder of shards (see corpus.py) with
their tokenizer, which any number of runs read as their --data. Everything missing or broken is refused here, before a
run starts. Killed at any moment and started again it continues; the same inputs give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hamner.config.schema import Config
from hamner.data.preparation.command import STOPPED, in_this_process, prepare_command, prepare_parser
from hamner.data.preparation.part import Runner
from hamner.runs.cli import Parser, run_command

if TYPE_CHECKING:
    from rich.console import Console


def parser() -> Parser:
    """The options of the command."""
    return prepare_parser("hamner prepare_data")


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(lambda words: prepare_command(words, parser(), one_process), arguments, STOPPED)


@contextmanager
def one_process(console: Console, config: Config) -> Iterator[Runner]:
    """Does the work on every part in this process."""
    yield in_this_process(console)


if __name__ == "__main__":
    raise SystemExit(main())
