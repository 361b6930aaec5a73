"""Commands that continue, repeat or use a league, whole, to be copied.

In: a league's folder, RESULTS/tournament/RUN, and its files. Out: command lines.
"""

from __future__ import annotations

import shlex

from hamner.runs.folders import place_words, resume_command, typed_path
from tournament.league_files import LeagueFiles
from tournament.league_status import next_command

RETRY = "--retry-errors"


def way_on(files: LeagueFiles) -> tuple[str, str]:
    """The next command of a league, and what it does."""
    if files.mixes.get("law"):
        from tournament.mix_report import PROPOSAL  # loads NumPy

        command = f"curriculum run v3 --curriculum {shlex.quote(typed_path(files.folder / PROPOSAL))}"
        return command, "How to go on: train the proposed mix, here with v3"
    if files.winner:
        return next_command(files.folder), "How to go on: train the winner"
    if files.is_over:
        again = f"{resume_command('tournament', files.folder)} {RETRY}"
        return again, "How to go on: mend what failed, then let those that ended with an error play again"
    return resume_command("tournament", files.folder), "How to go on, if it does not run any more"


def league_commands(files: LeagueFiles) -> list[tuple[str, str]]:
    """Commands to repeat a league, to read it again and to set it beside another, each with what it does."""
    folder, place = files.folder, place_words(files.folder.parents[1])
    config = typed_path(folder / "config.json")
    lines = [
        (
            f"tournament --config {shlex.quote(config)} --name {folder.name}-again{place}",
            "The same league again: the same numbers on the same machine and versions",
        ),
        (f"tournament report {folder.name}{place}", "This report anew"),
    ]
    if files.decided:
        lines.append((f"tournament compare {folder.name} {folder.name}-again{place}", "Both side by side"))
    if any(o.failure == "error" for round_ in files.rounds[-1:] for o in round_.outcomes.values()):
        again = f"{resume_command('tournament', folder)} {RETRY}"
        lines.append((again, "Let runs of the last round that ended with an error play again"))
    return lines
