"""Command `tournament`: contestants, elimination rounds, one winner; or what that would cost (--plan).

    tournament [--config NAME|PATH] [--data hub|builtin|DIR] [--results DIR] [--name RUN] [--resume [--retry-errors]]
               [--league FILE | --sweep KEY=VALUE,VALUE] [--only NAME] [--shadow N]
               [--plan [--simulate] [--like RUN | --measure] [--json]]
               [--mixes N --target SOURCE=SHARE,... [--model NAME]] [--notify COMMAND] [--verbose] [key=value ...]
    tournament status [RUN] [--watch] | report [RUN] | pack [RUN] | compare RUN RUN | arena [RUN RUN ...] | history |
    doctor | concepts

Data in: words of a command line. Data out: exit code; launch.py does the work once the words are read.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hamner.config.errors import BadInput, did_you_mean
from hamner.runs.cli import Parser, add_run_options, add_watching_options, read_config, run_command, whole_number

VERBS = {  # first words that are commands of their own: their modules
    "status": "tournament.status",
    "report": "tournament.report",
    "pack": "tournament.pack",
    "compare": "tournament.compare",
    "arena": "tournament.arena",
    "history": "tournament.history",
    "doctor": "tournament.doctor",
    "concepts": "tournament.concepts",
}
DESCRIPTION = """Ten contestants, three elimination rounds, one winner.

Commands of their own: tournament status, report, pack, compare, arena, history, doctor, concepts."""
EXAMPLES = (
    "tournament --config laptop --name first        # ten contestants in miniature, on two CPU cores",
    "tournament --plan --simulate --like first      # which seeds and survivors find the best, at that league's noise",
    "tournament --resume --name first               # continue that league from its last checkpoints",
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser("tournament", DESCRIPTION, EXAMPLES)
    add_run_options(options)
    options.add_argument("--league", metavar="FILE", help="who enters: a TOML file with one [[contestant]] each")
    options.add_argument(
        "--sweep",
        metavar="KEY=VALUE,VALUE",
        action="append",
        default=[],
        help="enter each value of learning_rate, or of a key of the model, as a contestant; repeat it for a grid",
    )
    options.add_argument("--only", metavar="NAME", action="append", default=[], help="enter this one alone; repeatable")
    options.add_argument(
        "--mixes", metavar="N", type=whole_number(2, 10_000), help="enter one model with so many mixes of the sources"
    )
    options.add_argument(
        "--target", metavar="SOURCE=SHARE,...", help="with --mixes: the mix whose held-out loss they are ranked on"
    )
    options.add_argument("--model", metavar="NAME", help="with --mixes: a contestant, v2 or v3 (default: v3)")
    options.add_argument(
        "--shadow",
        metavar="N",
        type=whole_number(0),
        help="let the N best of each cut train on, ranked apart, to see whether the cut erred",
    )
    options.add_argument(
        "--retry-errors",
        action="store_true",
        help="with --resume: let runs that crashed or lost their node play again, in rounds still open and the last",
    )
    options.add_argument("--plan", action="store_true", help="print what the league would cost, and stop")
    options.add_argument(
        "--simulate",
        action="store_true",
        help="with --plan: other numbers of survivors and seeds, what they cost and how often they find the best",
    )
    options.add_argument(
        "--like", metavar="RUN", help="with --plan: take the speed, and for --simulate the noise, of an earlier league"
    )
    options.add_argument(
        "--measure", action="store_true", help="with --plan: time ten steps of each contestant here, for the hours"
    )
    options.add_argument("--json", action="store_true", help="with --plan: one JSON object a line")
    add_watching_options(options, "round")
    options.add_settings()
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    words = sys.argv[1:] if arguments is None else arguments
    if words and words[0] in VERBS:
        return run_command(lambda words: int(importlib.import_module(VERBS[words[0]]).main(words[1:])), arguments)
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    if arguments and arguments[0].isalpha() and (near := difflib.get_close_matches(arguments[0], VERBS, 1)):
        raise BadInput(f"unknown command '{arguments[0]}'; did you mean `tournament {near[0]}`?")
    options = parser().read(arguments)
    for verb in VERBS:
        if verb in options.settings:
            raise BadInput(f"{verb} comes before the options: use tournament {verb} ...")
    _check_plan_options(options)
    if options.retry_errors and not options.resume:
        raise BadInput("--retry-errors goes with --resume: add --resume, or leave it out")
    config = read_config(options, options.settings, "tournament", _entry_settings(options))
    if options.plan:
        from hamner.runs.folders import results_folder
        from tournament.plan import print_plan
        from tournament.plan_hours import Request

        if config is None:
            raise BadInput("--plan describes a new league: leave out --resume")
        results = results_folder(options.results)
        print_plan(config, Request(_like_folder(options), options.measure, options.simulate, options.json, results))
        if not options.json:
            print("nothing was started: the same words without --plan start it")
        return 0
    from hamner.runs.folders import results_folder
    from tournament.launch import Watching, run_tournament

    return run_tournament(
        config,
        results_folder(options.results),
        options.name,
        resume=options.resume,
        retry_errors=options.retry_errors,
        watching=Watching(options.notify, options.verbose),
    )


def _check_plan_options(options: argparse.Namespace) -> None:
    """Raise BadInput for options that say more about a plan when there is none, or say it twice."""
    of_plan = {name: getattr(options, name) for name in ("json", "simulate", "like", "measure")}
    problems = [
        f"--{name} goes with --plan: add --plan, or leave --{name} out"
        for name, value in of_plan.items()
        if value and not options.plan
    ]
    if options.like and options.measure:
        problems.append("--like and --measure both say how fast a step is: choose one")
    if problems:
        raise BadInput(problems)


def _like_folder(options: argparse.Namespace) -> Path | None:
    """The folder of the league that --like names."""
    from hamner.runs.folders import results_folder, run_folder, runs

    if not options.like:
        return None
    results = results_folder(options.results)
    folder = run_folder(results, "tournament", options.like)
    if not (folder / "standings.json").is_file():
        played = [path.name for path in runs(results, "tournament") if (path / "standings.json").is_file()]
        hint = did_you_mean(options.like, played) if played else "play one first, or leave out --like"
        raise BadInput(f"--like {options.like}: no tournament of this name has decided a round in {results}; {hint}")
    return folder


def _entry_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Settings of the tournament that --shadow, --mixes, --league, --sweep and --only stand for."""
    shadow = {} if options.shadow is None else {"shadow": options.shadow}
    return shadow | _entrants(options)


def _entrants(options: argparse.Namespace) -> dict[str, Any]:
    """Settings that --mixes, --league, --sweep and --only stand for."""
    if options.mixes or options.target or options.model:
        return _mix_settings(options)
    if not (options.league or options.sweep or options.only):
        return {}
    from hamner.config.presets import CONTESTANTS
    from tournament.entrants import read_league, sweep

    if options.league and options.sweep:
        raise BadInput("--league and --sweep both say who enters: choose one")
    rows = read_league(options.league) if options.league else []
    names = [row["name"] for row in rows] or list(CONTESTANTS)
    unknown = [name for name in options.only if name not in names]
    if unknown:
        raise BadInput(
            [
                f"--only {name}: unknown contestant; "
                + ("repeat --only for each name" if "," in name else did_you_mean(name, names))
                for name in unknown
            ]
        )
    only = list(dict.fromkeys(options.only)) or names
    if options.sweep:
        entered = sweep(options.sweep, only)
        print("a sweep has no learning-rate round: each entrant trains at the rate its setting says", file=sys.stderr)
        return {"league": entered, "lr": "shared"}
    rows = rows or [{"name": name, "base": name} for name in names]
    return {"league": [row for row in rows if row["name"] in only]}


def _mix_settings(options: argparse.Namespace) -> dict[str, Any]:
    """Settings of the tournament that --mixes stands for."""
    problems = [
        f"{option} goes with --mixes: give --mixes N as well, or leave it out"
        for option, value in (("--target", options.target), ("--model", options.model))
        if value and not options.mixes
    ]
    problems += [
        f"--mixes and {option} both say who enters: choose one"
        for option, value in (("--league", options.league), ("--sweep", options.sweep), ("--only", options.only))
        if value and options.mixes
    ]
    if options.mixes and options.resume:
        problems.append("--resume keeps the mixes that the league was started with: leave out --mixes")
    elif options.mixes and not options.target:
        problems.append("--mixes needs to know what for: give --target sft=.4,personal=.4,synthetic=.2")
    if problems:
        raise BadInput(problems)
    from tournament.mix_league import mix_settings

    config = read_config(options, options.settings, "tournament")
    assert config is not None  # --resume was refused
    return mix_settings(config, options.mixes, options.target, options.model or "v3")


if __name__ == "__main__":
    raise SystemExit(main())
