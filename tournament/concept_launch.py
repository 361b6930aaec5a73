"""Launch the concept experiments: check them, keep the base, play all arms on Ray, write result and report.

Data in: what the command line asks for. Data out: RUN/concepts.json, RUN/report.html and an exit code. Everything that
can be wrong is found before Ray starts and before anything is written.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from hamner.config.errors import BadInput, Problems
from hamner.config.schema import Config
from hamner.reports.report_files import REPORT, ReportWriter
from hamner.runs import cli
from hamner.runs.cluster import check_machine
from hamner.runs.files import read_json
from hamner.runs.folders import open_run, resume_command, write_config
from hamner.runs.lock import only_one
from hamner.runs.notify import Notifier
from hamner.runs.ray_session import ray_trouble
from hamner.runs.stopping import Interrupted, run_until_stopped
from hamner.runs.trouble import MachineTrouble, machine_trouble
from tournament.concept_arms import ALL, SEEDS, arms_of
from tournament.concept_base import has_base, keep_base, open_base
from tournament.concept_league import RESULT, ConceptLeague
from tournament.concept_report import print_tables, write_concept_report

KIND, COMMAND = "concepts", "tournament concepts"


@dataclass(frozen=True)
class Request:
    """What the command line asks for. None: not said."""

    suites: list[str] | None
    model: str | None
    seeds: int | None
    name: str | None
    notify: str | None = None
    is_verbose: bool = False

    def facts(self) -> dict[str, Any]:
        """What was said, as config.json keeps it."""
        said = {"suites": self.suites, "who": self.model, "seeds": self.seeds}
        return {key: value for key, value in said.items() if value is not None}


DEFAULTS: dict[str, Any] = {"suites": [ALL], "who": None, "seeds": SEEDS}


def run_concepts(request: Request, config: Config | None, results: Path, *, resume: bool) -> int:
    """Run or resume the experiments; returns the exit code. config: None to resume with the stored one."""
    console, problems, facts = cli.console(), Problems(), request.facts()
    console.print(f"results: {results}", soft_wrap=True)
    base = None
    if not resume:
        assert config is not None
        facts = {"kind": KIND} | DEFAULTS | facts
        with problems.collect():
            base = open_base(request.model, config, results)
            facts["base"] = base.facts()
        with problems.collect():
            check_machine(config, config.compute.threads if config.compute.device == "cpu" else 1)
    with problems.collect():
        folder, config, facts = open_run(results, KIND, request.name, resume=resume, config=config, facts=facts)
    problems.raise_all()
    assert config is not None
    if (folder / RESULT).is_file():
        return _print_result(console, folder)
    with only_one(
        folder / ".driver.lock",
        f"another process is working on {folder}: wait for it to end",
        wait_seconds=2 if resume else 0,
    ):
        if not resume:
            write_config(folder, config, facts)
        try:
            if base is None and not has_base(folder):  # a start was killed before it was kept
                base = open_base(facts["base"]["place"] or facts["who"], config, results)
            keep_base(base, folder)
            with Notifier(request.notify, f"concepts {folder.name}") as notifier:
                return _play(folder, config, facts, console, notifier, request.is_verbose)
        except BadInput:
            if not resume:
                shutil.rmtree(folder)
            raise
        except (Interrupted, MachineTrouble, OSError) as error:
            return _stopped(folder, error)


def _play(
    folder: Path, config: Config, facts: dict[str, Any], console: Console, notifier: Notifier, is_verbose: bool
) -> int:
    """Play all arms, then write and print the result; returns the exit code."""
    from tournament.concept_trial import ConceptTrial
    from tournament.tuner import connect, disconnect, play_rounds

    league = ConceptLeague(folder, config, console, arms_of(tuple(facts["suites"])), facts["seeds"], facts["base"])
    league.tell = notifier.send
    console.print(f"concepts {folder.name}: {league.describe()}; base: {facts['base']['who']}", soft_wrap=True)
    try:
        connect(league, is_verbose=is_verbose)
        league.open()
        run_until_stopped(lambda: play_rounds(league, ConceptTrial), league.stop, trouble=ray_trouble)
    finally:
        disconnect()
    if league.stop:
        raise MachineTrouble(league.stop.trouble)
    if not league.close():
        console.print(f"arms are still to come; continue with `{resume_command(COMMAND, folder)}`", soft_wrap=True)
        return 1
    ReportWriter(write_concept_report, folder).finish()
    notifier.send(f"finished: {league.describe()}")
    return _print_result(console, folder)


def _print_result(console: Console, folder: Path) -> int:
    print_tables(console, read_json(folder / RESULT))
    console.print(f"numbers: {folder / RESULT}", soft_wrap=True, highlight=False)
    if (folder / REPORT).is_file():
        console.print(f"report: {folder / REPORT}", soft_wrap=True, highlight=False)
    return 0


def _stopped(folder: Path, error: BaseException) -> int:
    """Say how experiments that were stopped are continued; raises an error of another kind. Returns the exit code."""
    way_on = f"continue with `{resume_command(COMMAND, folder)}`"
    if isinstance(error, Interrupted):
        print(f"stopped; {way_on}", file=sys.stderr)
        return error.exit_code
    trouble = machine_trouble(error)
    if trouble is None:
        raise error
    print(
        f"stopped by trouble of the machine, which decides nothing: {trouble}; mend it, then {way_on}", file=sys.stderr
    )
    return 1
