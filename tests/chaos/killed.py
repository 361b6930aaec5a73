"""Faults of the kind `killed`: kill -9 of any process, at random and at named points; signals, stops, a hung worker.

Data in: a scene, a seeded generator. Data out: the table KILLED of Faults. POINTS names every file that a run renames
into its place, with what stands in it: a kill comes just before the new file is there, or just after, when a decision
is written and nothing has followed from it.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from faults import ALL, ON_RAY, Fault, Hit, Point, met, met_at, points_environment, start_with
from outcomes import Reference
from pipelines import Scene, Started

WORKERS = {"tournament": "ray::", "curriculum": "RayTrainWorker"}  # what their command lines have
AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")  # of the raylet, which ends with either
OF_RAY = {"agent": "Agent", "raylet": "raylet/raylet", "GCS": "gcs/gcs_server", "controller": "ray::TrainController"}
STOP_SECONDS = 3.0  # of SIGSTOP; the long form sets a minute
JUST_ENDED = 1.0  # [s] after a signal: it came too late
HANG_MINUTES = 0.2  # of the watchdog, in a run whose worker hangs; loading PyTorch has to be quicker


class Place(NamedTuple):
    """A file that is renamed into its place. most: how many times it is in one process, at least."""

    name: str  # glob of its path, below the run's folder
    what: str
    most: int = 1


TEXT = (
    Place("data/tokenizer.json", "the tokenizer of the run"),
    Place("data/tokenizer_config.json", "its chat template"),
    Place("data/manifest.json", "the text is prepared"),
    Place("data/*.bin", "a shard of the text", 2),
    Place("data/unfinished/*", "a step of the preparation", 2),
)
RUN = (
    Place("config.json", "the run is begun"),
    Place(".driver.lease", "whose the run is"),
    Place("*.html", "a page of the report"),
    Place("report*", "the report beside the page"),
)
CHECKPOINTS = (
    Place("checkpoints/step_*", "a checkpoint", 2),
    Place("checkpoints/.step_*/*", "a file of a checkpoint that is being written", 2),
)
POINTS: Mapping[str, tuple[Place, ...]] = {
    "tournament": (
        *RUN,
        *TEXT,
        Place("bracket.json", "outcomes and decisions", 3),
        Place("*/documents_*.json", "held-out losses by document, which the ledger will name", 3),
        Place("standings.json", "a round is decided", 2),
        Place("winner.json", "the league is over"),
        Place("timing.json", "where the time went"),
        Place("*/metrics.csv", "rows beyond the checkpoint are cut off"),
        Place("*/.metrics.crc32", "checksums of the rows"),
        Place("*/.lock.lease", "whose a contestant's folder is"),
        *(place._replace(name=f"*/{place.name}") for place in CHECKPOINTS),
        Place("*/checkpoints/*/state.json", "a checkpoint of one that is out keeps its weights alone"),
    ),
    "curriculum": (
        *RUN,
        *TEXT,
        *CHECKPOINTS,
        Place(".worker*.lease", "which worker trains"),
        Place("stages.json", "a stage is over", 2),
        Place("skills.json", "its skills"),
        Place("skills*", "their pictures and tables"),
        Place(".progress*", "a note for whoever watches"),
        Place("metrics.csv", "rows beyond the checkpoint are cut off"),
        Place(".metrics.crc32", "checksums of the rows"),
        Place("checkpoints/*/state.json", "an old checkpoint keeps its weights alone"),
        Place("final", "the run is finished"),
        Place(".final*/*", "a file of it that is being written"),
    ),
    "sft": (
        *RUN,
        *CHECKPOINTS,
        Place("data/manifest.json", "where the base's text lies"),
        Place("data/tokenizer*", "the base's tokenizer"),
        Place("conversations/*.bin", "rows of conversations", 2),
        Place("conversations/conversations.json", "the conversations are prepared"),
        Place("checkpoints/.step_*.old", "between the two renames that replace a checkpoint"),
        Place("metrics.csv", "rows beyond the checkpoint are cut off"),
        Place(".metrics.crc32", "checksums of the rows"),
        Place("final", "the weights of the best look"),
        Place(".final*/*", "a file of it that is being written"),
        Place("finetuning.json", "the run is finished"),
    ),
    "prepare_data": (
        Place(".prepare.lease", "whose the folder is"),
        Place("unfinished/plan.json", "what is prepared"),
        Place("unfinished/*.survey.npz", "a block that was read", 2),
        Place("unfinished/*", "a note of the preparation", 3),
        Place("tokenizer.json", "the tokenizer"),
        Place("tokenizer_config.json", "its chat template"),
        Place("unfinished/decided.json", "what is kept"),
        Place("*.bin", "one side of a shard", 4),
        Place("unfinished/*.shard.json", "a shard is whole", 2),
        Place("manifest.json", "the folder is finished"),
    ),
}


def uncovered(name: str, files: Iterable[str]) -> tuple[list[str], list[str]]:
    """Files of an undisturbed run that no place of POINTS is, and places that no file is of."""
    patterns = [place.name for place in POINTS[name]]
    return (
        [file for file in files if not any(fnmatch(file, pattern) for pattern in patterns)],
        [pattern for pattern in patterns if not any(fnmatch(file, pattern) for file in files)],
    )


def point_at(scene: Scene, name: str, when: Literal["before", "after"] = "after", **facts: object) -> Point:
    """The point at which a file of a scene's run is renamed into its place."""
    return Point("rename", when, f"{scene.folder}/{name}", **facts)


def steps_point(scene: Scene, steps: int, act: str = "KILL", role: str = "") -> Point:
    """The point at which a process has trained so many steps."""
    return Point("pwrite", "after", f"{scene.folder}*/.step", act, role, nth=steps)


# -- kill -9


def kill_at_point(scene: Scene, reference: Reference, rng: random.Random, place: Place, when: str) -> Hit:
    """kill -9 of whichever process renames the file, at one of the first times."""
    point = point_at(scene, place.name, when, nth=1 + rng.randrange(place.most))
    ended = scene.start(environment=points_environment(scene, [point])).wait()
    where = f"{when} {place.name} is there, time {point.nth}"
    hit = met(scene)
    what = f"kill -9 of the {hit['role']} {where}" if hit else f"nothing: no process came to it ({where})"
    return Hit(ended, what, met_at(scene))


def kill_at_line(scene: Scene, reference: Reference, rng: random.Random, name: str, when: str, most: int) -> Hit:
    """kill -9 of the driver as it flushes a line of a log: before, nothing has followed from it. most: as of Place."""
    point = Point("fsync", when, f"{scene.folder}/{name}", role="driver", nth=1 + rng.randrange(most))
    ended = start_with(scene, point)
    where = f"{when} line {point.nth} of {name} is on the disk"
    return Hit(ended, f"kill -9 of the driver {where}" if met(scene) else f"nothing: it did not come to it ({where})")


def kill_at_random(scene: Scene, reference: Reference, rng: random.Random, target: str) -> Hit:
    """kill -9 of one process at a moment drawn from the whole length of an undisturbed run."""
    started, moment = scene.start(), rng.random() * reference.seconds
    started.wait_until(lambda: False, moment)
    started.wait_until(lambda: bool(processes(scene, target)))
    return kill_now(scene, started, target, rng, f"{moment:.1f} s after its start")


def kill_while_it_trains(scene: Scene, reference: Reference, rng: random.Random, target: str) -> Hit:
    """kill -9 of one process once steps are being trained."""
    started, steps = scene.start(), rng.randrange(1, 14)
    started.comes_to(steps)
    return kill_now(scene, started, target, rng, scene.moment(steps))


def kill_now(scene: Scene, started: Started, target: str, rng: random.Random, when: str) -> Hit:
    pids = processes(scene, target) if started.is_alive else []
    if not pids:
        return Hit(started.wait(), f"nothing: it had ended {when}")
    with suppress(ProcessLookupError):
        os.kill(rng.choice(pids), signal.SIGKILL)
    now = time.time()
    return Hit(started.wait(), f"kill -9 of the {target} {when}", now)


def processes(scene: Scene, target: str) -> list[int]:
    """Processes of a scene by their role."""
    if target == "driver":
        return [scene.starts[-1].pid]
    words = OF_RAY.get(target) or WORKERS[scene.pipeline.name]
    pids = scene.processes(words)
    return [pid for pid in pids if is_at_work(pid)] if target == "worker" else pids


def is_at_work(pid: int) -> bool:
    """Whether a process of Ray has an actor or a task, and is none of the raylet's agents."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        return b"ray::IDLE" not in words and not any(name.encode() in words for name in AGENTS)
    return False


# -- signals


def signalled(scene: Scene, reference: Reference, rng: random.Random, number: int, times: int = 1) -> Hit:
    """A signal while it trains, as Ctrl-C to the whole group of processes, or to the driver alone."""
    started, steps = scene.start(), rng.randrange(1, 14)
    is_at_work, now = started.comes_to(steps), time.monotonic()
    for _ in range(times):
        with suppress(ProcessLookupError):
            (os.killpg if number == signal.SIGINT else os.kill)(started.pid, number)
        time.sleep(0.3)
    name, ended = signal.Signals(number).name, started.wait()
    if not is_at_work or (ended.code == 0 and started.began + ended.seconds < now + JUST_ENDED):
        return Hit(ended, f"nothing: it had ended before {name}")
    return Hit(ended, f"{name}{f', {times} times' if times > 1 else ''} {scene.moment(steps)}")


def stopped_for_a_while(scene: Scene, reference: Reference, rng: random.Random, target: str) -> Hit:
    """SIGSTOP, and SIGCONT after a while; target: a role, or `all` processes."""
    started = scene.start()
    started.wait_until(lambda: scene.is_running() and bool(target == "all" or processes(scene, target)))
    pids = scene.processes() if target == "all" else processes(scene, target)
    if not (pids and started.is_alive):
        return Hit(started.wait(), f"nothing: it had ended before a SIGSTOP of {target}")
    send(pids, signal.SIGSTOP)
    started.wait_until(lambda: False, STOP_SECONDS)
    send(pids, signal.SIGCONT)
    return Hit(started.wait(), f"SIGSTOP of {target} for {STOP_SECONDS:g} s while it worked")


def send(pids: list[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def hung_worker(scene: Scene, reference: Reference, rng: random.Random) -> Hit:
    """A worker that waits for ever in the middle of a step: the watchdog ends it, and it is started again."""
    point = steps_point(scene, 2 + rng.randrange(6), "sleep:100000", "worker")
    words = [] if scene.starts else [f"compute.hang_minutes={HANG_MINUTES}"]
    ended = scene.start(*words, environment=points_environment(scene, [point])).wait()
    what = f"a worker hung after {point.nth} steps" if met(scene) else "nothing: no worker came to it"
    return Hit(ended, what, met_at(scene))


# -- the table


def killed() -> Iterator[Fault]:
    """All faults of the kind."""
    fault = partial(Fault, kind="killed")
    of_ray = {name: ON_RAY for name in ("worker", "agent", "raylet", "GCS")}
    for target, pipelines in {"driver": ALL, **of_ray}.items():
        for name, inject in {"at a random moment": kill_at_random, "while it trains": kill_while_it_trains}.items():
            yield fault(
                name=f"kill -9 of the {target} {name}",
                pipelines=pipelines,
                inject=partial(inject, target=target),
                must_end=target == "worker",
            )
    yield fault(
        name="kill -9 of the controller while it trains",
        pipelines=("curriculum",),
        inject=partial(kill_while_it_trains, target="controller"),
    )
    for number, times in ((signal.SIGTERM, 1), (signal.SIGINT, 1), (signal.SIGINT, 2)):
        yield fault(
            name=f"{number.name}{' twice' if times == 2 else ''}",
            pipelines=ALL,
            inject=partial(signalled, number=number, times=times),
            codes=(128 + number,),
        )
    for target, pipelines in {"driver": ALL, "worker": ON_RAY, "raylet": ON_RAY, "GCS": ON_RAY, "all": ALL}.items():
        yield fault(
            name=f"SIGSTOP of {target}",
            pipelines=pipelines,
            inject=partial(stopped_for_a_while, target=target),
            must_end=target not in ("raylet", "GCS"),
        )
    yield fault(name="a worker hangs", pipelines=ON_RAY, inject=hung_worker, must_end=True)
    for pipeline, places in POINTS.items():
        for place in places:
            for when in ("before", "after"):
                yield fault(
                    name=f"kill -9 {when} {place.name}",
                    pipelines=(pipeline,),
                    inject=partial(kill_at_point, place=place, when=when),
                )
    for when in ("before", "after"):
        yield fault(
            name=f"kill -9 {when} a line of bracket.jsonl",
            pipelines=("tournament",),
            inject=partial(kill_at_line, name="bracket.jsonl", when=when, most=2),
        )


KILLED: tuple[Fault, ...] = tuple(killed())
