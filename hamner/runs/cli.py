"""What every command shares: options, `key=value` words, and bad input that ends with exit code 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from hamner.config.errors import BadInput
from hamner.config.load import default_config_name, load_config
from hamner.config.schema import Config
from hamner.runs.folders import results_folder, run_folder, runs


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Options of a command that starts or resumes a run."""
    parser.add_argument(
        "--config",
        metavar="NAME|PATH",
        help="a name in ray_configs/ or a TOML file (default: rtx3090 where CUDA is, else laptop)",
    )
    parser.add_argument("--data", metavar="hub|builtin|DIR", help="where text comes from (default: the config's)")
    parser.add_argument("--results", metavar="DIR", help="results folder (default: $HAMNER_RESULTS or results/)")
    parser.add_argument("--name", metavar="RUN", help="the run's name (default: date and time)")
    parser.add_argument("--resume", action="store_true", help="go on with a run where it stood")


def read_config(
    options: argparse.Namespace, overrides: Sequence[str], kind: str, extra: Mapping[str, Any] | None = None
) -> Config | None:
    """The config of the command line; None when a resumed run should keep its own.

    kind: tournament or curriculum. A resumed run's own config is what options are laid over.
    """
    words = list(overrides)
    if options.data:
        place = options.data
        if place not in ("hub", "builtin") and "://" not in place:  # an address is refused by name (prepare_data.py)
            place = str(Path(place).expanduser().resolve())
        words.append(f"data.path={place}")
    base = options.config
    if options.resume and not base:
        if not words and not extra:
            return None
        results = results_folder(options.results)
        existing = [run_folder(results, kind, options.name)] if options.name else runs(results, kind)
        base = str(existing[0] / "config.json") if existing and (existing[0] / "config.json").is_file() else None
    return load_config(base or default_config_name(), words, kind, extra)


def console() -> Console:
    """Where tables go: as wide as the terminal, or wide enough for a table in a file."""
    return Console(width=None if sys.stdout.isatty() else 120, highlight=False)


def run_command(
    command: Callable[[Sequence[str]], int],
    arguments: Sequence[str] | None = None,
    stopped: str = "--resume goes on from the last checkpoint",
) -> int:
    """Run a command; bad input is printed on stderr, one line a problem, without a traceback."""
    try:
        return command(sys.argv[1:] if arguments is None else arguments)
    except BadInput as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nstopped; {stopped}", file=sys.stderr)
        return 130
