"""Outcomes of the chaos suite: what became of a run that was disturbed, and what is wrong with that.

Data in: a scene after a fault, the undisturbed run. Data out: an Outcome, one line of outcomes.jsonl; problems, empty
for an outcome as it has to be: the same final numbers with bounded steps redone, or a clear stop with the way on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pipelines import JSON, Ended, Pipeline, Scene

SAME, STOPPED, DIFFERENT, LOST = "same numbers", "clear stop", "DIFFERENT NUMBERS", "LOST"
WAYS_ON = re.compile(
    r"continue with|--resume|the same command|wait for it|choose another|make room|\buse \S|restore it"
    r"|delete it|delete /|copy the|start a new|prepare the data again|`ulimit "
)
BAD_WORDS = ("Traceback (most recent call last)", "*** SIG", "core dumped")
TABLE = "│┃┏┡└┌├"  # what a line of a table begins with
MOST_STARTS = 3  # of the command after a fault, until the run is finished


@dataclass(frozen=True)
class Reference:
    """An undisturbed run: its numbers, and what starting anew costs."""

    numbers: JSON
    seconds: float  # of the whole command
    seconds_to_work: float  # until it began its work
    files: tuple[str, ...] = ()  # that were renamed into their place, below the run's folder
    steps: int = 0  # of the longest training


@dataclass(frozen=True)
class Outcome:
    """What became of one disturbed run: a row of the table."""

    pipeline: str
    fault: str
    kind: str  # killed, starved, damaged
    what: str  # was done, and when
    outcome: str  # SAME, STOPPED, DIFFERENT or LOST
    steps_redone: int  # the most that a contestant trained again for one interruption
    interval: int  # steps that one interruption may cost
    code: int | None  # exit code of the disturbed command; negative: the signal that ended it
    next_code: int | None  # of the next one; None: there was none
    seconds_to_go_on: float | None  # until it trains again: of the next command, or after the fault where it survives
    seconds_to_end: float | None  # of all commands after the fault
    seconds_anew: float  # of the whole undisturbed run
    steps_anew: int = 0  # of its longest training
    seconds_to_work_anew: float = 0.0  # until it began to train
    said: tuple[str, ...] = ()  # the last lines of the disturbed command
    next_said: tuple[str, ...] = ()  # the lines of the next one
    must_end: bool = False  # whether the disturbed command itself has to end with the same numbers
    codes: tuple[int, ...] = ()  # exit codes that it may end with; (): any
    unsaid: str = ""  # what one of the commands had to say, and none did
    is_silent: bool = False  # whether the disturbed command stopped by itself, and named no way on
    bad_words: tuple[str, ...] = ()  # of BAD_WORDS, in all that the commands said
    number: int = 0  # of the fault, in a long run
    seed: str = ""  # that the fault was drawn with

    def row(self) -> dict[str, Any]:
        """The outcome as JSON."""
        return asdict(self)


def undisturbed(pipeline: Pipeline, place: Path) -> Reference:
    """Run a pipeline to its end in a place of its own, which is left as it is. Raises AssertionError where it fails."""
    scene, trace = Scene(pipeline, place), place / "renamed"
    started = scene.start(environment={"HAMNER_CHAOS_TRACE": str(trace)})
    ended = started.wait()
    assert ended.code == 0 and scene.is_finished(), ended.said
    inside = f"{scene.folder}/"
    renamed = trace.read_text(encoding="utf-8").splitlines()
    files = sorted({path.removeprefix(inside) for path in renamed if path.startswith(inside)})
    steps, seconds = max((step for _, step in scene.marks()), default=0), started.seconds_to_work or ended.seconds
    return Reference(scene.numbers(), ended.seconds, seconds, tuple(files), steps)


def lines(scene: Scene, ended: Ended, most: int = 60) -> tuple[str, ...]:
    """The last lines of a terminal but for its tables, which say nothing of a failure."""
    text = from_the_scene(scene, ended.said)
    return tuple(line.rstrip() for line in text.splitlines() if line.strip() and line[0] not in TABLE)[-most:]


def from_the_scene(scene: Scene, text: str) -> str:
    """A text with its paths as they are from the folder of a scene."""
    return text.replace(f"{scene.results}", "results").replace(f"{scene.place}/", "")


def go_on(scene: Scene, ended: Ended) -> tuple[list[Ended], float | None]:
    """Start the command again, undisturbed, until the run is finished; how each start ended, and when work went on."""
    starts: list[Ended] = []
    seconds_to_work = None
    while (ended.code != 0 or not scene.is_finished()) and len(starts) < MOST_STARTS:
        started = scene.start()
        ended = started.wait()
        starts.append(ended)
        if len(starts) == 1:
            seconds_to_work = started.seconds_to_work
        if ended.code == 0:
            break
    return starts, seconds_to_work


def outcome_of(
    scene: Scene,
    reference: Reference,
    ended: Ended,
    *,
    fault: str,
    kind: str,
    what: str,
    may_stop: bool = False,
    must_end: bool = False,
    codes: tuple[int, ...] = (),
    intervals: int = 1,
    aloud: str = "",
    starts: list[Ended] | None = None,
    seconds_to_work: float | None = None,
    resumes_before: int = 0,
) -> Outcome:
    """Judge a scene whose fault is over. ended: of the disturbed command.

    may_stop: a clear refusal is an outcome too. aloud: what a command has to say (regular expression). starts: of
    go_on; None: it is called here. resumes_before: lines of resume.jsonl that earlier faults of the same scene have
    written.
    """
    if starts is None:
        starts, seconds_to_work = go_on(scene, ended)
    last = starts[-1] if starts else ended
    outcome = _compared(scene, reference) if last.code == 0 and scene.is_finished() else LOST
    if outcome == LOST and may_stop and last.code and WAYS_ON.search(last.said):
        outcome = STOPPED
    all_said = [each.said for each in (ended, *starts)]
    return Outcome(
        pipeline=scene.pipeline.name,
        fault=fault,
        kind=kind,
        what=what,
        outcome=outcome,
        steps_redone=max(scene.redone()[resumes_before:], default=0),
        interval=scene.pipeline.interval * intervals,
        code=ended.code,
        next_code=starts[0].code if starts else None,
        seconds_to_go_on=seconds_to_work,
        seconds_to_end=sum(start.seconds for start in starts) if starts else None,
        seconds_anew=reference.seconds,
        steps_anew=reference.steps,
        seconds_to_work_anew=reference.seconds_to_work,
        said=lines(scene, ended),
        next_said=lines(scene, starts[0]) if starts else (),
        must_end=must_end,
        codes=codes,
        unsaid="" if any(re.search(aloud, said) for said in all_said) else aloud,
        is_silent=(ended.code or 0) > 0 and not WAYS_ON.search(ended.said),
        bad_words=tuple(word for word in BAD_WORDS if any(word in said for said in all_said)),
    )


def _compared(scene: Scene, reference: Reference) -> str:
    try:
        return SAME if scene.numbers() == reference.numbers else DIFFERENT
    except (OSError, ValueError, KeyError):
        return LOST


def read_outcomes(path: Path) -> list[Outcome]:
    """The outcomes of a long run so far, by number; without a line that is being written."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
    known = {field.name for field in fields(Outcome)}
    rows = ({key: value for key, value in json.loads(line).items() if key in known} for line in lines)
    return sorted((Outcome(**row) for row in rows), key=lambda outcome: outcome.number)


def is_hit(outcome: Outcome) -> bool:
    """Whether a process came to the fault: a point may never be met, and a run may end before its moment."""
    return "nothing: " not in outcome.what


def problems(outcome: Outcome) -> list[str]:
    """What is wrong with an outcome; none for one as it has to be."""
    return list(_problems(outcome))


def _problems(outcome: Outcome) -> Iterator[str]:
    if outcome.outcome not in (SAME, STOPPED):
        yield f"{outcome.pipeline}, {outcome.what}: {outcome.outcome}"
    if outcome.steps_redone > outcome.interval:
        yield f"{outcome.steps_redone} steps redone, one interval has {outcome.interval}"
    is_served = outcome.pipeline == "serve"  # which is never resumed: it ends when it is told to
    if outcome.code is None or (outcome.next_code is None and outcome.code != 0 and not is_served):
        yield "a command did not end by itself"
    if outcome.outcome == SAME and outcome.next_code and not is_served:
        yield f"the first command after it ended with {outcome.next_code}"
    if outcome.is_silent and is_hit(outcome):
        yield "it stopped and named no way on"
    if outcome.unsaid and is_hit(outcome):
        yield f"no command said {outcome.unsaid!r}"
    if outcome.must_end and is_hit(outcome) and outcome.code != 0:
        yield f"the command ended with {outcome.code}, and should have gone on by itself"
    if outcome.codes and is_hit(outcome) and outcome.code not in outcome.codes:
        yield f"exit code {outcome.code}, not {' or '.join(map(str, outcome.codes))}"
    if outcome.outcome == STOPPED and not (outcome.code or outcome.next_code):
        yield "a stop has exit code 0"
    for word in outcome.bad_words:
        yield f"a command said {word!r}"
