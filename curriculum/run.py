"""The command of the curriculum: raise a model through eight stages.

    python -m curriculum.run WHO [--config NAME|PATH] [--data hub|builtin|DIR] [--results DIR] [--name RUN]
                             [--resume] [--tournament RUN] [--stage N|NAME] [--from CHECKPOINT] [key=value ...]

WHO: `winner` (of the newest finished tournament), a contestant's name, `v2`, `v3`, or the path of a model config
or a winner.json. Weights begin fresh unless --from names a checkpoint.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from curriculum.stages import SEED, stage_index, stage_problems
from hamner import checkpoint, command
from hamner.command import add_run_options, check_cluster, check_machine, ray_settings, read_config, run_command
from hamner.config import BadInput, Config, ModelConfig, Problems, closest, parse
from hamner.contestants import CONTESTANTS, model_named
from hamner.presets import PRESETS
from hamner.results import checked, only_one, open_run, read_json, results_folder, run_folder, runs, write_config
from hamner.tokenizer import Tokenizer


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command(_command, arguments)


def _command(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m curriculum.run", description="Eight stages for one model.")
    parser.add_argument("who", metavar="WHO", help="winner, a contestant, v2, v3, a model config or winner.json")
    add_run_options(parser)
    parser.add_argument("--tournament", metavar="RUN", help="whose winner (default: the newest finished one)")
    parser.add_argument("--stage", metavar="N|NAME", help="begin with this stage; needs --from or --resume")
    parser.add_argument("--from", dest="source", metavar="CHECKPOINT", help="begin with these weights")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="override any key of the config")
    options = parser.parse_intermixed_args(arguments)
    bad = [f"'{word}' is not key=value" for word in options.settings if "=" not in word]
    if bad:
        raise BadInput(bad)
    console = command.console()
    results = results_folder(options.results)
    console.print(f"results: {results}", soft_wrap=True)
    return raise_model(console, results, options, read_config(options, options.settings, "curriculum"))


@dataclass(frozen=True)
class Pupil:
    """Who is raised: its model, and the tokenizer it is tied to, if any."""

    name: str
    model: ModelConfig
    tokenizer: Path | None = None    # its folder
    told: str = ""

    def facts(self) -> dict[str, Any]:
        """What config.json keeps of it, so that a resume is the same run."""
        told = None
        if self.tokenizer:
            told = {"path": str(self.tokenizer), "sha256": Tokenizer.load(self.tokenizer).sha256}
        return {"name": self.name, "model": self.model.model_dump(), "tokenizer": told}


def raise_model(console: Console, results: Path, options: argparse.Namespace, config: Config | None) -> int:
    """Start or resume a run; returns the exit code."""
    problems = Problems()
    problems.found += stage_problems(SEED)
    first_stage, pupil = 0, None
    facts: dict[str, Any] = {"kind": "curriculum", "who": options.who}
    with problems.collect():
        first_stage = _first_stage(options)
    if not options.resume:
        assert config is not None
        with problems.collect():
            pupil = _from_checkpoint(find_pupil(options.who, config, results, options.tournament), options.source)
            problems.found += pupil.model.problems(config.curriculum.seq_len)
            facts |= pupil.facts() | {"from": _absolute(options.source), "first_stage": first_stage}
        _check(config, problems)
    elif options.source or options.tournament:
        problems.found.append("--resume goes on with what the run began with: leave out --from and --tournament")
    with problems.collect():
        folder, config, facts = open_run(
            results, "curriculum", options.name, resume=options.resume, config=config, facts=facts)
    problems.raise_all()
    assert config is not None
    if options.resume:
        if (folder / "final").is_dir() and not options.stage:
            return _finish(console, folder)
        check_machine(config, config.compute.workers * config.compute.worker_threads)
    with only_one(folder / ".driver.lock", f"{folder} is being worked on by another process: wait for it to end",
                  wait_seconds=2 if options.resume else 0):
        if options.resume and options.stage:
            _jump(folder, first_stage)
        if pupil is not None and pupil.told:
            console.print(pupil.told, soft_wrap=True)
        _prepare(console, folder, config, facts, new=not options.resume)
        try:
            return _train_and_show(console, folder, config)
        finally:
            import ray

            ray.shutdown()


def _first_stage(options: argparse.Namespace) -> int:
    """0-based index of --stage. Refused without weights to begin with."""
    if not options.stage:
        return 0
    if not (options.source or options.resume):
        raise BadInput(
            f"--stage {options.stage} needs weights to begin with: give them with --from CHECKPOINT, or go on "
            "with a run by --resume --name RUN"
        )
    return stage_index(options.stage)


def _check(config: Config, problems: Problems) -> None:
    """Everything about a new run but WHO that can be wrong before anything is started or written."""
    from hamner.prepare_data import check_sources

    with problems.collect():
        check_machine(config, config.compute.workers * config.compute.worker_threads)
    with problems.collect():
        check_sources(config, [name for stage in SEED for name in stage.mix])


def find_pupil(who: str, config: Config, results: Path, tournament: str | None) -> Pupil:
    """Resolve WHO. Raises BadInput with the ways out."""
    if tournament and who != "winner":
        raise BadInput(f"--tournament {tournament} chooses whose winner; it goes with WHO = winner, not '{who}'")
    if who == "winner":
        return _winner(_winner_file(results, tournament), config)
    if who in CONTESTANTS | PRESETS:
        return Pupil(who, model_named(who, config.size))
    path = Path(who).expanduser()
    if path.is_file():
        document = read_json(path)
        if isinstance(document, dict) and "contestant" in document:
            return _winner(path, config)
        model = parse(ModelConfig, document if isinstance(document, dict) else {}, str(path))
        problems = list(model.problems())
        if model.vocab_size != config.size.vocab_size:
            problems.append(f"vocab_size {model.vocab_size} is not the config's {config.size.vocab_size}: change "
                            "the model, or size.vocab_size and with it data.tokenizer")
        if problems:
            raise BadInput([f"{path}: {problem}" for problem in problems])
        return Pupil(path.stem, model)
    known = ["winner", *CONTESTANTS, *PRESETS]
    raise BadInput(f"WHO = '{who}' is neither a contestant, a preset, 'winner' nor a file; {closest(who, known)}")


def _winner_file(results: Path, tournament: str | None) -> Path:
    if tournament:
        folder = run_folder(results, "tournament", tournament)
        if not (folder / "config.json").is_file():
            known = [p.name for p in runs(results, "tournament")]
            raise BadInput(f"no tournament '{tournament}' in {results}; "
                           + (closest(tournament, known) if known else "run `tournament` first"))
        if not (folder / "winner.json").is_file():
            raise BadInput(f"tournament '{tournament}' has no winner yet: finish it with "
                           f"`tournament --resume --name {tournament}`")
        return folder / "winner.json"
    finished = sorted((results / "tournament").glob("*/winner.json"), key=lambda p: p.stat().st_mtime)
    if not finished:
        raise BadInput(f"no winner yet in {results / 'tournament'}: run `tournament` first, or name a contestant")
    return finished[-1]


def _winner(path: Path, config: Config) -> Pupil:
    """The winner a file names, with its tokenizer. Refused when the config would make it another size."""
    name, run, model, stored, sha256 = checked(path, lambda document: (
        str(document["contestant"]), document.get("run", path.parent.name),
        parse(ModelConfig, document["model"], str(path)), Path(document["tokenizer"]["path"]),
        document["tokenizer"]["sha256"],
    ))
    expected = model_named(name, config.size) if name in CONTESTANTS else model
    if expected != model or model.vocab_size != config.size.vocab_size:
        raise BadInput(
            f"winner {name} of {path} has hidden size {model.hidden_size}, {model.num_layers} layers and "
            f"{model.vocab_size} tokens; this config makes {expected.hidden_size}, {expected.num_layers} and "
            f"{config.size.vocab_size}: use the config the tournament ran with (--config), or run `tournament` "
            "again with this one"
        )
    if not (stored / "tokenizer.json").is_file():
        stored = path.parent / stored.name    # the whole run folder was moved
    tokenizer = Tokenizer.load(stored)
    if tokenizer.sha256 != sha256:
        raise BadInput(f"the tokenizer in {stored} is not the one {path} names: {tokenizer.sha256[:12]} instead of "
                       f"{sha256[:12]}")
    return Pupil(name, model, stored, f"winner of tournament {run}: {name}")


def _from_checkpoint(pupil: Pupil, source: str | None) -> Pupil:
    """Take the tokenizer of the checkpoint's weights; refused when it is another model or another tokenizer."""
    if not source:
        return pupil
    found = checkpoint.load(Path(source).expanduser())
    if found.model != pupil.model:
        raise BadInput(f"{source} holds another model than {pupil.name}: hidden size {found.model.hidden_size} and "
                       f"{found.model.num_layers} layers, not {pupil.model.hidden_size} and {pupil.model.num_layers}")
    ours, theirs = found.tokenizer().sha256, pupil.tokenizer and Tokenizer.load(pupil.tokenizer).sha256
    if theirs and ours != theirs:
        raise BadInput(f"{source} was trained with another tokenizer ({ours[:12]}) than the winner's "
                       f"({theirs[:12]}): leave out --from, or name the model instead of 'winner'")
    return Pupil(pupil.name, pupil.model, found.path, pupil.told)


def _absolute(path: str | None) -> str | None:
    return str(Path(path).expanduser().resolve()) if path else None


def _jump(folder: Path, first_stage: int) -> None:
    """Rewrite the newest checkpoint so that it stands at the beginning of another stage."""
    found = checkpoint.newest(folder / "checkpoints")
    if found is None:
        raise BadInput(f"{folder} has no checkpoint to begin stage {first_stage + 1} from: resume without --stage")
    state = {k: v for k, v in found.state.items() if k not in ("sha256", "tokenizer_sha256", "model")}
    groups = {group: found.tensors(group) for group in ("model", "optimizer", "average")}
    checkpoint.save(found.path, groups, state | {"stage_index": first_stage, "stage_step": 0}, found.model,
                    found.tokenizer())
    shutil.rmtree(folder / "final", ignore_errors=True)


def _prepare(console: Console, folder: Path, config: Config, facts: dict[str, Any], *, new: bool) -> None:
    """config.json, tokens, Ray: in that order. Bad input leaves nothing of a new run behind."""
    from hamner.prepare_data import choose_tokenizer, prepare

    try:
        if new:
            write_config(folder, config, facts)
        console.print(f"curriculum {folder.name}: {facts['name']}, data: {config.data.path}", soft_wrap=True)
        names = sorted({name for stage in SEED for name in stage.mix})
        prepare(config, folder / "data", names, tokenizer=_tokenizer(folder, facts) or choose_tokenizer(config),
                seq_len=config.curriculum.seq_len, hub_tokens=config.data.hub_tokens,
                say=lambda line: console.print(line, soft_wrap=True))
        _connect(config)
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


def _connect(config: Config) -> None:
    """Start or join Ray. Raises BadInput when there is none, or none large enough."""
    import ray

    compute = config.compute
    try:
        ray.init(**ray_settings(compute.worker_threads))
    except ConnectionError as error:
        raise BadInput(f"no Ray cluster at RAY_ADDRESS: {error}") from None
    try:
        check_cluster(ray.nodes(), compute.worker_threads, float(compute.device == "cuda"), compute.workers)
    except BadInput:
        ray.shutdown()
        raise


def _train_and_show(console: Console, folder: Path, config: Config) -> int:
    with _shown(folder / "run.log"):
        failure = _train(folder, config)
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
            train, train_loop_config={"run": str(folder)},
            scaling_config=ray.train.ScalingConfig(
                num_workers=compute.workers, use_gpu=compute.device == "cuda",
                resources_per_worker={"CPU": compute.worker_threads} | ({"GPU": 1} if compute.device == "cuda" else {}),
            ),
            run_config=ray.train.RunConfig(
                name=str(attempt), storage_path=str(folder / "ray"),
                failure_config=ray.train.FailureConfig(max_failures=compute.max_failures),
            ),
        ).fit()
    except ray.train.TrainingFailedError as error:
        return str(error)
    return ""


@contextlib.contextmanager
def _shown(log: Path) -> Iterator[None]:
    """Print what the worker adds to run.log, wherever it runs, while the block lasts."""
    done = threading.Event()
    start = log.stat().st_size if log.is_file() else 0

    def follow() -> None:
        position = start
        while True:
            last = done.is_set()
            if log.is_file():
                with log.open(encoding="utf-8") as file:
                    file.seek(position)
                    text = file.read()
                whole = text[: text.rfind("\n") + 1]
                position += len(whole.encode())
                print(whole, end="", flush=True)
            if last:
                return
            time.sleep(0.3)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _finish(console: Console, folder: Path) -> int:
    table = Table(title=f"curriculum {folder.name}: held-out loss in nats per token at each stage's end",
                  title_justify="left", box=box.SIMPLE_HEAD)
    checked(folder / "stages.json", lambda document: _add_rows(table, document["stages"]))
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
        table.add_row(f"{record['number']} {record['stage']}", f"{record['steps']:,}", f"{record['tokens']:,}",
                      record["reason"], *losses)


if __name__ == "__main__":
    raise SystemExit(main())
