"""The bracket's runs on Ray Tune: one Tuner for the whole league, and another when more seeds are asked for."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hamner.config.errors import BadInput
from hamner.runs.cluster import check_cluster, ray_settings
from tournament.bracket import Run
from tournament.gpu_memory import share
from tournament.league import League
from tournament.learning_rate_probe import ROUND as PROBE
from tournament.memory_fallbacks import FILE_NAME, needed_share

TRIAL = "tournament.trial"
MOST_LOADED = 16  # cores: Ray starts a process for each, which on a large machine would be many for nothing


def connect(league: League) -> int:
    """Start or join Ray; the slots for runs it has, 0 where they share cards. Raises BadInput for too small a one."""
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # rows and curves are written by the trials
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # Ctrl-C ends the league, not just one Tuner
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # the other output ignores verbose=0
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "1e9"  # nobody goes on from Tune's own state: see _tune
    import ray

    compute, settings = league.config.compute, ray_settings(league.config.compute.threads)
    own = settings["address"] == "local"
    try:
        with environment(_loading(settings, compute.device) if own else {}):
            ray.init(**settings)
    except ConnectionError as error:
        raise BadInput(f"no Ray cluster at RAY_ADDRESS: {error}") from None
    needs = [_resources(league, Run(name, c.seeds[0])) for name, c in league.contestants.items()]
    try:
        check_cluster(ray.nodes(), max(n["CPU"] for n in needs), max(n.get("GPU", 0) for n in needs))
    except BadInput:
        ray.shutdown()
        raise
    importlib.import_module(TRIAL)  # while the text is still being prepared
    if own:
        from ray.tune.execution import class_cache

        # for these a trial would get a process of its own; a Ray of our own has the driver's environment anyway
        class_cache.DEFAULT_ENV_VARS.clear()
        class_cache.ENV_VARS_TO_PROPAGATE.clear()
    return 0 if compute.device == "cuda" else int(ray.cluster_resources()["CPU"] // compute.threads)


def _loading(settings: dict[str, Any], device: str) -> dict[str, str]:
    """The environment to start a Ray of our own in, whose first processes load what a trial needs at once.

    It starts one a core, and gives them to nobody who has a runtime_env: what is in that of `settings` is taken out,
    and goes to them from the driver's environment.
    """
    given = settings.pop("runtime_env")["env_vars"]
    given |= {"PYTHONPATH": os.pathsep.join(folder or os.getcwd() for folder in sys.path)}  # noqa: PTH109 (a word)
    if (os.cpu_count() or 1) <= MOST_LOADED:
        # an optimizer loads dynamo, for a second; on a card not before the process knows which one is its own
        given["RAY_preload_python_modules"] = TRIAL + (",torch._dynamo" if device == "cpu" else "")
    return dict(given)


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Within, the process has these variables too."""
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
    import ray

    ray.shutdown()


def play_rounds(league: League, trial: type | None = None) -> None:
    """Play until the bracket is over, or a Tuner ends with nothing done (it was stopped)."""
    while not league.bracket.over():
        before = league.bracket.state(), dict(league.rates)
        probing = league.unprobed()
        if probing:
            league.console.print(f"learning-rate round: {len(probing)} contestants try rates before round 1")
        runs = {run: PROBE for name in probing if (run := Run(name, league.contestants[name].seeds[0]))}
        _tune(league, runs or _rounds_to_begin(league), trial)
        if (league.bracket.state(), league.rates) == before:
            return


def _rounds_to_begin(league: League) -> dict[Run, int]:
    """All runs that may still train, with the round each begins in or waits at the end of."""
    bracket, last = league.bracket, len(league.bracket.rounds) - 1
    found: dict[Run, int] = {}
    for index in range(bracket.round, last + 1):
        for run in bracket.runs(index):
            outcome, place = bracket.rounds[index].outcomes.get(run), bracket.next_round(run)
            if run in found or (outcome and outcome.failure) or (place is None and index == last):
                continue
            told = [i for i, played in enumerate(bracket.rounds) if run in played.outcomes]
            found[run] = place if place is not None else max(told, default=index)
    return found


def _resources(league: League, run: Run, wanted: float | None = None) -> dict[str, float]:
    """What one run occupies; `wanted`: share of a card it asks for after it ran out of memory."""
    if league.config.compute.device == "cpu":
        return {"CPU": league.config.compute.threads}
    fallbacks = league.folder / league.name(run) / FILE_NAME
    if wanted is None and fallbacks.is_file():
        wanted = needed_share(fallbacks)
    model = league.contestants[run.contestant].model
    # many share a card: the CPU is not what limits them
    return {"CPU": 1, "GPU": share(model, league.config) if wanted is None else wanted}


def _tune(league: League, runs: dict[Run, int], trial: type | None) -> None:
    """One Tuner over these runs."""
    from ray import tune

    from tournament.scheduler import EliminationScheduler, Plan
    from tournament.trial import Trial

    config, folder = league.config, league.folder
    number = 1 + max((int(p.name) for p in (folder / "ray").glob("*") if p.name.isdigit()), default=0)
    flops = league.bracket.flops
    order = sorted(runs, key=lambda run: (runs[run], -flops[run.contestant]))  # the longest first
    plan = Plan(
        cost={run: flops[run.contestant] for run in runs},
        resources=lambda run, wanted: _resources(league, run, wanted),
        record=league.record,
        probed=league.probed,
        fresh_processes=config.compute.device == "cuda",
    )
    rows = [
        {
            "run": str(folder),
            "contestant": run.contestant,
            "seed": run.seed,
            "round": runs[run],
            "waiting": runs[run] != PROBE and league.bracket.next_round(run) is None,
            "learning_rate": league.rate(run.contestant),
            "attempt": league.attempt,
        }
        for run in order
    ]
    needs = {(run.contestant, run.seed): _resources(league, run) for run in runs}  # goes to other processes
    tune.Tuner(
        tune.with_resources(
            trial or Trial,
            lambda given: tune.PlacementGroupFactory([needs[given["row"]["contestant"], given["row"]["seed"]]]),
        ),
        param_space={"row": tune.grid_search(rows)},
        tune_config=tune.TuneConfig(
            scheduler=EliminationScheduler(league.bracket, plan),
            metric="step",
            mode="max",
            # a reused process would keep its predecessor's memory on a GPU
            reuse_actors=config.compute.device == "cpu",
        ),
        run_config=tune.RunConfig(
            name=str(number),
            storage_path=str(folder / "ray"),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=config.compute.max_failures),
            # with num_to_keep each trial's checkpoint (a note) makes Tune save its own state at once, and under load
            # writing it meets the copying of the one before, which prints a traceback
            checkpoint_config=tune.CheckpointConfig(num_to_keep=None),
        ),
    ).fit()
