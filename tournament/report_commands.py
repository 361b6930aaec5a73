"""Commands that continue, repeat or use a league, whole, to be copied.

In: a league's folder, RESULTS/tournament/RUN, and its files. Out: command lines.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from hamner.runs.folders import home_folder, results_folder, resume_command
from tournament.league_files import LeagueFiles

RETRY = "--retry-errors"


def next_command(folder: Path) -> str:
    """The command that trains the winner through the curriculum."""
    return f"curriculum run winner --tournament {folder.name}{_place(folder)}"


def way_on(files: LeagueFiles) -> tuple[str, str]:
    """The next command of a league, and what it does."""
    if files.mixes.get("law"):
        from tournament.mix_report import PROPOSAL  # loads NumPy

        command = f"curriculum run v3 --curriculum {shlex.quote(str(_near(files.folder / PROPOSAL)))}"
        return command, "How to go on: train the proposed mix, here with v3"
    if files.winner:
        return next_command(files.folder), "How to go on: train the winner"
    if files.is_over:
        again = f"{resume_command('tournament', files.folder)} {RETRY}"
        return again, "How to go on: mend what failed, then let those that ended with an error play again"
    return resume_command("tournament", files.folder), "How to go on, if it does not run any more"


def league_commands(files: LeagueFiles) -> list[tuple[str, str]]:
    """Commands to repeat a league, to read it again and to set it beside another, each with what it does."""
    folder, place = files.folder, _place(files.folder)
    config = _near(folder / "config.json")
    lines = [
        (
            f"tournament --config {shlex.quote(str(config))} --name {folder.name}-again{place}",
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


def _near(path: Path) -> Path:
    """A path as it is typed in the project's folder, where it lies inside."""
    return path.relative_to(home_folder()) if path.is_relative_to(home_folder()) else path


def _place(folder: Path) -> str:
    results = folder.parents[1]
    return "" if results == results_folder() else f" --results {shlex.quote(str(results))}"
