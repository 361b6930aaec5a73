"""Launch a curriculum: check it, prepare its text, train it on Ray Train, print the result.

Data in: what the command line asks for, a config. Data out: RUN/final/, RUN/stages.json and an exit code. Everything
that can be wrong is found before anything is started or written; without --from it is found without PyTorch.
"""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from curriculum.controls import facts_of, finished_folder
from curriculum.curricula import find_curriculum, leave_out
from curriculum.deadline import Deadline
from curriculum.disk import check_disk, checkpoints_gib
from curriculum.memory import is_checkpointed
from curriculum.plan import check_deadline, move_deadline, plan_stages
from curriculum.resume import MAY_DIFFER, Intervention, cap_problems, record_changes, stored_config
from curriculum.stages import CURRICULA, DEFAULT, Stage, StagePlan, decay_problems, first_stage_problems, stage_index
from curriculum.stages_table import losses_table, next_commands, stages_table
from curriculum.starting_model import StartingModel, as_raised_before, find_starting_model, with_checkpoint
from hamner.config.errors import BadInput, Problems
from hamner.config.load import parse
from hamner.config.schema import Config, ModelConfig
from hamner.data.corpus import Corpus
from hamner.data.preparation.for_run import check_sources, choose_tokenizer, prepare
from hamner.data.tokenizer import Tokenizer
from hamner.reports.live_view import spinning
from hamner.reports.report_files import ReportWriter
from hamner.runs import cli
from hamner.runs.calibration_record import settled
from hamner.runs.cluster import check_machine, cores_per_worker, join, ray_settings
from hamner.runs.compile_check import CAN_COMPILE, compile_facts
from hamner.runs.files import read_json_as
from hamner.runs.folders import format_lines, open_run, resume_command, step_folders, write_config
from hamner.runs.lock import only_one
from hamner.runs.notify import Notifier
from hamner.runs.places import Need, watched_places
from hamner.runs.ray_session import leave, ray_trouble
from hamner.runs.stopping import Interrupted, StopRequest, run_until_stopped
from hamner.runs.trouble import machine_trouble, refusal, remedy


@dataclass(frozen=True)
class Request:
    """What the command line asks for, beside the config."""

    who: str | None  # None: whom the run `like` raised
    name: str | None  # of the run; None: a new name, or the newest run to resume
    is_resumed: bool
    tournament: str | None  # whose winner
    stage: str | None  # number or name of the stage to begin with
    checkpoint: str | None  # folder of the weights to begin with
    curriculum: str  # a name or a file
    like: str | None  # the run whose tokens a control repeats
    without: Sequence[str] = ()  # sources that no stage reads
    allow_thin: bool = False  # train stages that get less than half of their main source
    # of a resume, see interventions.py
    keep_weights: bool = False  # begin `stage` with the newest weights
    skip_batches: int = 0
    learning_rate_scale: float = 1.0
    deadline: Deadline | None = None
    only_plan: bool = False  # print the plan, and train nothing
    notify: str | None = None  # the shell command that is told of stages and of the end
    is_verbose: bool = False  # show what Ray logs


@dataclass(frozen=True)
class Opened:
    """A run whose folder, config and stages are settled. facts: what config.json keeps beside the config."""

    folder: Path
    config: Config
    facts: dict[str, Any]
    stages: Sequence[Stage]
    cores: int  # of each worker


def run_curriculum(request: Request, config: Config | None, results: Path) -> int:
    """Start or resume a run; returns the exit code. config: None to resume with the stored one."""
    console = cli.console()
    if request.only_plan:
        assert config is not None  # --resume was refused
        return _only_plan(console, request, config, results)
    console.print(f"results: {results}", soft_wrap=True)
    run, description = _open(request, config, results, lambda line: console.print(line, soft_wrap=True))
    intervention = Intervention()
    if request.is_resumed:
        intervention = _intervention(request, run.stages)
        if (run.folder / "final").is_dir() and not intervention.is_any:
            return _print_finished(console, run, request)
        check_machine(run.config, _cores(run.config))
        for line in format_lines(run.folder):
            console.print(line, soft_wrap=True)
    with only_one(
        run.folder / ".driver.lock",
        f"another process is working on {run.folder}: wait for it to end",
        wait_seconds=2 if request.is_resumed else 0,
    ):
        if description:
            console.print(description, soft_wrap=True)
        try:
            with Notifier(request.notify, f"curriculum {run.folder.name}") as notifier:
                _get_ready(console, run, request, intervention)
                return _train(console, run, notifier)
        except Interrupted as interrupt:
            print(f"stopped; continue with `{_way_on(run)}`", file=sys.stderr)
            return interrupt.exit_code
        except OSError as error:
            trouble = machine_trouble(error)
            if trouble is None:
                raise
            _print_failure(console, run, trouble)
            return 1
        finally:
            ray = sys.modules.get("ray")
            if hasattr(ray, "shutdown"):
                leave(ray)


def _print_finished(console: Console, run: Opened, request: Request) -> int:
    """Print how a run ended that was over before; its report is written where a kill came before. Exit code 0."""
    from curriculum.report_files import write_run_report

    if stored_config(run.folder) != run.config:
        console.print(f"{run.folder.name} is finished: the changed keys change nothing", soft_wrap=True)
    if request.deadline:
        console.print(f"{run.folder.name} is finished: the deadline changes nothing", soft_wrap=True)
    ReportWriter(write_run_report, run.folder).catch_up(run.folder / "stages.json")
    return _print_result(console, run)


def _get_ready(console: Console, run: Opened, request: Request, intervention: Intervention) -> None:
    """Do all that comes before training; of a resumed run, write down what it does beside continuing."""
    if request.is_resumed:
        check_deadline(run.folder, request.deadline)
    with spinning(console, "preparing the text, starting Ray"):
        _prepare(console, run, request)
    if request.is_resumed:
        for line in record_changes(run.folder, run.config, intervention, run.stages, run.facts["first_stage"]):
            console.print(line, soft_wrap=True)
        move_deadline(run.folder, request.deadline)


def check_request(request: Request, config: Config, results: Path) -> None:
    """Raise BadInput with all that is wrong with a new run; nothing is written."""
    problems = Problems()
    _check_new(request, config, results, {}, problems)
    problems.raise_all()


def _only_plan(console: Console, request: Request, config: Config, results: Path) -> int:
    """Print the plan of a run whose folder, with its text, is then removed; returns exit code 0."""
    facts: dict[str, Any] = {"kind": "curriculum"}
    problems = Problems()
    description = _check_new(request, config, results, facts, problems)
    problems.raise_all()
    if description:
        console.print(description, soft_wrap=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "plan"
        stages = parse(StagePlan, facts["curriculum"], "stages").stages
        run = Opened(folder, config, facts, stages, cores_per_worker(config))
        write_config(folder, config, facts)
        corpus = _prepare_text(console, run)
        for line in plan_stages(console, folder, stages, config, corpus, has_plan=True):
            console.print(f"would be refused: {line}", soft_wrap=True)
    console.print("nothing was trained: leave out --plan to start", soft_wrap=True)
    return 0


def _open(request: Request, config: Config | None, results: Path, say: Callable[[str], None]) -> tuple[Opened, str]:
    """The run and a line about its model. Raises BadInput with every problem."""
    problems, description = Problems(), ""
    facts: dict[str, Any] = {"kind": "curriculum"}
    if request.is_resumed and request.who:
        facts["who"] = request.who  # compared with what the run has
    if config and not request.is_resumed:
        config, calibrated = settled(config, "curriculum", results, say)
        facts |= calibrated
        description = _check_new(request, config, results, facts, problems)
    with problems.collect():
        folder, config, facts = open_run(
            results,
            "curriculum",
            request.name,
            resume=request.is_resumed,
            config=config,
            facts=facts,
            may_differ=MAY_DIFFER,
            of_each_start=("deadline", "forecast", CAN_COMPILE),
        )
        if request.is_resumed:
            problems.lines += cap_problems(stored_config(folder), config)
    problems.raise_all()
    assert config is not None
    if "curriculum" not in facts:
        raise BadInput(
            f"{folder} was started by an older version, which kept no curriculum: start a new run, with "
            f"--from {folder}/checkpoints/STEP to begin with its weights"
        )
    stages = parse(StagePlan, facts["curriculum"], str(folder / "config.json")).stages
    return Opened(folder, config, facts, stages, cores_per_worker(config)), description


def _check_new(request: Request, config: Config, results: Path, facts: dict[str, Any], problems: Problems) -> str:
    """Add to `problems` all that can be wrong with a new run, and to `facts` what config.json keeps of it.

    Returns a line about its model.
    """
    curriculum, start, is_read = CURRICULA[DEFAULT], None, False
    with problems.collect():
        curriculum = find_curriculum(request.curriculum, request.like, config, results)
        curriculum, is_read = leave_out(curriculum, request.without), True
        problems.lines += decay_problems(curriculum, config.curriculum)
    with problems.collect():
        facts["first_stage"] = stage_index(request.stage, curriculum.stages) if request.stage else 0
        facts["deadline"] = request.deadline.facts() if request.deadline else None
        problems.lines += first_stage_problems(
            curriculum.stages, facts["first_stage"], has_deadline=request.deadline is not None
        )
    with problems.collect():
        start = _starting_model(request, config, results, facts)
        problems.lines += start.model.problems(config.curriculum.seq_len)
        facts["curriculum"] = curriculum.model_dump(mode="json")
    with problems.collect():
        check_machine(config, _cores(config))
    with problems.collect():
        stages = curriculum.stages if is_read else ()  # of a file that is not understood nobody knows the sources
        check_sources(config, [name for stage in stages for name in stage.mix])
    if start:
        with problems.collect():
            check_disk(start.model, config, curriculum.stages, results)
    return start.description if start else ""


def _starting_model(request: Request, config: Config, results: Path, facts: dict[str, Any]) -> StartingModel:
    """Who is raised; `facts` gets what config.json keeps of it. A control takes over its run's. Raises BadInput."""
    source = str(Path(request.checkpoint).expanduser().resolve()) if request.checkpoint else None
    asked = None
    if request.who:
        asked = with_checkpoint(
            find_starting_model(request.who, config, results, request.tournament), request.checkpoint
        )
    if not request.like:
        assert asked is not None
        facts |= asked.facts() | {"who": request.who, "from": source}
        return asked
    folder = finished_folder(results, request.like)
    before = facts_of(folder)
    start = as_raised_before(before, folder, asked=asked, source=source)
    facts |= start.facts() | {"who": before["who"], "from": before["from"]}
    return start


def _intervention(request: Request, stages: Sequence[Stage]) -> Intervention:
    """What a resume is asked to do beside continuing. Raises BadInput for an unknown stage."""
    index = stage_index(request.stage, stages) if request.stage else None
    return Intervention(index, request.keep_weights, request.skip_batches, request.learning_rate_scale)


def _cores(config: Config) -> int:
    """Cores of all workers."""
    return config.compute.workers * cores_per_worker(config)


def _need(run: Opened) -> Need:
    """What the run cannot train without."""
    compute = run.config.compute
    return Need(compute.min_workers or compute.workers, run.cores, float(compute.device == "cuda"))


def _prepare(console: Console, run: Opened, request: Request) -> None:
    """Write config.json, prepare the text, join Ray, in that order. Bad input leaves nothing of a new run behind."""
    config, compute, is_new = run.config, run.config.compute, not request.is_resumed
    try:
        if is_new:
            run.facts.update(compile_facts(config, lambda line: console.print(line, soft_wrap=True, markup=False)))
            write_config(run.folder, config, run.facts)
        corpus = _prepare_text(console, run)
        if is_new or not step_folders(run.folder / "checkpoints"):  # else stages were planned at each border
            problems = plan_stages(console, run.folder, run.stages, config, corpus, has_plan=False)
            if problems and not request.allow_thin:
                raise BadInput(problems)
        import ray

        if run.cores < compute.worker_threads:
            console.print(f"{run.cores} of compute.worker_threads = {compute.worker_threads}: all cores there are")
        settings = ray_settings(run.cores, compute, is_verbose=request.is_verbose)
        need = _need(run)
        join(ray, settings, cpus=need.cpus, gpus=need.gpus, processes=need.processes)
    except BadInput:
        if is_new:
            shutil.rmtree(run.folder, ignore_errors=True)
        raise


def _prepare_text(console: Console, run: Opened) -> Corpus:
    """The text of a run whose config.json is written. Raises BadInput."""
    config = run.config
    console.print(
        f"curriculum {run.folder.name}: {run.facts['name']}, {run.facts['curriculum']['name']} ({len(run.stages)} "
        f"stage{'s' * (len(run.stages) > 1)}), data: {config.data.path}",
        soft_wrap=True,
    )
    model = parse(ModelConfig, run.facts["model"], "model")
    console.print(_evaluation_cost(config, model), soft_wrap=True)
    corpus, _ = prepare(
        config,
        run.folder / "data",
        sorted({name for stage in run.stages for name in stage.mix}),
        tokenizer=_tokenizer(run.folder, run.facts["tokenizer"]) or choose_tokenizer(config),
        seq_len=config.curriculum.seq_len,
        hub_tokens=config.data.hub_tokens,
        say=lambda line: console.print(line, soft_wrap=True),
    )
    return corpus


def _tokenizer(folder: Path, origin: dict[str, str] | None) -> Tokenizer | None:
    """The tokenizer of the starting model, until the run's data folder has it; None for a model without one.

    origin: path and sha256 of the one the run was started with.
    """
    if origin is None or (folder / "data" / "manifest.json").is_file():
        return None
    tokenizer = Tokenizer.load(origin["path"])
    if tokenizer.sha256 != origin["sha256"]:
        raise BadInput(
            f"the tokenizer in {origin['path']} has changed since the run was started: restore it, or start a new run"
        )
    return tokenizer


def _evaluation_cost(config: Config, model: ModelConfig) -> str:
    """A line that says what evaluating the held-out rows adds to the arithmetic of training."""
    settings, rule = config.curriculum, config.curriculum.plateau
    passes = 4 if is_checkpointed(model, config) else 3  # of a training row, one of a held-out row
    share = settings.eval_sequences / (rule.evaluation_steps * settings.batch_size * passes)
    return (
        f"evaluating {settings.eval_sequences} held-out rows every {rule.evaluation_steps} steps adds "
        f"{100 * share:.1f} % to the arithmetic of training"
    )


def _train(console: Console, run: Opened, notifier: Notifier) -> int:
    """Train all stages and show how they go meanwhile; returns the exit code. Raises Interrupted after a signal."""
    import ray

    from curriculum.driver import log_shown
    from curriculum.report_files import report_kept
    from curriculum.train_on_ray import train_on_ray

    def say(line: str) -> None:
        console.print(line, style="yellow", soft_wrap=True, markup=False, highlight=False)
        notifier.send(line)

    try:
        with (
            watched_places(ray, _need(run), say) as places,
            log_shown(console, run.folder, notifier.send, lambda: places.line),
            report_kept(run.folder),
        ):
            stop = StopRequest(run.folder)
            failure = run_until_stopped(
                lambda: train_on_ray(run.folder, run.config, run.cores), stop, trouble=ray_trouble
            )
    except Interrupted as interrupt:
        if not interrupt.is_saved:
            console.print("not saved in time: the steps since the newest checkpoint are lost", soft_wrap=True)
        raise
    if (run.folder / "final").is_dir():
        notifier.send(f"finished: {run.folder / 'final'}")
        return _print_result(console, run)
    failure = stop.trouble or failure or ""
    refused = refusal(failure)
    if refused and not machine_trouble(failure):
        raise BadInput(refused)
    _print_failure(console, run, failure)
    notifier.send(f"not finished: {next(iter(failure.strip().splitlines()), 'see run.log')}")
    return 1


def _way_on(run: Opened) -> str:
    """The command that continues the run."""
    return resume_command(f"curriculum run {shlex.quote(run.facts['who'])}", run.folder)


def _print_failure(console: Console, run: Opened, failure: str) -> None:
    """Print why training did not finish: of trouble of the machine one line, and the command that continues."""
    trouble = machine_trouble(failure)
    if trouble:
        model = run.facts.get("model")
        needed = checkpoints_gib(parse(ModelConfig, model, "model"), run.config, run.stages) if model else None
        console.print(f"stopped by trouble of the machine: {trouble}", soft_wrap=True, markup=False, style="red")
        mend = remedy(trouble, run.folder, needed)
        console.print(f"{mend}; then continue with `{_way_on(run)}`", soft_wrap=True, markup=False, highlight=False)
        return
    if failure:
        console.print(failure, soft_wrap=True, markup=False, style="red")  # it may hold brackets
    console.print(f"not finished; see {run.folder / 'run.log'}", soft_wrap=True, markup=False, style="red")


def _print_result(console: Console, run: Opened) -> int:
    """Print how the stages ended, what each source came to, and the next commands; returns exit code 0."""
    folder, rule = run.folder, run.config.curriculum.plateau
    # printed once the file is read: what goes wrong in printing is not the file's fault
    tables = read_json_as(
        folder / "stages.json",
        lambda document: (
            stages_table(console, folder.name, document["stages"], rule),
            losses_table(console, document["stages"]),
        ),
    )
    for table in tables:
        console.print(table)
    console.print(f"finished: {folder / 'final'}", soft_wrap=True)
    for line in next_commands(folder, run.config, run.facts["curriculum"]):
        console.print(line, soft_wrap=True)
    return 0
