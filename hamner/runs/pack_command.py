"""The three pack commands (a run into one archive): options, early checks, what went in, how to unpack it.

`hamner pack` is of a run of any kind, `tournament pack` of a league, `curriculum pack` of a curriculum.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from hamner.config.errors import BadInput
from hamner.runs.cli import Parser, add_run_argument

DESCRIPTION = """Put a run into one archive: its config, decisions, measurements and report, with checksums.

The text that it read stays, and so do its weights without --weights. `hamner unpack` makes it a run again elsewhere."""
ENDING = ".run.zip"


def pack_parser(prog: str, what: str, name: str) -> Parser:
    """The options of a pack command. what: a run of which kind; name: one for the examples."""
    examples = (
        f"{prog} {name}               # its records and report, as {name}{ENDING} in this folder",
        f"{prog} {name} --weights     # with weights and optimizer: it can be resumed elsewhere",
        f"{prog} {name} --for-report  # for a bug report: no weights, paths, host and user names removed",
    )
    options = Parser(prog, DESCRIPTION, examples)
    add_run_argument(options, what)
    options.add_argument("--weights", action="store_true", help="checkpoints and final weights too, optimizer included")
    options.add_argument(
        "--for-report",
        action="store_true",
        help="for a bug report: without weights, texts and pictures, paths, host and user names removed",
    )
    options.add_argument(
        "--out", metavar="FILE.zip", help=f"the archive to write (default: RUN{ENDING}, in this folder)"
    )
    options.add_argument("--force", action="store_true", help="write over an archive of that name")
    return options


def pack_run(options: argparse.Namespace, kinds: Sequence[str]) -> int:
    """Pack the run that the options name; returns the exit code. Raises BadInput before anything is written."""
    from hamner.runs.find_run import find_run
    from hamner.runs.folders import RUN_FILES, results_folder
    from hamner.runs.inventory import run_holder

    if options.weights and options.for_report:
        raise BadInput("--for-report leaves the weights out: leave out --weights, or --for-report")
    results = results_folder(options.results)
    folder = find_run(options.run, results, kinds)
    if (folder.parent / "bracket.json").is_file():  # a contestant: its league
        folder = folder.parent
    kind = folder.parent.name
    if not (folder / RUN_FILES.get(kind, "")).is_file() or (len(kinds) == 1 and kind not in kinds):
        raise BadInput(f"{folder} is not the folder of a {' or '.join(kinds)} run: name one in {results}")
    out = _archive(options, folder)
    if options.weights and (holder := run_holder(folder)):
        raise BadInput(f"{folder} is being trained on {holder}: stop it first, or leave out --weights")
    return _write(folder, out, weights=options.weights, for_report=options.for_report)


def _archive(options: argparse.Namespace, folder: Path) -> Path:
    """The archive to write. Raises BadInput for a name that is none, or is taken."""
    from hamner.runs.folders import absolute

    if options.out and not options.out.endswith(".zip"):
        raise BadInput(f"--out {options.out} is not the name of a ZIP archive: let it end in .zip")
    ending = f".report{ENDING}" if options.for_report else ENDING
    out = absolute(options.out or str(Path.cwd() / f"{folder.name}{ending}"), "--out")
    if out.exists() and not (options.force and out.is_file()):
        raise BadInput(f"{out} exists already: use --force to write over it, or --out for another name")
    if not out.parent.is_dir():
        raise BadInput(f"{out.parent} is not a folder: make it first, or name another place with --out")
    return out


def _write(folder: Path, out: Path, *, weights: bool, for_report: bool) -> int:
    from hamner.runs.archive import write_archive
    from hamner.runs.folders import RUN_FILES, place_words
    from hamner.runs.inventory import size_text, state_of
    from hamner.runs.private_words import PrivateWords
    from hamner.runs.travelling import CORRECTIONS, packed_files, packing_list, versions
    from hamner.runs.waiting import never_silent

    kind, private = folder.parent.name, PrivateWords(folder) if for_report else None
    name = private.without_names(folder.name) if private else folder.name
    names = packing_list(folder, weights=weights, for_report=for_report)
    facts = {
        "kind": kind,
        "run": name,
        "state": state_of(kind, folder),
        "has_weights": any(path.endswith(".safetensors") for path in names),
        "is_for_report": for_report,
        "versions": versions(),
    }
    with never_silent(f"packing {folder.name}"):
        write_archive(out, name, packed_files(folder, names, private), facts)
    left = "without weights and texts, without paths, host and user names" if for_report else "without the text it read"
    if not (weights or for_report):
        left += " and without weights (--weights)"
    print(f"written: {out}, {size_text(out.stat().st_size)}, {len(names)} files, {left}")
    if (folder / CORRECTIONS).is_file():
        print(f"{CORRECTIONS} stays, for it holds somebody's chats: a resume elsewhere needs it, copied by hand")
    if not for_report and RUN_FILES[kind] == "config.json" and "report.html" not in names:
        command = f"hamner report {folder.name}{place_words(folder.parents[1])}"
        print(f"no report is in it, for none was written yet: `{command}`, then pack it again with --force")
    if for_report:
        print("look into it before you attach it: names that this machine does not know of it cannot remove")
    else:
        print(f"elsewhere: `hamner unpack {out.name}`")
    return 0
