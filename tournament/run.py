"""The command `tournament`: ten contestants, three rounds, one winner.

    tournament [--config NAME|PATH] [--data hub|builtin|DIR] [--results DIR] [--name RUN] [--resume]
               [--plan [--json]] [key=value ...]

Everything that can be wrong is found before Ray starts. RUN/bracket.json is the ledger: what it says is decided
stays decided, whoever is killed.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from hamner import command
from hamner.command import add_run_options, check_cluster, check_machine, ray_settings, read_config, run_command
from hamner.config import BadInput, Config, ModelConfig, Problems
from hamner.cost import training_flops_per_token
from hamner.results import checked, only_one, open_run, results_folder, write_config, write_json
from tournament.gpu_share import share
from tournament.rounds import Bracket, Outcome
from tournament.standings import round_end, show_round, standings, write_winner
from tournament.variants import entrants

SUBCOMMANDS: tuple[str, ...] = ()    # words that may stand first; none yet


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="tournament", description="Ten contestants, three rounds, one winner.")
    add_run_options(parser)
    parser.add_argument("--plan", action="store_true", help="print what the league would cost, and stop")
    parser.add_argument("--json", action="store_true", help="with --plan: one JSON object a line")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="override any key of the config")
    options = parser.parse_intermixed_args(arguments)
    words = [word for word in options.settings if "=" not in word]
    if words:
        known = f"known subcommands: {', '.join(SUBCOMMANDS)}" if SUBCOMMANDS else "there are no subcommands yet"
        raise BadInput([f"'{word}' is neither key=value nor a subcommand; {known}" for word in words])
    config = read_config(options, options.settings, "tournament")
    if options.plan:
        from tournament.plan import print_plan

        if config is None:
            raise BadInput("--plan describes a new league: leave out --resume")
        print_plan(config, entrants(config), as_json=options.json)
        return 0
    if options.json:
        raise BadInput("--json belongs to --plan")
    return play(config, results_folder(options.results), options.name, resume=options.resume)


def play(config: Config | None, results: Path, name: str | None, *, resume: bool) -> int:
    """Run or resume a league; returns the exit code."""
    console = command.console()
    console.print(f"results: {results}", soft_wrap=True)
    problems = Problems()
    if config is not None and not resume:
        _check(config, problems)
    with problems.collect():
        folder, config, facts = open_run(
            results, "tournament", name, resume=resume, config=config, facts={"kind": "tournament"})
    problems.raise_all()
    models = entrants(config)
    if resume:
        if (folder / "winner.json").is_file():
            return _finish(console, folder)
        check_machine(config, config.compute.threads if config.compute.device == "cpu" else 1)
    with only_one(folder / ".driver.lock", f"{folder} is being worked on by another process: wait for it to end",
                  wait_seconds=2 if resume else 0):
        try:
            if not resume:
                write_config(folder, config, facts)
            console.print(f"tournament {folder.name}: {len(models)} contestants, data: {config.data.path}")
            tokenizer_sha256 = _prepare(config, folder, console)
            _connect(config, models)
        except BadInput:
            if not resume:
                shutil.rmtree(folder)    # bad input leaves nothing behind
            raise
        try:
            return _play_rounds(console, folder, config, models, tokenizer_sha256)
        finally:
            import ray

            ray.shutdown()


def _check(config: Config, problems: Problems) -> None:
    """Everything about a new league that can be wrong before anything is started or written."""
    from hamner.prepare_data import check_sources

    with problems.collect():
        entrants(config)
    with problems.collect():
        check_machine(config, config.compute.threads if config.compute.device == "cpu" else 1)
    with problems.collect():
        check_sources(config, config.tournament.mix)


def _prepare(config: Config, folder: Path, console: Console) -> str:
    """Tokenizer and tokens of the run; returns the tokenizer's hash."""
    from hamner.prepare_data import choose_tokenizer, prepare

    league = config.tournament
    tokens = round_end(config, len(league.steps)) * league.batch_size * league.seq_len
    corpus, tokenizer = prepare(
        config, folder / "data", list(league.mix), tokenizer=choose_tokenizer(config), seq_len=league.seq_len,
        hub_tokens=tokens,
        say=lambda line: console.print(line, soft_wrap=True),
    )
    for source, facts in corpus.manifest["sources"].items():
        console.print(
            f"{source}: {facts['documents']:,} documents, {facts['tokens']:,} tokens to train on; "
            f"{facts['heldout_documents']:,} documents held out, {facts['heldout_unigram_nats']:.3f} nats/token "
            "unigram entropy", soft_wrap=True, highlight=False)
    return tokenizer.sha256


def _play_rounds(
    console: Console, folder: Path, config: Config, models: dict[str, ModelConfig], tokenizer_sha256: str,
) -> int:
    flops = {name: training_flops_per_token(m, config.tournament.seq_len) for name, m in models.items()}
    bracket = Bracket(list(models), config.tournament.keep, flops)
    ledger = folder / "bracket.json"
    if ledger.is_file():
        checked(ledger, bracket.load_state)
    _say_where(console, folder, bracket)

    def record(name: str, outcome: Outcome, decided: bool) -> None:
        """The ledger first, then everything that is told to others."""
        write_json(ledger, bracket.state())
        _say(console, name, outcome)
        if decided:
            document = standings(folder.name, config, bracket)
            write_json(folder / "standings.json", document)
            show_round(console, document, len(document["rounds"]) - 1)

    if not bracket.over():
        _run_trials(folder, config, models, bracket, record)
    write_json(folder / "standings.json", standings(folder.name, config, bracket))
    if bracket.winner() is None:
        console.print("[red]no winner: every contestant failed; the reasons stand in the table above[/red]"
                      if bracket.over() else "[red]the league was stopped; --resume goes on with it[/red]")
        return 1
    write_winner(folder, config, bracket, models, tokenizer_sha256)
    return _finish(console, folder, table=False)


def _resources(config: Config, model: ModelConfig) -> dict[str, float]:
    """What one contestant occupies."""
    if config.compute.device == "cpu":
        return {"CPU": config.compute.threads}
    return {"CPU": 1, "GPU": share(model, config)}    # many share a card: the CPU is not what limits them


def _connect(config: Config, models: dict[str, ModelConfig]) -> None:
    """Start or join Ray. Raises BadInput when there is none, or none large enough."""
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"    # rows and curves are written by the trials
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"                    # the other output ignores verbose=0
    import ray

    try:
        ray.init(**ray_settings(config.compute.threads))
    except ConnectionError as error:
        raise BadInput(f"no Ray cluster at RAY_ADDRESS: {error}") from None
    needs = [_resources(config, model) for model in models.values()]
    try:
        check_cluster(ray.nodes(), max(n["CPU"] for n in needs), max(n.get("GPU", 0) for n in needs))
    except BadInput:
        ray.shutdown()
        raise


def _run_trials(
    folder: Path, config: Config, models: dict[str, ModelConfig], bracket: Bracket, record: Any,
) -> None:
    """One Tuner for the whole league."""
    from ray import tune

    from tournament.scheduler import EliminationScheduler
    from tournament.trial import Trial

    failed = {name for name, outcome in bracket.outcomes[bracket.round].items() if outcome.failure}
    playing = [name for name in bracket.alive() if name not in failed]
    attempt = 1 + max((int(p.name) for p in (folder / "ray").glob("*") if p.name.isdigit()), default=0)
    tune.Tuner(
        tune.with_resources(
            Trial, lambda trial: tune.PlacementGroupFactory([_resources(config, models[trial["contestant"]])])),
        param_space={"contestant": tune.grid_search(playing), "run": str(folder), "round": bracket.round},
        tune_config=tune.TuneConfig(
            scheduler=EliminationScheduler(bracket, record), metric="step", mode="max",
            # a reused process would keep its predecessor's memory on a GPU
            reuse_actors=config.compute.device == "cpu",
        ),
        run_config=tune.RunConfig(
            name=str(attempt), storage_path=str(folder / "ray"), verbose=0,
            failure_config=tune.FailureConfig(max_failures=config.compute.max_failures),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
        ),
    ).fit()


def _say(console: Console, name: str, outcome: Outcome) -> None:
    told = (f"{outcome.failure}: {outcome.reason}" if outcome.failure else
            f"{outcome.heldout_loss:.4f} nats/token held out, {outcome.tokens_per_second or 0:,.0f} tokens/s")
    console.print(f"  {name:<20} {told}", highlight=False, soft_wrap=True)


def _say_where(console: Console, folder: Path, bracket: Bracket) -> None:
    """Where the league stands: at step 0, or what a resume finds."""
    found = {name: max((folder / name / "checkpoints").glob("step_*"), default=None) for name in bracket.alive()}
    if bracket.round == 0 and not bracket.outcomes[0] and not any(found.values()):
        console.print("starting at step 0")
        return
    steps = [f"{name} {int(path.name.removeprefix('step_')) if path else 0}" for name, path in found.items()]
    console.print(f"resuming in round {bracket.round + 1}; checkpoints at step: {', '.join(steps)}", soft_wrap=True)


def _finish(console: Console, folder: Path, *, table: bool = True) -> int:
    if table:
        checked(folder / "standings.json", lambda document: show_round(console, document, len(document["rounds"]) - 1))
    checked(folder / "winner.json", lambda winner: console.print(
        f"winner: [bold green]{winner['contestant']}[/bold green], {winner['heldout_loss']:.4f} nats/token held "
        f"out; {folder / 'winner.json'}", soft_wrap=True, highlight=False))
    return 0
