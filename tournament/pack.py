"""Command `tournament pack`: put a league into one archive, to report it or to continue it elsewhere.

Data in: the name or folder of a league. Data out: one ZIP archive; hamner/runs/pack_command.py does the work.
"""

from __future__ import annotations

from collections.abc import Sequence

from hamner.runs.cli import Parser, run_command
from hamner.runs.pack_command import pack_parser, pack_run


def parser() -> Parser:
    """The options of the command."""
    return pack_parser("tournament pack", "a league, or its folder", "first")


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    return pack_run(parser().read(arguments), ("tournament",))


if __name__ == "__main__":
    raise SystemExit(main())
