"""Command `hamner friend`: the whole pipeline, from an empty folder to somebody to talk to, resumable.

    hamner friend [--name NAME] [--hours H] [--model WHO] [--config NAME|PATH] [--data hub|builtin|DIR]
                  [--results DIR] [--plan] [--no-page | --port N] [--notify COMMAND] [key=value ...]

League, stages, fine-tuning, friend card, export, page: each is a command of its own, run in a process of its own. What
is done is skipped, what is begun is resumed: the same command continues after Ctrl-C or kill -9. The plan is printed
first, and nothing is asked.

Data in: words of a command line. Data out: runs named NAME in tournament/, curriculum/ and sft/, the friend card of the
last, friend/NAME/export/, and an exit code.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamner.config.errors import BadInput, Problems, did_you_mean
from hamner.inference.server_options import missing_packages
from hamner.runs import cli
from hamner.runs.cli import (
    Parser,
    add_config_options,
    add_notify_option,
    add_results_option,
    number,
    run_command,
    whole_number,
)
from hamner.runs.durations import duration_text
from hamner.runs.folders import absolute, results_folder
from hamner.runs.friend_commands import command_of, export_command, last_command, state_of, way_on
from hamner.runs.friend_hours import EXPORT, LEAGUE, STAGES, league_hours, step_hours
from hamner.runs.friend_record import WINNER, FriendRecord

if TYPE_CHECKING:
    from hamner.config.schema import Config
    from hamner.runs.notify import Notifier

EXAMPLES = (
    "hamner friend --hours 48                     # league, stages, fine-tuning, card, export and page within 48 hours",
    "hamner friend --model v2 --hours 24 --plan   # without a league; print the plan alone",
    "hamner friend --config laptop --name small   # the same in miniature, offline",
)


def parser() -> Parser:
    """The options of the command."""
    options = Parser("hamner friend", "From an empty folder to somebody to talk to: all steps, resumable.", EXAMPLES)
    options.add_argument("--name", metavar="NAME", default="friend", help="of all its runs (default: friend)")
    options.add_argument(
        "--hours", metavar="H", type=number(0.01, 10_000), help="divide so many hours, from the first start on"
    )
    options.add_argument("--model", metavar="WHO", help="train this one instead of a league's winner: v2, v3, ...")
    add_config_options(options)
    add_results_option(options)
    options.add_argument("--plan", action="store_true", help="print the plan, and start nothing")
    options.add_argument("--no-page", action="store_true", help="end after the export; do not serve the page")
    add_notify_option(options, "step")
    options.add_argument(
        "--port", metavar="N", type=whole_number(0, 65535), help="of the page (default: 8000; 0: a free one)"
    )
    options.add_settings()
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    options = parser().read(arguments)
    record = FriendRecord.open(results_folder(options.results), options.name, _asked(options), options.hours)
    if not record.asked.config:
        record = replace(record, asked=replace(record.asked, config=cli.default_config_name()))
    config = _config(record)
    if not (record.folder / "friend.json").is_file():
        _check(record, config)
    if record.hours and LEAGUE in record.steps and record.league_hours is None and not record.is_begun(LEAGUE):
        record = replace(record, league_hours=_measured_league(record))
    missing = missing_packages()
    has_page = not (options.no_page or missing)
    _print_plan(record, config, "serve" if has_page else "chat", _page_words(options))
    if missing and not options.no_page:
        print(f"no page: {', '.join(missing)} is missing; install the extra `serve`, before or after", file=sys.stderr)
    if options.plan:
        print("nothing was started: the same words without --plan start it")
        return 0

    from hamner.runs.lock import only_one
    from hamner.runs.notify import Notifier

    record.folder.mkdir(parents=True, exist_ok=True)
    message = f"another process is working on {record.folder}: wait for it to end"
    lock = only_one(record.folder / ".driver.lock", message, wait_seconds=2)
    with lock, Notifier(options.notify, f"friend {record.name}") as notifier:
        code = _run_steps(record, config, notifier)
    if code == 0:
        _open_page(record, _page_words(options), is_served=has_page)
    return code


def _asked(options: argparse.Namespace) -> dict[str, Any]:
    """What the command line asks for, as a record keeps it: paths and keys are whole. Raises BadInput."""
    from hamner.config.load import qualified

    asked = {"model": options.model, "config": options.config, "data": options.data}
    if options.config and Path(options.config).expanduser().is_file():
        asked["config"] = str(absolute(options.config, "--config"))
    if options.data and options.data not in ("hub", "builtin") and "://" not in options.data:
        asked["data"] = str(absolute(options.data, "--data"))
    problems, settings = Problems(), []
    for word in options.settings:
        with problems.collect():
            settings.append(qualified(word))  # each step has a section of its own in which it looks a bare key up
    problems.raise_all()
    return {key: value for key, value in {**asked, "settings": tuple(settings)}.items() if value}


def _config(record: FriendRecord) -> Config:
    """The config of all steps. Raises BadInput."""
    from hamner.config.load import load_config

    asked = record.asked
    return load_config(asked.config, [*([f"data.path={asked.data}"] if asked.data else []), *asked.settings], "")


def _check(record: FriendRecord, config: Config) -> None:
    """Raise BadInput with everything that is wrong with a friend that is not begun."""
    from hamner.config.schema import SOURCE_NAMES
    from hamner.data.preparation.conversation_sources import find_conversations
    from hamner.data.preparation.for_run import check_sources
    from hamner.data.preparation.inputs import text_names
    from hamner.runs.cluster import check_machine, cores_per_worker

    problems = Problems()
    problems.lines += record.problems()
    with problems.collect():
        _check_model(record.asked.model)
    with problems.collect():
        check_machine(config, config.compute.workers * cores_per_worker(config))
    with problems.collect():
        present = text_names(name for name in SOURCE_NAMES if name not in _absent(config))
        check_sources(config, [*(present or SOURCE_NAMES), *(config.tournament.mix if LEAGUE in record.steps else ())])
    with problems.collect():
        find_conversations(config)
    problems.raise_all()


def _check_model(who: str) -> None:
    """Raise BadInput for a model that nobody knows."""
    from hamner.config.presets import CONTESTANTS, PRESETS

    known = [WINNER, *CONTESTANTS, *PRESETS]
    if who not in known and not absolute(who, "--model").is_file():
        raise BadInput(f"--model {who} is neither a contestant, a preset nor a file; {did_you_mean(who, known)}")


def _absent(config: Config) -> tuple[str, ...]:
    """The known sources of text that are not there: the stages leave them out."""
    from hamner.config.schema import SOURCE_NAMES
    from hamner.data.preparation.for_run import absent_sources

    return absent_sources(config, SOURCE_NAMES)


# -- the plan


def _measured_league(record: FriendRecord) -> float:
    """Hours that the league would take on this machine, by a few steps of each contestant. Raises BadInput."""
    words = [sys.executable, "-m", "tournament", "--plan", "--measure", "--json", *record.asked.words()]
    answer = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)  # which says how far it is
    if answer.returncode:
        raise BadInput(f"the league cannot be planned: see `{shlex.join(words[2:])}`, or name a --model")
    league = json.loads(answer.stdout.splitlines()[-1])["league"]
    return league_hours(league["rounds_hours"], league["probe_hours"])


def _hours(record: FriendRecord) -> Mapping[str, float]:
    """Hours of each step to come; none where no hours were given."""
    if not record.hours:
        return {}
    return step_hours(record.hours, record.elapsed(), record.steps, record.done(), record.league_hours)


def _page_words(options: argparse.Namespace) -> list[str]:
    """The options of the page."""
    return [] if options.port is None else ["--port", str(options.port)]


def _print_plan(record: FriendRecord, config: Config, last: str, page_words: Sequence[str]) -> None:
    """Print of each step whether it is done, its hours, its command. last: the verb that ends it."""
    from hamner.runs.tables import Column, fitted_table

    hours, absent = _hours(record), _absent(config)
    rows = []
    for step in record.steps:
        command = _typed(command_of(record, step, hours.get(step), config, absent))
        rows.append([step, *state_of(record, step, hours.get(step)), "" if record.is_done(step) else command])
    rows.append(
        ["page" if last == "serve" else "talk", "at the end", "", _typed(last_command(record, last, page_words))]
    )
    limit = f"{record.hours:g} hours from the first start on" if record.hours else "no limit of hours"
    columns = [Column("step", justify="left"), Column("state", justify="left"), Column("hours")]
    columns.append(Column("command", 1, justify="left"))
    screen = cli.console()
    title = f"{record.name}: {record.asked.model}, config {record.asked.config}, {limit}"
    screen.print(fitted_table(screen, columns, rows, title=title))
    if absent and not record.is_begun(STAGES):
        screen.print(f"{config.data.path} has no {', '.join(absent)}: the stages leave them out", soft_wrap=True)
    late = record.elapsed() + sum(hours.values()) - (record.hours or 0)
    if hours and record.hours and late > 0.005 * record.hours:
        screen.print(
            f"the end is about {duration_text(3600 * late)} late: give more --hours, or let it be late", soft_wrap=True
        )


def _typed(command: tuple[str, list[str]]) -> str:
    """A command as it is typed."""
    return shlex.join([command[0], *command[1]])


# -- the steps


def _run_steps(record: FriendRecord, config: Config, notifier: Notifier) -> int:
    """Run what is not done, step by step; returns the first exit code that is not 0."""
    record.write()
    for place, step in enumerate(record.steps, start=1):
        if not record.is_done(step):
            command = command_of(record, step, _hours(record).get(step), config, _absent(config))
            print(f"\n{place} of {len(record.steps)}, {step}: {_typed(command)}", flush=True)
            code = _run_step(record, step, command)
            notifier.send(f"{step} is done" if code == 0 else f"stopped in {step}, exit code {code}")
            if code:
                return code
        record = record.noted(step)
        record.write()
    return 0


def _run_step(record: FriendRecord, step: str, command: tuple[str, list[str]]) -> int:
    """Run the command of a step; its exit code. Raises Interrupted after a signal; either says how to continue."""
    from hamner.runs.child_command import run_child

    code = 1
    try:
        code = run_child(*command)
        if code == 2 and step == EXPORT:  # a model or tokenizer that GGUF does not know, as it has said
            code = run_child(*export_command(record))
    finally:
        if code:
            print(f"stopped in {step}; continue with `{way_on(record)}`", file=sys.stderr)
    return code


def _open_page(record: FriendRecord, page_words: Sequence[str], *, is_served: bool) -> None:
    """Become the server of the page; where there is none, say how to talk to it."""
    if not is_served:
        print(f"\ntalk to it with `{_typed(last_command(record, 'chat'))}`", flush=True)
        return
    module, words = last_command(record, "serve", page_words)
    print(f"\npage: {_typed((module, words))}", flush=True)
    os.execv(sys.executable, [sys.executable, "-m", module, *words])


if __name__ == "__main__":
    raise SystemExit(main())
