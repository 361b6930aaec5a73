"""Command `curriculum pack`: put a curriculum into one archive, to report it or to continue it elsewhere.

Data in: the name or folder of a curriculum run. Data out: one ZIP archive; hamner/runs/pack_command.py does the work.
"""

from __future__ import annotations

from collections.abc import Sequence

from hamner.runs.cli import Parser, run_command
from hamner.runs.pack_command import pack_parser, pack_run


def parser() -> Parser:
    """The options of the command."""
    return pack_parser("curriculum pack", "a curriculum run, or its folder", "mine")


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    return pack_run(parser().read(arguments), ("curriculum",))


if __name__ == "__main__":
    raise SystemExit(main())
