"""Launch a tournament: check it, prepare its text while Ray starts, run its rounds, print the winner.

Data in: a config, or the name of a run to resume. Data out: RUN/winner.json, RUN/standings.json and an exit code.
Everything that can be wrong is found before Ray starts. RUN/bracket.json and RUN/bracket.jsonl are the ledger
(ledger.py): a decision written there is never made again, whichever process is killed.
"""

from __future__ import annotations

import functools
import shutil
import signal
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hamner.config.errors import BadInput, Problems
from hamner.config.schema import Config
from hamner.reports.live_table import with_waiting
from hamner.reports.live_view import can_redraw, shown, spinning
from hamner.reports.report_files import REPORT, ReportWriter
from hamner.runs import cli
from hamner.runs.background import Failed
from hamner.runs.calibration_record import settled
from hamner.runs.cluster import check_machine
from hamner.runs.compile_check import CAN_COMPILE, compile_facts
from hamner.runs.energy import card_joules, kwh_since
from hamner.runs.files import RESTORE, read_json, read_json_as
from hamner.runs.folders import format_lines, open_run, resume_command, store_config, write_config
from hamner.runs.lock import only_one
from hamner.runs.notify import Notifier
from hamner.runs.ray_session import ray_trouble
from hamner.runs.stopping import Interrupted, run_until_stopped
from hamner.runs.trouble import MachineTrouble, machine_trouble, remedy
from tournament.disk import check_disk, disk_gib
from tournament.entrants import all_sources, entrants
from tournament.league import new_bracket
from tournament.league_status import LeagueReader, next_command
from tournament.ledger import LEDGER, LOG, Ledger, has_errors_in_last_round
from tournament.prepare_in_background import BackgroundPreparation

if TYPE_CHECKING:
    from tournament.league import League

VERDICTS = {
    "settled": "settled against all others: more than chance of seeds and text explains",
    "contested": "contested: chance of seeds and text could explain that it is ahead of all others, those cut included",
    "unknown": "unknown: neither it nor a rival ran with two seeds, so how far chance moves them was not measured",
}


@dataclass(frozen=True)
class Watching:
    """How a league is watched while it runs."""

    notify: str | None = None  # the shell command that is told of rounds, failures and the end
    is_verbose: bool = False  # show what Ray logs
    began: float = field(default_factory=time.monotonic)  # when the command did


def run_tournament(
    config: Config | None,
    results: Path,
    name: str | None,
    *,
    resume: bool,
    retry_errors: bool = False,
    watching: Watching | None = None,
) -> int:
    """Run or resume a league; returns the exit code. config: None to resume with the stored one.

    retry_errors: of a resume, see League.open.
    """
    console, watching = cli.console(), watching or Watching()
    console.print(f"results: {results}", soft_wrap=True)
    problems, facts = Problems(), dict[str, Any](kind="tournament")
    if config is not None and not resume:
        config = _report_available_sources(config, console)
        config, calibrated = settled(config, "tournament", results, functools.partial(_say, console))
        facts |= calibrated
        _check_new(config, results, problems)
    with problems.collect():
        folder, config, facts = open_run(
            results, "tournament", name, resume=resume, config=config, facts=facts, of_each_start=(CAN_COMPILE,)
        )
    problems.raise_all()
    if resume:
        is_over = (folder / "winner.json").is_file() and not (retry_errors and has_errors_in_last_round(folder))
        if is_over and not _has_damaged_result(folder, console):
            return _print_finished(console, folder, retry_errors)
        _check_ledger(folder, config)
        check_machine(config, _cores(config))
        for line in format_lines(folder):
            console.print(line, soft_wrap=True)
    with only_one(
        folder / ".driver.lock",
        f"another process is working on {folder}: wait for it to end",
        wait_seconds=2 if resume else 0,
    ):
        if not resume:
            facts |= compile_facts(config, lambda line: console.print(line, soft_wrap=True, markup=False))
            write_config(folder, config, facts)
        else:
            store_config(folder, config)
        try:
            with Notifier(watching.notify, f"tournament {folder.name}") as notifier:
                return _play(config, folder, console, notifier, watching, resume=resume, retry_errors=retry_errors)
        except (Interrupted, MachineTrouble, OSError) as error:
            return _stopped(console, folder, config, error)


def _print_finished(console: Console, folder: Path, retry_errors: bool) -> int:
    """Print how a league ended that was over before; its report is written where a kill came before. Exit code 0."""
    if retry_errors:
        console.print("no run of the last round crashed or lost its node: nothing to play again")
    _report(folder).catch_up(folder / "winner.json")
    return _print_result(console, folder)


def _has_damaged_result(folder: Path, console: Console) -> bool:
    """Whether a file of a finished league is damaged that its ledger can write again; says so."""
    problems = Problems()
    for name in ("winner.json", "standings.json"):
        with problems.collect():
            read_json(folder / name)
    for problem in problems.lines:
        console.print(f"{problem.partition(';')[0]}; writing it again from {LEDGER}", soft_wrap=True, markup=False)
    return bool(problems.lines)


def _check_ledger(folder: Path, config: Config) -> None:
    """Raise BadInput where the ledger, or what it names, cannot be read, or is lost and said what was decided."""
    if (folder / LEDGER).is_file():
        Ledger(folder, str).read(new_bracket(config, entrants(config)).load_state, lambda line: None)
    elif any((folder / name).is_file() for name in (LOG, "standings.json", "winner.json")):
        raise BadInput(
            f"{folder} has results, and its {LEDGER} is gone, without which it would begin anew: {RESTORE}, or "
            "choose another --name"
        )


def _say(console: Console, line: str) -> None:
    console.print(line, soft_wrap=True, highlight=False)


def _play(
    config: Config,
    folder: Path,
    console: Console,
    notifier: Notifier,
    watching: Watching,
    *,
    resume: bool,
    retry_errors: bool,
) -> int:
    """Prepare the league, run its rounds, print the winner; returns the exit code."""
    joules = card_joules()
    league, slots, tokenizer_sha256 = _start(config, folder, console, is_new=not resume, watching=watching)
    league.tell = notifier.send
    has_winner = _run_rounds(league, tokenizer_sha256, retry_errors)
    if has_winner and not resume and slots:
        league.show_time(time.monotonic() - watching.began, slots, kwh_since(joules))
    _report(league.folder).finish()
    if not has_winner:
        notifier.send("ended without a winner")
        return 1
    winner = read_json_as(folder / "winner.json", lambda winner: (winner["contestant"], winner["heldout_loss"]))
    notifier.send(f"finished: {winner[0]} won, {winner[1]:.4f} nats/token held out")
    return _print_result(console, folder, with_rounds=False)


def _stopped(console: Console, folder: Path, config: Config, error: BaseException) -> int:
    """Say how a league that was stopped is continued, unless the error is of another kind; returns the exit code."""
    way_on = f"`{resume_command('tournament', folder)}`"
    if isinstance(error, Interrupted):
        print(f"stopped; continue with {way_on}", file=sys.stderr)
        return error.exit_code
    trouble = machine_trouble(error)
    if trouble is None:
        raise error
    console.print(
        f"stopped by trouble of the machine, which decides nothing: {trouble}",
        soft_wrap=True,
        markup=False,
        style="red",
    )
    mend = remedy(trouble, folder, disk_gib(entrants(config), config))
    console.print(f"{mend}; then continue with {way_on}", soft_wrap=True, markup=False, highlight=False)
    return 1


def _report_available_sources(config: Config, console: Console) -> Config:
    """The config without the known sources of tournament.report that its data folder lacks; says which."""
    from hamner.data.preparation.for_run import absent_sources

    league = config.tournament
    absent = [name for name in absent_sources(config, league.report) if name not in league.mix]
    if not absent:
        return config
    console.print(
        f"{config.data.path} has no {', '.join(absent)}: left out of tournament.report", soft_wrap=True, highlight=False
    )
    report = tuple(name for name in league.report if name not in absent)
    return config.model_copy(update={"tournament": league.model_copy(update={"report": report})})


def _check_new(config: Config, results: Path, problems: Problems) -> None:
    """Add to `problems` all that can be wrong with a new league, before anything is started or written."""
    from hamner.data.preparation.for_run import check_sources

    with problems.collect():
        check_disk(entrants(config), config, results)
    with problems.collect():
        check_machine(config, _cores(config))
    with problems.collect():
        check_sources(config, all_sources(config))


def _cores(config: Config) -> int:
    """Cores of one trial."""
    return config.compute.threads if config.compute.device == "cpu" else 1


def _start(
    config: Config, folder: Path, console: Console, *, is_new: bool, watching: Watching
) -> tuple[League, int, str]:
    """Prepare the text and start Ray, side by side. Bad input leaves nothing of a new league behind."""
    try:
        with spinning(console, "preparing the text, starting Ray"):
            return _league_on_ray(config, folder, console, watching)
    except BadInput:
        if is_new:
            shutil.rmtree(folder)
        raise
    except Failed as error:
        if machine_trouble(str(error)):
            raise MachineTrouble(f"the text was not prepared: {error}") from None
        raise SystemExit(f"error: the text was not prepared: {error}; use --resume to continue") from None


def _league_on_ray(config: Config, folder: Path, console: Console, watching: Watching) -> tuple[League, int, str]:
    """The league, the slots Ray has for its runs, the tokenizer's hash.

    PyTorch and Ray take seconds to load and start: meanwhile the text is prepared.
    """
    problems = Problems()
    with closing(
        BackgroundPreparation(config, folder, lambda line: console.print(line, soft_wrap=True, highlight=False))
    ) as text:
        from tournament.league import League
        from tournament.tuner import connect, disconnect

        league = League(folder, config, console)
        console.print(f"tournament {folder.name}: {league.describe()}, data: {config.data.path}", soft_wrap=True)
        try:
            with problems.collect():
                slots = connect(league, is_verbose=watching.is_verbose)
            with problems.collect():
                tokenizer_sha256 = text.tokenizer_sha256()
            problems.raise_all()
        except BaseException:
            disconnect()
            raise
    return league, slots, tokenizer_sha256


def _run_rounds(league: League, tokenizer_sha256: str, retry_errors: bool) -> bool:
    """Run the league's rounds to the end and shut Ray down; False when there is no winner.

    Raises MachineTrouble, and Interrupted after a signal; each running contestant has then had time to save.
    """
    from tournament.tuner import disconnect, play_rounds

    try:
        league.open(retry_errors=retry_errors)
        league.report = _report(league.folder)
        league.is_drawn = can_redraw(league.console)
        reader = functools.cache(lambda: LeagueReader(league.folder))  # opened where an error is no matter for the run
        with shown(league.console, lambda: with_waiting(reader().status(), league.places.line)):
            run_until_stopped(lambda: play_rounds(league), league.stop, trouble=ray_trouble)
    except Interrupted as interrupt:
        _say_stopped(league, interrupt)
        raise
    finally:
        disconnect()
        if league.report:
            league.report.close()
    if league.stop:
        raise MachineTrouble(league.stop.trouble)
    return league.close(tokenizer_sha256)


def _report(folder: Path) -> ReportWriter:
    from tournament.league_report import (
        write_league_report,  # loads Jinja and pages, for which Ray's start need not wait
    )

    return ReportWriter(write_league_report, folder)


def _say_stopped(league: League, interrupt: Interrupted) -> None:
    """Print which contestants have saved, and that the others have not where time was too short."""
    saved = ", ".join(f"{league.name(run)} at step {step}" for run, step in league.saved.items()) or "none was running"
    late = "" if interrupt.is_saved else "; not all in time: those continue from the checkpoint before"
    league.console.print(f"stopped by {signal.Signals(interrupt.number).name}; saved: {saved}{late}", soft_wrap=True)


def _print_result(console: Console, folder: Path, *, with_rounds: bool = True) -> int:
    """Print how the league ended, after its rounds where they were not printed just now; returns exit code 0.

    Where a contestant that was cut ended better than the winner, that is the first line.
    """
    from tournament.standings_table import ending_table, round_report

    early = read_json_as(folder / "standings.json", lambda document: document.get("cut_too_early"))
    if early:
        console.print(early, style="yellow", soft_wrap=True, highlight=False)

    def report(document: dict[str, Any]) -> list[Table | Text]:
        rounds = range(len(document["rounds"])) if with_rounds else ()
        parts = [part for index in rounds for part in round_report(console, document, index)]
        return [*parts, ending_table(console, document)]

    # printed once the file is read: what goes wrong in printing is not the file's fault
    for part in read_json_as(folder / "standings.json", report):
        console.print(part, soft_wrap=isinstance(part, Text))
    from tournament.mix_report import show_mixes  # loads NumPy, for which Ray's start need not wait

    is_mix_league = show_mixes(console, folder)
    winner = read_json_as(folder / "winner.json", lambda winner: (winner["contestant"], _winner_line(winner)))
    line = Text.assemble("winner: ", (winner[0], "bold green"), winner[1], f"; {folder / 'winner.json'}")
    console.print(line, soft_wrap=True, highlight=False)
    if has_errors_in_last_round(folder):
        again = f"{resume_command('tournament', folder)} --retry-errors"
        console.print(f"play those again that ended with an error: {again}", soft_wrap=True, highlight=False)
    if (folder / REPORT).is_file():
        console.print(f"report: {folder / REPORT}", soft_wrap=True, highlight=False)
    if not is_mix_league:
        console.print(f"train it: {next_command(folder)}", soft_wrap=True, highlight=False)
    return 0


def _winner_line(winner: dict[str, Any]) -> str:
    """What is said of the winner beside its name."""
    line = f", {winner['heldout_loss']:.4f} nats/token held out"
    if winner.get("p_best") is not None and winner["best_of"] > 1:
        from tournament.standings_table import percent

        line += (
            f"; P(best of {winner['best_of']}) {percent(winner['p_best'])}, expected regret {winner['regret']:.4f} nats"
        )
    return f"{line}; {VERDICTS.get(winner.get('verdict') or '', 'the only one left')}"
