"""Feedback that was given to models (preference data): the command `hamner feedback`, also `python -m hamner.feedback`.

    hamner feedback [list] [--data DIR]
    hamner feedback forget ID ... | --all [--data DIR]

Data in: words of a command line, DATA/feedback/*.jsonl. Data out: a table, or those files without what is forgotten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hamner.config.errors import BadInput, did_you_mean
from hamner.runs.cli import Parser, add_feedback_place, console, feedback_folder, run_command

if TYPE_CHECKING:
    from hamner.data.feedback import Feedback

DESCRIPTION = """Feedback: what you marked, corrected and had written again in `hamner chat --feedback` and
`hamner serve --feedback`. It lies on this machine alone. `hamner sft RUN --feedback` learns from the corrections."""
EXAMPLES = (
    "hamner feedback list               # every record with its id",
    "hamner feedback forget 5f0c12ab    # remove one record; several ids remove several",
    "hamner feedback forget --all       # remove all of them",
)
LONGEST = 60  # letters of a text in the table


def parser() -> Parser:
    """The options of the command."""
    options = Parser("hamner feedback", DESCRIPTION, EXAMPLES)
    options.add_argument(
        "action", metavar="list|forget", nargs="?", default="list", choices=("list", "forget"), help="(default: list)"
    )
    options.add_argument("ids", metavar="ID", nargs="*", help="with forget: the records to remove")
    options.add_argument("--all", action="store_true", help="with forget: remove every record")
    add_feedback_place(options)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    if options.action == "list" and (options.ids or options.all):
        raise BadInput("`hamner feedback list` takes no id and no --all: leave them out, or use forget")
    if options.action == "forget" and bool(options.ids) == options.all:
        raise BadInput("forget needs either ids or --all: `hamner feedback list` shows the ids")
    folder = feedback_folder(options.data)
    return _list(folder) if options.action == "list" else _forget(folder, None if options.all else options.ids)


def _list(folder: Path) -> int:
    from hamner.data.feedback import KINDS, corrections, read_feedback
    from hamner.runs.tables import Column, fitted_table

    feedback = read_feedback(folder)
    if not feedback:
        print(f"no feedback in {folder}; `hamner chat --feedback` and `hamner serve --feedback` write it there")
        return 0
    columns = (
        Column("id", justify="left"),
        Column("when", 3, justify="left"),
        Column("model", 2, justify="left"),
        Column("what", justify="left"),
        Column("message", 1, justify="left", may_wrap=True),
        Column("reply", justify="left", may_wrap=True),
    )
    counts = Counter(each.kind for each in feedback)
    title = f"feedback in {folder}: " + ", ".join(f"{counts[k]} {words}" for k, words in KINDS.items() if counts[k])
    screen = console()
    screen.print(fitted_table(screen, columns, [_row(each) for each in feedback], title=title))
    if fixes := corrections(feedback):
        held_out = sum(each.is_held_out for each in fixes)
        print(
            f"corrections that `hamner sft RUN --feedback` can read: {len(fixes) - held_out} to train on, "
            f"{held_out} held out"
        )
    return 0


def _row(feedback: Feedback) -> list[str]:
    from hamner.data.feedback import KINDS

    def short(text: str) -> str:
        line = " ".join(text.split())
        return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"

    reply = short(feedback.reply) + (f" → {short(feedback.better)}" if feedback.better else "")
    return [feedback.id, feedback.time[:16], feedback.model, KINDS[feedback.kind], short(feedback.message), reply]


def _forget(folder: Path, ids: Sequence[str] | None) -> int:
    from hamner.data.feedback import forget_feedback, read_feedback

    if ids is not None:
        known = [each.id for each in read_feedback(folder)]
        unknown = [f"no feedback '{one}' in {folder}; {did_you_mean(one, known)}" for one in ids if one not in known]
        if unknown:
            raise BadInput(unknown)
    count = forget_feedback(folder, ids)
    records = "record" if count == 1 else "records"
    print(f"{count} {records} removed from {folder}; a model that has learnt from them keeps what it learnt")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
