"""Share a trained model with a friend: the command `hamner share`, also `python -m hamner.share`.

Data in: a run or checkpoint folder. Data out: one ZIP archive of the model alone, in bf16, with its card and
a script to talk with.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hamner.config.errors import BadInput
from hamner.inference.export_options import check_new
from hamner.inference.find_model import model_folder, open_model
from hamner.runs.cli import Parser, add_model_option, add_results_option, run_command
from hamner.runs.folders import absolute, results_folder
from hamner.runs.waiting import never_silent

DESCRIPTION = """Put a trained model into one archive for a friend, who needs Python and transformers, not Hamner.

It holds the model alone, half as large as in a run, without text, optimizer or records."""
EXAMPLES = (
    "hamner share                       # the newest run, as RUN.zip in this folder",
    "hamner share mine                  # the run `mine`, as mine.zip",
    "hamner share mine --out friend.zip # under another name",
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser("hamner share", DESCRIPTION, EXAMPLES)
    add_model_option(options)
    options.add_argument("--out", metavar="FILE.zip", help="the archive to write, which must not exist")
    add_results_option(options)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    if options.out and not options.out.endswith(".zip"):
        raise BadInput(f"--out {options.out} is not the name of a ZIP archive: let it end in .zip")
    folder = model_folder(options.run, results_folder(options.results))

    from hamner.inference.run_records import read_records

    records = read_records(folder)
    out = absolute(options.out or str(Path.cwd() / f"{records.name}.zip"), "--out")
    check_new(out, "--out")

    with never_silent(f"packing {folder.name}"):
        from hamner.inference.export_folder import write_archive  # torch: seconds, after all that needs none

        loaded = open_model(folder)
        write_archive(out, loaded.model, loaded.tokenizer, records)
    print("your friend unpacks it and follows README.md; think of what it read before you give it away")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
