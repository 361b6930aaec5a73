"""Ray Tune (Tuner): the bracket's runs as trials; one Tuner for the whole league, another when seeds are added.

In: a league. Out: the Ray cluster joined, and the league played to its end. Which run trains when is decided by the
bracket and carried out by scheduler.py.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hamner.config.errors import BadInput
from hamner.runs.background import first_line
from hamner.runs.cluster import join, ray_settings
from hamner.runs.cores import available_cores
from hamner.runs.folders import next_attempt
from hamner.runs.places import Need, watched_places
from hamner.runs.ray_session import leave, ray_trouble_after_a_death
from hamner.runs.trouble import machine_trouble, storage_trouble
from tournament.bracket import Bracket, Run
from tournament.gpu_memory import share
from tournament.league import League
from tournament.learning_rate_probe import PROBE_ROUND
from tournament.memory_fallbacks import FILE_NAME, needed_share

TRIAL = "tournament.trial"
CALLBACKS = "HAMNER_CALLBACKS"  # environment variable: classes of Tune callbacks, such as trackers, with commas between
# Ray starts a process for each core, which on a large machine would load all for nothing
MAX_PRELOADED_CORES = 16
TUNE_ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # rows and curves are written by the trials
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the league, not just one Tuner
    "RAY_AIR_NEW_OUTPUT": "0",  # the other output ignores verbose=0
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",  # Tune's own state is never read: see _tune
}


def connect(league: League, *, max_preloaded_cores: int = MAX_PRELOADED_CORES, is_verbose: bool = False) -> int:
    """Start or join Ray; the slots for runs it has, 0 where they share cards. Raises BadInput for too small a one."""
    os.environ.update(TUNE_ENVIRONMENT)
    import ray

    tune_callbacks()  # what is wrong with them is said before Ray starts
    compute = league.config.compute
    settings = ray_settings(compute.threads, compute, is_verbose=is_verbose)
    is_own = settings["address"] == "local"
    need = _largest_need(league)
    preload = preload_environment(settings, compute.device, max_preloaded_cores) if is_own else {}
    with environment(preload):
        join(ray, settings, cpus=need.cpus, gpus=need.gpus)
    importlib.import_module(TRIAL)  # while the text is still being prepared
    if is_own:
        use_first_processes()
    return 0 if compute.device == "cuda" else int(ray.cluster_resources()["CPU"] // compute.threads)


def tune_callbacks() -> list[Any]:
    """The user's Tune callbacks, new ones, made without arguments. Raises BadInput for those that cannot be made."""
    callbacks, problems = [], []
    for path in filter(None, os.environ.get(CALLBACKS, "").split(",")):
        module, _, name = path.rpartition(".")
        try:
            callbacks.append(getattr(importlib.import_module(module), name)())
        except (ImportError, AttributeError, TypeError, ValueError, RuntimeError) as error:
            problems.append(f"{CALLBACKS}: {path} cannot be used ({first_line(error)}): install it, or leave it out")
    if problems:
        raise BadInput(problems)
    return callbacks


def use_first_processes() -> None:
    """Let trials run in the processes that Ray starts first, which have loaded what a trial needs.

    For the variables that Tune hands over, a trial would get a process of its own; a Ray of our own has the driver's
    environment anyway. It saves seconds and nothing else: another Ray, where they have another place, does without.
    """
    try:
        from ray.tune.execution import class_cache

        class_cache.DEFAULT_ENV_VARS.clear()
        class_cache.ENV_VARS_TO_PROPAGATE.clear()
    except (ImportError, AttributeError):
        return


def preload_environment(settings: dict[str, Any], device: str, max_cores: int) -> dict[str, str]:
    """The environment to start a Ray of our own in, whose first processes load what a trial needs at once.

    Ray starts one of them a core, and gives none to a trial with a runtime_env: that of `settings` is taken out, and
    they get its variables from the driver's environment.
    """
    variables = settings.pop("runtime_env")["env_vars"]
    variables |= {"PYTHONPATH": os.pathsep.join(folder or os.getcwd() for folder in sys.path)}  # noqa: PTH109 (a word)
    if available_cores() <= max_cores:
        # an optimizer loads dynamo, for a second; on a card not before the process knows which one is its own
        variables["RAY_preload_python_modules"] = TRIAL + (",torch._dynamo" if device == "cpu" else "")
    return dict(variables)


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set these variables of the process's environment for a while."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]


def disconnect() -> None:
    """Leave Ray, or end one of our own; nothing where it has not been loaded."""
    ray = sys.modules.get("ray")
    if hasattr(ray, "shutdown"):
        leave(ray)


def play_rounds(league: League, trial: type | None = None) -> None:
    """Play until the bracket is over, or a Tuner ends without a change (it was stopped)."""
    import ray

    with watched_places(ray, _largest_need(league), league.say_waiting) as league.places:
        _play(league, trial)


def _play(league: League, trial: type | None) -> None:
    while not league.bracket.is_over():
        before = league.bracket.state(), dict(league.rates)
        names = league.contestants_to_probe()
        if names:
            league.console.print(f"learning-rate round: {len(names)} contestants try rates before round 1")
        runs = {run: PROBE_ROUND for name in names if (run := Run(name, league.contestants[name].seeds[0]))}
        _tune(league, runs or first_rounds(league.bracket), trial)
        if league.stop or (league.bracket.state(), league.rates) == before:
            return


def first_rounds(bracket: Bracket) -> dict[Run, int]:
    """All runs that may still train, with the round each starts in, or waits at the end of."""
    last = len(bracket.rounds) - 1
    rounds: dict[Run, int] = {}
    for index in range(bracket.round, last + 1):
        for run in bracket.runs(index):
            outcome, place = bracket.rounds[index].outcomes.get(run), bracket.next_round(run)
            if run in rounds or (outcome and outcome.failure) or (place is None and index == last):
                continue
            reported = [i for i, round_ in enumerate(bracket.rounds) if run in round_.outcomes]
            rounds[run] = place if place is not None else max(reported, default=index)
    return rounds


def _resources(league: League, run: Run, requested: float | None = None) -> dict[str, float]:
    """What one run occupies; `requested`: the share of a card that it needs after it ran out of memory."""
    if league.config.compute.device == "cpu":
        return {"CPU": league.config.compute.threads}
    fallbacks = league.folder / league.name(run) / FILE_NAME
    if requested is None and fallbacks.is_file():
        requested = needed_share(fallbacks)
    model = league.contestants[run.contestant].model
    # many share a card: the CPU is not what limits them
    return {"CPU": 1, "GPU": share(model, league.config) if requested is None else requested}


def _largest_need(league: League) -> Need:
    """What each contestant finds enough in."""
    needs = [_resources(league, Run(name, c.seeds[0])) for name, c in league.contestants.items()]
    return Need(1, max(n["CPU"] for n in needs), max(n.get("GPU", 0.0) for n in needs), noun="run")


def _rows(league: League, runs: Mapping[Run, int]) -> list[dict[str, Any]]:
    """What each trial is given, the longest run of the earliest round first."""
    order = sorted(runs, key=lambda run: (runs[run], -league.bracket.flops[run.contestant]))
    return [
        {
            "run": str(league.folder),
            "contestant": run.contestant,
            "seed": run.seed,
            "round": runs[run],
            "factor": 1 if runs[run] == PROBE_ROUND else league.bracket.rounds[runs[run]].factor,
            "waiting": runs[run] != PROBE_ROUND and league.bracket.next_round(run) is None,
            "learning_rate": league.rate(run.contestant),
            "attempt": league.attempt,
        }
        for run in order
    ]


def _tune(league: League, runs: Mapping[Run, int], trial: type | None) -> None:
    """Play these runs in one Tuner. Trouble of the machine stops the league, wherever Tune meets it."""
    try:
        with _said_once(league):
            _tuner(league, runs, trial).fit()
    except Exception as error:
        # Tune may stumble over what a full disk has cut short: that is no error of its own
        trouble = machine_trouble(error) or storage_trouble(league.folder)
        if trouble is None and not league.stop:
            raise
        league.stop.make(trouble or "")


@contextmanager
def _said_once(league: League) -> Iterator[None]:
    """Keep Ray from printing a traceback for what the league says in a line.

    That is trouble of the machine, the league's stop, and the end of a process, which has no traceback of its own.
    """
    from ray.exceptions import RayActorError

    def is_news(record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        is_said = league.stop or isinstance(error, RayActorError)
        return not (is_said or machine_trouble(error or record.getMessage()))

    handlers = [*logging.getLogger("ray").handlers, *logging.getLogger().handlers]
    for handler in handlers:
        handler.addFilter(is_news)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(is_news)


def _tuner(league: League, runs: Mapping[Run, int], trial: type | None) -> Any:
    """One Tuner over these runs."""
    from ray import tune

    from tournament.scheduler import EliminationScheduler, Hooks
    from tournament.trial import Trial

    config, folder = league.config, league.folder
    hooks = Hooks(
        cost={run: league.bracket.flops[run.contestant] for run in runs},
        resources=lambda run, requested: _resources(league, run, requested),
        record=league.record,
        record_rate=league.record_rate,
        use_fresh_processes=config.compute.device == "cuda",
        stop=league.stop,
        trouble=lambda has_died: storage_trouble(folder) or (ray_trouble_after_a_death() if has_died else None),
        saved=league.saved,
        restarted=league.say_restarted,
        say=league.say,
    )
    needs = {(run.contestant, run.seed): _resources(league, run) for run in runs}  # pickled for other processes
    return tune.Tuner(
        tune.with_resources(
            trial or Trial,
            lambda space: tune.PlacementGroupFactory([needs[space["row"]["contestant"], space["row"]["seed"]]]),
        ),
        param_space={"row": tune.grid_search(_rows(league, runs))},
        tune_config=tune.TuneConfig(
            scheduler=EliminationScheduler(league.bracket, hooks),
            metric="step",
            mode="max",
            # a reused process would keep its predecessor's memory on a GPU
            reuse_actors=config.compute.device == "cpu",
        ),
        run_config=tune.RunConfig(
            name=str(next_attempt(folder)),
            storage_path=str(folder / "ray"),
            verbose=0,
            callbacks=tune_callbacks(),
            failure_config=tune.FailureConfig(max_failures=config.compute.max_failures),
            # with num_to_keep each trial's checkpoint (a note) makes Tune save its own state at once, and under load
            # writing it meets the copying of the one before, which prints a traceback
            checkpoint_config=tune.CheckpointConfig(num_to_keep=None),
        ),
    )
