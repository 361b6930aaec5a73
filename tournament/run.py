"""The command `tournament`: ten contestants, three rounds, one winner.

    tournament [--config NAME|PATH] [--data hub|builtin|DIR] [--results DIR] [--name RUN] [--resume]
               [--league FILE | --sweep KEY=VALUE,VALUE] [--only NAME] [--plan [--json]] [key=value ...]

Everything that can be wrong is found before Ray starts. RUN/bracket.json is the ledger (ledger.py): what it says
is decided stays decided, whoever is killed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from hamner.config.errors import BadInput, Problems, did_you_mean
from hamner.config.presets import CONTESTANTS
from hamner.config.schema import Config
from hamner.runs import cli
from hamner.runs.background import Failed
from hamner.runs.cli import add_run_options, read_config, run_command
from hamner.runs.cluster import check_machine
from hamner.runs.files import read_json_as
from hamner.runs.folders import open_run, results_folder, write_config
from hamner.runs.lock import only_one
from tournament.disk import check_disk
from tournament.entrants import entrants, read_league, sweep
from tournament.prepare_in_background import Text

if TYPE_CHECKING:
    from tournament.league import League

SUBCOMMANDS: tuple[str, ...] = ()  # words that may stand first; none yet


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="tournament", description="Ten contestants, three rounds, one winner.")
    add_run_options(parser)
    parser.add_argument("--league", metavar="FILE", help="who enters: a TOML file with a [[contestant]] each")
    parser.add_argument(
        "--sweep",
        metavar="KEY=VALUE,VALUE",
        action="append",
        default=[],
        help="enter each setting of lr or of a key of the model as a contestant of its own",
    )
    parser.add_argument("--only", metavar="NAME", action="append", default=[], help="let only this one enter")
    parser.add_argument("--plan", action="store_true", help="print what the league would cost, and stop")
    parser.add_argument("--json", action="store_true", help="with --plan: one JSON object a line")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="override any key of the config")
    options = parser.parse_intermixed_args(arguments)
    words = [word for word in options.settings if "=" not in word]
    if words:
        known = f"known subcommands: {', '.join(SUBCOMMANDS)}" if SUBCOMMANDS else "there are no subcommands yet"
        raise BadInput([f"'{word}' is neither key=value nor a subcommand; {known}" for word in words])
    config = read_config(options, options.settings, "tournament", _who_enters(options))
    if options.plan:
        from tournament.plan import print_plan

        if config is None:
            raise BadInput("--plan describes a new league: leave out --resume")
        print_plan(config, as_json=options.json)
        return 0
    if options.json:
        raise BadInput("--json belongs to --plan")
    return play(config, results_folder(options.results), options.name, resume=options.resume)


def _who_enters(options: argparse.Namespace) -> dict[str, Any]:
    """Settings of the tournament that --league, --sweep and --only stand for."""
    if options.league and options.sweep:
        raise BadInput("--league and --sweep both say who enters: choose one")
    known = list(CONTESTANTS)
    rows = read_league(options.league) if options.league else []
    if rows:
        known = [row["name"] for row in rows]
    unknown = [name for name in options.only if name not in known]
    if unknown:
        raise BadInput([f"--only {name}: nobody of that name enters; {did_you_mean(name, known)}" for name in unknown])
    only = options.only or known
    if options.sweep:
        rows = sweep(options.sweep, only)
        print("a sweep has no learning-rate round: each entrant learns at the rate its setting says", file=sys.stderr)
        return {"league": rows, "lr": "shared"}
    if rows:
        return {"league": [row for row in rows if row["name"] in only]}
    return {"contestants": only} if options.only else {}


def play(config: Config | None, results: Path, name: str | None, *, resume: bool) -> int:
    """Run or resume a league; returns the exit code."""
    console, began = cli.console(), time.monotonic()
    console.print(f"results: {results}", soft_wrap=True)
    problems = Problems()
    if config is not None and not resume:
        config = _report_what_is_there(config, console)
        _check(config, results, problems)
    with problems.collect():
        folder, config, facts = open_run(
            results, "tournament", name, resume=resume, config=config, facts={"kind": "tournament"}
        )
    problems.raise_all()
    if resume:
        if (folder / "winner.json").is_file():
            return _finish(console, folder)
        check_machine(config, config.compute.threads if config.compute.device == "cpu" else 1)
    with only_one(
        folder / ".driver.lock",
        f"{folder} is being worked on by another process: wait for it to end",
        wait_seconds=2 if resume else 0,
    ):
        try:
            if not resume:
                write_config(folder, config, facts)
            league, slots, tokenizer_sha256 = _start(config, folder, console)
        except BadInput:
            if not resume:
                shutil.rmtree(folder)  # bad input leaves nothing behind
            raise
        except Failed as error:
            raise SystemExit(f"error: the text was not prepared: {error}; --resume goes on where it stood") from None
        from tournament.tuner import disconnect, play_rounds

        try:
            league.open()
            play_rounds(league)
        finally:
            disconnect()
        if not league.close(tokenizer_sha256):
            return 1
        if not resume and slots:
            league.show_time(time.monotonic() - began, slots)
        return _finish(console, folder, table=False)


def _start(config: Config, folder: Path, console: Console) -> tuple[League, int, str]:
    """The league, the slots Ray has for it, the tokenizer's hash.

    PyTorch and Ray take seconds to load and start: meanwhile the text is prepared.
    """
    problems = Problems()
    with closing(Text(config, folder, lambda line: console.print(line, soft_wrap=True, highlight=False))) as text:
        from tournament.league import League
        from tournament.tuner import connect, disconnect

        league = League(folder, config, console)
        console.print(f"tournament {folder.name}: {league.describe()}, data: {config.data.path}", soft_wrap=True)
        with problems.collect():
            slots = connect(league)
        try:
            with problems.collect():
                tokenizer_sha256 = text.tokenizer_sha256()
            problems.raise_all()
        except BaseException:
            disconnect()
            raise
    return league, slots, tokenizer_sha256


def _report_what_is_there(config: Config, console: Console) -> Config:
    """The config without the known sources of tournament.report that its data folder lacks."""
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


def _check(config: Config, results: Path, problems: Problems) -> None:
    """Everything about a new league that can be wrong before anything is started or written."""
    from hamner.data.preparation.for_run import check_sources

    with problems.collect():
        check_disk(entrants(config), config, results)
    with problems.collect():
        check_machine(config, config.compute.threads if config.compute.device == "cpu" else 1)
    with problems.collect():
        check_sources(config, [*config.tournament.mix, *config.tournament.report])


def _finish(console: Console, folder: Path, *, table: bool = True) -> int:
    if table:
        from tournament.standings import show_round

        read_json_as(
            folder / "standings.json", lambda document: show_round(console, document, len(document["rounds"]) - 1)
        )
    told = {
        "settled": "settled: more than chance of seeds and text explains",
        "contested": "contested: chance of seeds and text could explain it",
        "unknown": "unknown: nobody ran two seeds, so nothing says how far chance moves a contestant",
    }
    read_json_as(
        folder / "winner.json",
        lambda winner: console.print(
            f"winner: [bold green]{winner['contestant']}[/bold green], {winner['heldout_loss']:.4f} nats/token held "
            f"out; {told.get(winner.get('verdict'), 'alone at the end')}; {folder / 'winner.json'}",
            soft_wrap=True,
            highlight=False,
        ),
    )
    return 0
