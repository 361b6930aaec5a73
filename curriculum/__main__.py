"""Command `curriculum`: run, status, report, pack, compare or prepare, `curriculum COMMAND [options]`."""

from __future__ import annotations

from collections.abc import Sequence

from hamner.runs.cli import run_verb

COMMANDS = {  # verb: (module with a main(), what it does)
    "run": ("curriculum.run", "train a model through stages of data, each until a plateau"),
    "status": ("curriculum.status", "print where a run stands, or watch it; also of a job on a cluster"),
    "report": ("curriculum.report", "write a run's report: one page that opens from disk, finished or not"),
    "pack": ("curriculum.pack", "put a run into one archive, to report it or to continue it elsewhere"),
    "compare": ("curriculum.compare", "compare finished curricula at equal tokens, with an error over seeds"),
    "doctor": ("curriculum.doctor", "check this machine for a curriculum, each check with its fix"),
    "prepare_data": ("curriculum.prepare_data", "turn text into token shards by the tasks of a Ray cluster"),
}
EXAMPLES = (
    "curriculum run winner --config laptop --name first        # the newest tournament's winner, eight stages",
    "curriculum run v3 --curriculum joint --like first         # the control: as many tokens in one stage",
    "curriculum compare first second joint0 joint1             # is a difference larger than chance of seeds?",
)


def main(arguments: Sequence[str] | None = None) -> int:
    description = "Raise a model: stages of data, one after the other, on Ray Train."
    return run_verb("curriculum", description, COMMANDS, EXAMPLES, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
