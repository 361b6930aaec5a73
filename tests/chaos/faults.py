"""Faults of the chaos suite (fault injection): what is done to a run, when, and to which of its processes.

    fault = FAULTS["kill -9 of the driver"]
    outcome = play(fault, scene, reference, random.Random(7))

A Fault starts the scene's command, disturbs it, waits for its end and puts right what it has done to the machine;
play() then goes on without faults, and judges. The tables of faults are KILLED (killed.py), STARVED and DAMAGED
(starved.py, damaged.py); fault_table.py joins them.

Data in: a scene, a seeded generator, from which all moments are drawn. Data out: an Outcome.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from outcomes import Outcome, Reference, go_on, outcome_of
from pipelines import Ended, Scene

from hamner.runs.read_back import json_lines

ALL = ("tournament", "curriculum", "sft", "prepare_data")
ON_RAY = ("tournament", "curriculum")
TRAINING = ("tournament", "curriculum", "sft")


@dataclass(frozen=True)
class Hit:
    """How a fault went. ended: how the disturbed command did."""

    ended: Ended
    what: str  # was done, and when: "kill -9 of the worker after bracket.json is renamed"
    time: float | None = None  # of it, where a process of the command may be lost and the command goes on


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One way to disturb a run."""

    name: str
    kind: Literal["killed", "starved", "damaged"]
    pipelines: tuple[str, ...]
    inject: Callable[[Scene, Reference, random.Random], Hit]
    may_stop: bool = False  # a clear refusal is as good as going on
    must_end: bool = False  # the disturbed command goes on by itself, and ends with exit code 0
    codes: tuple[int, ...] = ()  # exit codes that the disturbed command may end with; (): any
    intervals: int = 1  # checkpoint intervals that it may cost: more where checkpoints themselves are damaged
    aloud: str = ""  # regular expression of what one of the commands has to say


def play(fault: Fault, scene: Scene, reference: Reference, rng: random.Random) -> Outcome:
    """Disturb a scene, go on until the run is finished, and judge it. The scene may have been started before."""
    before = len(scene.redone())
    hit = fault.inject(scene, reference, rng)
    starts, seconds = go_on(scene, hit.ended)
    return outcome_of(
        scene,
        reference,
        hit.ended,
        fault=fault.name,
        kind=fault.kind,
        what=hit.what,
        may_stop=fault.may_stop,
        must_end=fault.must_end,
        codes=fault.codes,
        intervals=fault.intervals,
        aloud=fault.aloud,
        starts=starts,
        seconds_to_work=seconds if starts else seconds_until_resumed(scene, hit.time),
        resumes_before=before,
    )


def seconds_until_resumed(scene: Scene, since: float | None) -> float | None:
    """How long after a time a training first went on from a checkpoint, as resume.jsonl says; None: it did not."""
    times = [line["time"] for line in json_lines(scene.folder / "resume.jsonl")]
    return min((time - since for time in times if since and time > since), default=None)


# -- named points


@dataclass(frozen=True)
class Point:
    """A moment of a process that points/sitecustomize.py meets: a call of the system, before it or after.

    call: rename (into its place), fsync, unlink, mkdir, pwrite (of .step: one a step). name: glob of the path. act:
    KILL, TERM, INT, STOP, sleep:SECONDS, clock:SECONDS (ahead), error:ENOSPC and so on. role: driver, worker (of Ray),
    text (the child that prepares text), "" for any. is_repeated: at each call from the nth on.
    """

    call: str
    when: Literal["before", "after"]
    name: str
    act: str = "KILL"
    role: str = ""
    nth: int = 1
    is_repeated: bool = False

    def words(self) -> str:
        """The point in words."""
        verb = {"rename": "renamed", "fsync": "flushed", "unlink": "removed", "mkdir": "made", "pwrite": "written"}
        who = f" in the {self.role}" if self.role else ""
        place = self.name.rsplit("*/", 1)[-1]
        return f"{self.act}{who} {self.when} {place} is {verb[self.call]}, time {self.nth}"


def points_environment(scene: Scene, points: Sequence[Point]) -> dict[str, str]:
    """The variables that give a command these points; each happens once, in the process that comes to it first."""
    rows = []
    for number, point in enumerate(points):
        mark = scene.place / f"met.{len(scene.starts) + 1}.{number}"
        rows.append(vars(point) | {"mark": str(mark)})
    return {"HAMNER_CHAOS_POINTS": json.dumps(rows)}


def met(scene: Scene, number: int = 0) -> Mapping[str, object] | None:
    """Which process came to a point of the newest start, and to which file; None where none did."""
    mark = scene.place / f"met.{len(scene.starts)}.{number}"
    try:
        return json.loads(mark.read_text())
    except (OSError, ValueError):  # made, and not written yet
        return None


def met_at(scene: Scene, number: int = 0) -> float | None:
    """When a process came to a point of the newest start; None where none did."""
    with suppress(OSError):
        return (scene.place / f"met.{len(scene.starts)}.{number}").stat().st_mtime
    return None


def start_with(scene: Scene, *points: Point, **options: object) -> Ended:
    """Start the command with these points, and wait for its end."""
    return scene.start(environment=points_environment(scene, points), **options).wait()


# -- damage


def flip_bit(path: Path, place: float = 0.5) -> None:
    """Flip one bit of a file, where it holds floats one of a mantissa's high ones. place: how far, from 0 to 1."""
    size = path.stat().st_size
    offset = min(int(place * size) // 4 * 4 + 2, size - 1)
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x40]))


def cut_short(path: Path, share: float = 0.5) -> None:
    """Leave only the beginning of a file. share: of its length; 0 empties it."""
    os.truncate(path, int(share * path.stat().st_size))
