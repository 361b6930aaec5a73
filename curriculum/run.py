"""The command of the curriculum: raise a model through eight stages.

    python -m curriculum.run WHO [--config NAME|PATH] [--data hub|builtin|DIR] [--results DIR] [--name RUN]
                             [--resume] [--tournament RUN] [--stage N|NAME] [--from CHECKPOINT]
                             [--curriculum NAME|FILE] [--like RUN] [key=value ...]

WHO: `winner` (of the newest finished tournament), a contestant's name, `v2`, `v3`, or the path of a model config
or a winner.json. Weights begin fresh unless --from names a checkpoint. SIGTERM and Ctrl-C save and leave.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock
from rich import box
from rich.console import Console
from rich.table import Table

from curriculum.curricula import find_curriculum
from curriculum.disk import check_disk
from curriculum.driver import Interrupted, log_shown, run_until_signal
from curriculum.stages import SEED, Curriculum, Stage, stage_index
from curriculum.starting_model import find_starting_model, with_weights_of
from hamner.config.errors import BadInput, Problems
from hamner.config.load import parse
from hamner.config.schema import Config
from hamner.data.preparation.for_run import check_sources, choose_tokenizer, prepare
from hamner.data.tokenizer import Tokenizer
from hamner.runs import cli
from hamner.runs.cli import add_run_options, read_config, run_command
from hamner.runs.cluster import check_cluster, check_machine, ray_settings
from hamner.runs.files import read_json_as
from hamner.runs.folders import open_run, results_folder, write_config
from hamner.runs.lock import only_one
from hamner.training import checkpoint


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m curriculum.run", description="Eight stages for one model.")
    parser.add_argument("who", metavar="WHO", help="winner, a contestant, v2, v3, a model config or winner.json")
    add_run_options(parser)
    parser.add_argument("--tournament", metavar="RUN", help="whose winner (default: the newest finished one)")
    parser.add_argument("--stage", metavar="N|NAME", help="begin with this stage; needs --from or --resume")
    parser.add_argument("--from", dest="source", metavar="CHECKPOINT", help="begin with these weights")
    parser.add_argument(
        "--curriculum",
        metavar="NAME|FILE",
        help="seed (default), v3, pretrain_v2, a TOML file, or a control of another run: joint, shuffled",
    )
    parser.add_argument("--like", metavar="RUN", help="the finished run whose tokens joint or shuffled repeats")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="override any key of the config")
    options = parser.parse_intermixed_args(arguments)
    bad = [f"'{word}' is not key=value" for word in options.settings if "=" not in word]
    if bad:
        raise BadInput(bad)
    console = cli.console()
    results = results_folder(options.results)
    console.print(f"results: {results}", soft_wrap=True)
    return run_curriculum(console, results, options, read_config(options, options.settings, "curriculum"))


def run_curriculum(console: Console, results: Path, options: argparse.Namespace, config: Config | None) -> int:
    """Start or resume a run; returns the exit code."""
    problems = Problems()
    facts: dict[str, Any] = {"kind": "curriculum", "who": options.who}
    told = ""
    if options.resume:
        if options.source or options.tournament or options.curriculum or options.like:
            problems.found.append(
                "--resume goes on with what the run began with: leave out --from, --tournament, --curriculum and --like"
            )
    else:
        assert config is not None
        told = _check_new(results, options, config, facts, problems)
    with problems.collect():
        folder, config, facts = open_run(
            results, "curriculum", options.name, resume=options.resume, config=config, facts=facts
        )
    problems.raise_all()
    assert config is not None
    if "curriculum" not in facts:
        raise BadInput(
            f"{folder} was begun by an older version, which kept no curriculum: begin a new run, with "
            f"--from {folder}/checkpoints/STEP if its weights are wanted"
        )
    stages = parse(Curriculum, facts["curriculum"], str(folder / "config.json")).stages
    jump_to = stage_index(options.stage, stages) if options.resume and options.stage else None
    if options.resume:
        if (folder / "final").is_dir() and jump_to is None:
            return _finish(console, folder)
        check_machine(config, config.compute.workers * config.compute.worker_threads)
    with only_one(
        folder / ".driver.lock",
        f"{folder} is being worked on by another process: wait for it to end",
        wait_seconds=2 if options.resume else 0,
    ):
        if told:
            console.print(told, soft_wrap=True)
        _prepare(console, folder, config, facts, stages, new=not options.resume)
        try:
            if jump_to is not None:
                _jump(folder, jump_to)
            return _train_and_show(console, folder, config)
        finally:
            import ray

            ray.shutdown()


def _check_new(
    results: Path, options: argparse.Namespace, config: Config, facts: dict[str, Any], problems: Problems
) -> str:
    """Everything about a new run that can be wrong before anything is started or written.

    Fills in `facts`, what config.json keeps beside the config; returns a line to say of WHO.
    """
    curriculum, pupil = Curriculum(name="seed", stages=SEED), None
    with problems.collect():
        curriculum = find_curriculum(options.curriculum or "seed", options.like, config, results)
    with problems.collect():
        facts["first_stage"] = _first_stage(options, curriculum.stages)
    with problems.collect():
        pupil = with_weights_of(find_starting_model(options.who, config, results, options.tournament), options.source)
        problems.found += pupil.model.problems(config.curriculum.seq_len)
        facts |= pupil.facts() | {"from": _absolute(options.source), "curriculum": curriculum.model_dump(mode="json")}
    with problems.collect():
        check_machine(config, config.compute.workers * config.compute.worker_threads)
    with problems.collect():
        check_sources(config, [name for stage in curriculum.stages for name in stage.mix])
    if pupil:
        with problems.collect():
            check_disk(pupil.model, config, curriculum.stages, results)
    return pupil.told if pupil else ""


def _first_stage(options: argparse.Namespace, stages: Sequence[Stage]) -> int:
    """0-based index of --stage. Refused without weights to begin with."""
    if not options.stage:
        return 0
    if not options.source:
        raise BadInput(
            f"--stage {options.stage} needs weights to begin with: give them with --from CHECKPOINT, or go on "
            "with a run by --resume --name RUN"
        )
    return stage_index(options.stage, stages)


def _absolute(path: str | None) -> str | None:
    return str(Path(path).expanduser().resolve()) if path else None


def _jump(folder: Path, first_stage: int) -> None:
    """Rewrite the newest checkpoint so that it stands at the beginning of another stage."""
    found = checkpoint.newest(folder / "checkpoints", complete=True)
    if found is None:
        raise BadInput(f"{folder} has no checkpoint to begin stage {first_stage + 1} from: resume without --stage")
    shutil.rmtree(folder / "final", ignore_errors=True)
    groups = {group: found.tensors(group) for group in ("model", "optimizer", "average")}
    with FileLock(folder / ".worker0.lock", timeout=60):  # an orphan of a killed driver may still be writing
        checkpoint.save(
            found.path,
            groups,
            found.state | {"stage_index": first_stage, "stage_step": 0},
            found.model,
            found.tokenizer(),
        )


def _prepare(
    console: Console, folder: Path, config: Config, facts: dict[str, Any], stages: Sequence[Stage], *, new: bool
) -> None:
    """config.json, tokens, Ray: in that order. Bad input leaves nothing of a new run behind."""
    try:
        if new:
            write_config(folder, config, facts)
        console.print(
            f"curriculum {folder.name}: {facts['name']}, {facts['curriculum']['name']} ({len(stages)} "
            f"stage{'s' * (len(stages) > 1)}), data: {config.data.path}",
            soft_wrap=True,
        )
        console.print(_cost(config), soft_wrap=True)
        names = sorted({name for stage in stages for name in stage.mix})
        prepare(
            config,
            folder / "data",
            names,
            tokenizer=_tokenizer(folder, facts) or choose_tokenizer(config),
            seq_len=config.curriculum.seq_len,
            hub_tokens=config.data.hub_tokens,
            say=lambda line: console.print(line, soft_wrap=True),
        )
        compute = config.compute
        connect(compute.worker_threads, float(compute.device == "cuda"), compute.workers)
    except BadInput:
        if new:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _tokenizer(folder: Path, facts: dict[str, Any]) -> Tokenizer | None:
    """The tokenizer the run is tied to, if any: from its own data folder, else from where it was found."""
    told = facts["tokenizer"]
    if told is None or (folder / "data" / "manifest.json").is_file():
        return None
    tokenizer = Tokenizer.load(told["path"])
    if tokenizer.sha256 != told["sha256"]:
        raise BadInput(f"the tokenizer in {told['path']} has changed since the run was started")
    return tokenizer


def connect(threads: int, gpus: float, processes: int) -> None:
    """Start or join Ray, for `processes` of so many cores and cards each. Raises BadInput when there is none, or none
    large enough."""
    import ray

    try:
        ray.init(**ray_settings(threads))
    except ConnectionError as error:
        raise BadInput(f"no Ray cluster at RAY_ADDRESS: {error}") from None
    try:
        check_cluster(ray.nodes(), threads, gpus, processes)
    except BadInput:
        ray.shutdown()
        raise


def _cost(config: Config) -> str:
    """What looking at the held-out loss adds to the arithmetic of training."""
    settings, rule = config.curriculum, config.curriculum.plateau
    passes = 4 if config.compute.activation_checkpointing else 3  # of a training row, one of a held-out row
    share = settings.eval_sequences / (rule.evaluation_steps * settings.batch_size * passes)
    return (
        f"a look at {settings.eval_sequences} held-out rows every {rule.evaluation_steps} steps adds "
        f"{100 * share:.1f} % to the arithmetic of training"
    )


def _train_and_show(console: Console, folder: Path, config: Config) -> int:
    try:
        with log_shown(console, folder):
            failure = run_until_signal(lambda: _train(folder, config), folder)
    except Interrupted as signal:
        if not signal.is_saved:
            console.print("not saved in time; --resume goes on from the last checkpoint")
        return 128 + signal.number
    if (folder / "final").is_dir():
        return _finish(console, folder)
    if failure:
        console.print(f"[red]{failure}[/red]", soft_wrap=True)
    console.print(f"[red]not finished; see {folder / 'run.log'}[/red]", soft_wrap=True)
    return 1


def _train(folder: Path, config: Config) -> str:
    """One Ray Train run for all stages; returns what it failed with, if it did."""
    import ray.train
    from ray.train.torch import TorchTrainer

    from curriculum.train_loop import train

    attempt = 1 + max((int(p.name) for p in (folder / "ray").glob("*") if p.name.isdigit()), default=0)
    compute = config.compute
    try:
        TorchTrainer(
            train,
            train_loop_config={"run": str(folder), "attempt": attempt},
            scaling_config=ray.train.ScalingConfig(
                num_workers=compute.workers,
                use_gpu=compute.device == "cuda",
                resources_per_worker={"CPU": compute.worker_threads} | ({"GPU": 1} if compute.device == "cuda" else {}),
            ),
            run_config=ray.train.RunConfig(
                name=str(attempt),
                storage_path=str(folder / "ray"),
                failure_config=ray.train.FailureConfig(max_failures=compute.max_failures),
            ),
        ).fit()
    except ray.train.TrainingFailedError as error:
        return str(error)
    return ""


def _finish(console: Console, folder: Path) -> int:
    table = Table(
        title=f"curriculum {folder.name}: held-out loss in nats per token at each stage's end",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    read_json_as(folder / "stages.json", lambda document: _add_rows(table, document["stages"]))
    console.print(table)
    console.print(f"finished: {folder / 'final'}", soft_wrap=True)
    console.print(f"talk to it: python -m hamner.chat {folder.name}", soft_wrap=True)
    return 0


def _add_rows(table: Table, records: list[dict[str, Any]]) -> None:
    sources = list(dict.fromkeys(name for record in records for name in record["heldout_loss"]))
    table.add_column("stage", no_wrap=True)
    for heading in ("steps", "tokens", "ended by", *sources):
        table.add_column(heading, justify="right")
    for record in records:
        losses = [f"{record['heldout_loss'][name]:.3f}" for name in sources]
        table.add_row(
            f"{record['number']} {record['stage']}",
            f"{record['steps']:,}",
            f"{record['tokens']:,}",
            record["reason"],
            *losses,
        )


if __name__ == "__main__":
    raise SystemExit(main())
