"""Pack a run of any kind into one archive: the command `hamner pack`, also `python -m hamner.pack`.

Data in: the name or folder of a run. Data out: one ZIP archive, with checksums; runs/pack_command.py does the work.
"""

from __future__ import annotations

from collections.abc import Sequence

from hamner.runs.cli import Parser, run_command
from hamner.runs.pack_command import pack_parser, pack_run


def parser() -> Parser:
    """The options of the command."""
    return pack_parser("hamner pack", "a run of any kind, or its folder", "mine")


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    from hamner.runs.find_run import KINDS

    return pack_run(options, KINDS)


if __name__ == "__main__":
    raise SystemExit(main())
