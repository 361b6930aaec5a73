"""Command line: options, key=value words, help with examples, and one line for each thing that is wrong.

Data in: the words of a command line. Data out: options and a config, or exit code 2 and lines on stderr. A command has
`parser()`, its options, and `main(arguments)`, which returns the exit code. Both are cheap: what a command needs beyond
its words (configs, PyTorch, Ray, tables) is imported once the words are read, so --help and a mistyped option answer at
once. This file keeps to that as well.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from hamner.config.errors import BadInput, did_you_mean

if TYPE_CHECKING:
    from rich.console import Console

    from hamner.config.schema import Config

PAGE = "docs/configuration.md"  # every key, its default, unit and meaning
RESUMABLE = "use --resume to continue from the last checkpoint"


class Parser(argparse.ArgumentParser):
    """Options of a command. Its --help ends with examples; what is wrong is raised as one BadInput."""

    def __init__(self, prog: str, description: str, examples: Sequence[str]) -> None:
        lines = "\n".join(f"  {example}" for example in examples)
        super().__init__(
            prog=prog,
            description=description,
            epilog=f"examples:\n{lines}\n\nkeys of the config, with default, unit and meaning: {PAGE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def add_settings(self) -> None:
        """Take key=value words, in any place on the command line."""
        self.add_argument("settings", nargs="*", metavar="key=value", help=f"override a key of the config; see {PAGE}")

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The options of a command line. Raises BadInput with every unknown option and misplaced word."""
        options, unknown = self.parse_known_intermixed_args(arguments)
        known = re.findall(r"--[\w-]+", self.format_usage())
        problems = [f"unknown option '{word}'; {did_you_mean(word.partition('=')[0], known)}" for word in unknown]
        problems += [f"'{word}' is not key=value" for word in getattr(options, "settings", ()) if "=" not in word]
        if problems:
            raise BadInput(problems)
        return options

    def error(self, message: str) -> NoReturn:
        """Raise what argparse found wrong as a BadInput, instead of printing it and leaving."""
        raise BadInput(f"{message}; use `{self.prog} --help`")


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that starts or resumes a run."""
    add_config_options(parser)
    add_results_option(parser)
    parser.add_argument("--name", metavar="RUN", help="the run's name (default: date and time)")
    parser.add_argument("--resume", action="store_true", help="continue a run from its last checkpoint")


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add --config and --data."""
    parser.add_argument(
        "--config",
        metavar="NAME|PATH",
        help="a name in ray_configs/ or a TOML file (default: rtx3090 with a CUDA card, else laptop)",
    )
    parser.add_argument("--data", metavar="hub|builtin|DIR", help="where text comes from (default: the config's)")


def add_results_option(parser: argparse.ArgumentParser) -> None:
    """Add --results."""
    parser.add_argument("--results", metavar="DIR", help="results folder (default: $HAMNER_RESULTS or results/)")


def read_config(
    options: argparse.Namespace, overrides: Sequence[str], kind: str, extra: Mapping[str, Any] | None = None
) -> Config | None:
    """The config of a command line; None when a resumed run keeps its own unchanged.

    kind: the section whose keys need no prefix, tournament or curriculum. A resumed run's own config is what options
    are laid over. extra: as of load_config.
    """
    from hamner.config.load import check_overrides, load_config
    from hamner.runs.folders import results_folder, run_folder, runs

    words = list(overrides)
    if options.data:
        place = options.data
        if place not in ("hub", "builtin") and "://" not in place:  # an address is refused where sources are checked
            place = str(Path(place).expanduser().resolve())
        if any("\ud800" <= sign <= "\udfff" for sign in place):
            name = os.fsencode(place).decode(errors="backslashreplace")
            raise BadInput(f"--data {name}: the name has a byte that is not UTF-8; rename the folder")
        words.append(f"data.path={place}")
    base = options.config
    if options.resume and not base:
        if not words and not extra:
            return None
        results = results_folder(options.results)
        existing = [run_folder(results, kind, options.name)] if options.name else runs(results, kind)
        base = str(existing[0] / "config.json") if existing and (existing[0] / "config.json").is_file() else None
    if not base:
        check_overrides(words, kind)  # a slip is said before PyTorch is loaded to look for a card
        base = default_config_name()
    return load_config(base, words, kind, extra)


def default_config_name() -> str:
    """`rtx3090` on a machine with a CUDA card, else `laptop`."""
    from hamner.runs.cluster import has_cuda_card

    return "rtx3090" if has_cuda_card() else "laptop"


def console() -> Console:
    """Where tables go: as wide as the terminal, or wide enough for a table in a file."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120, highlight=False)


def run_command(
    command: Callable[[Sequence[str]], int], arguments: Sequence[str] | None = None, stopped: str = RESUMABLE
) -> int:
    """Run a command and return its exit code; bad input is printed on stderr, one line a problem, as exit code 2.

    stopped: what Ctrl-C prints, the way to continue.
    """
    try:
        return command(sys.argv[1:] if arguments is None else arguments)
    except BadInput as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nstopped; {stopped}", file=sys.stderr)
        return 130


def run_verb(
    prog: str,
    description: str,
    verbs: Mapping[str, tuple[str, str]],
    examples: Sequence[str],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run the command that the first word names, with the other words; list all commands where no word is given.

    verbs: verb -> (module with a main(), what it does). The module is imported only when its verb is chosen.
    """

    def command(words: Sequence[str]) -> int:
        if not words or words[0] in ("-h", "--help"):
            width = max(map(len, verbs)) + 2
            table = "\n".join(f"  {verb:<{width}}{summary}" for verb, (_, summary) in verbs.items())
            parser = Parser(prog, f"{description}\n\ncommands:\n{table}", examples)
            parser.usage = f"{prog} COMMAND ...   (`{prog} COMMAND --help` lists the options of one)"
            parser.print_help()
            return 0
        verb = words[0].replace("-", "_")
        if verb not in verbs:
            raise BadInput(f"unknown command '{words[0]}'; {did_you_mean(verb, list(verbs))}")
        return int(importlib.import_module(verbs[verb][0]).main(words[1:]))

    return run_command(command, arguments)
