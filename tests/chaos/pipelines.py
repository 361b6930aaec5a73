"""The pipelines under chaos, as small as they can be: their real commands, how they go on, which numbers must come out.

    scene = Scene(PIPELINES["sft"], tmp_path)      # a run in a place of its own
    started = scene.start()                        # the command, in a process of its own
    started.wait_until(scene.is_running)
    started.process.kill()
    ended = started.wait()                         # exit code, seconds, what the terminal said
    scene.start().wait()                           # goes on: with --resume, once the run has begun
    scene.numbers(), scene.redone()                # what must be the same; what it cost

Data in: a folder. Data out: FOLDER/results, FOLDER/terminal/<n>.out and .err of each start.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
REPO = TESTS.parent
POINTS = Path(__file__).with_name("points")
sys.path[:0] = [str(TESTS), str(TESTS / "benchmarks"), str(TESTS / "old_runs")]

from curriculum_kills import losses, stage_records  # noqa: E402
from kills import standings  # noqa: E402
from make import SMALL, STAGES  # noqa: E402
from stored_runs import NAME, stored_run  # noqa: E402

from hamner.runs.files import file_sha256  # noqa: E402
from hamner.runs.read_back import json_lines  # noqa: E402

RUN = "run"  # its name, in each results folder the only one
SCENE = "HAMNER_CHAOS_SCENE"  # environment variable of all processes of a scene: its folder
SECONDS = 240.0  # in which a command has to end, whatever happens to it
JSON = Any  # what json.loads returns


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """One command, and how it is judged. Functions take the scene."""

    name: str
    module: str  # python -m MODULE
    words: tuple[str, ...]  # of a new run
    again: tuple[str, ...]  # of all later starts
    kind: str  # the run's folder: results/KIND/run
    interval: int  # [steps] that one kill may cost
    numbers: Callable[[Scene], JSON]  # of a finished run: equal bit for bit, whatever happened to it
    is_finished: Callable[[Scene], bool]
    is_running: Callable[[Scene], bool]  # whether the newest start has begun its work
    redone: Callable[[Scene], list[int]]  # [steps] what each interruption cost, of each contestant
    prepare: Callable[[Scene], None] = lambda scene: None  # what must be there before the first start
    has_ray: bool = False


@dataclass(frozen=True)
class Ended:
    """How a command ended. code: None where it had to be killed after SECONDS."""

    code: int | None
    seconds: float
    out: str
    err: str

    @property
    def said(self) -> str:
        """All that the terminal showed."""
        return self.out + self.err


@dataclass
class Started:
    """A command in a process of its own, in a session of its own."""

    process: subprocess.Popen[bytes]
    scene: Scene
    number: int  # 1: the first start
    earlier: frozenset[str] = frozenset()  # starts that have marked a step before: an orphan of theirs may go on
    clock: float = field(default_factory=time.time)
    began: float = field(default_factory=time.monotonic)
    seconds_to_work: float | None = None  # until it was seen to be running

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    @property
    def out(self) -> str:
        return self.scene.terminal(self.number, "out")

    @property
    def err(self) -> str:
        return self.scene.terminal(self.number, "err")

    def wait_until(self, condition: Callable[[], bool], seconds: float = SECONDS) -> bool:
        """Wait until something is so; False where the command ended before, or the time was over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return True
            if not self.is_alive:
                return condition()
            time.sleep(0.05)
        return False

    def comes_to(self, steps: int) -> bool:
        """Wait until it has trained so many steps, or a preparation has begun; False where it ended before."""
        scene = self.scene

        def has_come() -> bool:
            reached = max((step for _, step in scene.marks()), default=0)
            return scene.is_running() and (reached >= steps or not scene.pipeline.interval)

        return self.wait_until(has_come) and self.is_alive

    def wait(self, seconds: float = SECONDS) -> Ended:
        """Wait for its end, and notice when it began to work. One that does not end is killed with all it started."""
        self.wait_until(self._works, seconds)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.1, self.began + seconds - time.monotonic()))
        code, took = self.process.poll(), time.monotonic() - self.began
        if code is None:
            self.scene.kill_all()
            self.process.wait()
        return Ended(code, took, self.out, self.err)

    def _works(self) -> bool:
        if self.seconds_to_work is None and self.scene.is_running():
            self.seconds_to_work = time.monotonic() - self.began
        return self.seconds_to_work is not None


class Scene:
    """One run of a pipeline in a place of its own, started and disturbed as often as one likes."""

    def __init__(self, pipeline: Pipeline, place: Path, results: Path | None = None) -> None:
        """results: where the run lies, if not in the place (a small disk, a mount)."""
        self.pipeline, self.place, self.results = pipeline, place, results or place / "results"
        self.starts: list[Started] = []
        (place / "terminal").mkdir(parents=True, exist_ok=True)
        self.results.mkdir(parents=True, exist_ok=True)
        pipeline.prepare(self)

    @property
    def folder(self) -> Path:
        """The run's."""
        return self.results / self.pipeline.kind / RUN

    def start(
        self,
        *more: str,
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        is_new: bool | None = None,
    ) -> Started:
        """Start the command: a new run where there is none yet, else --resume.

        more: further words. environment: further variables, points among them (faults.py). prefix: words before the
        command, such as a program that limits it. is_new: begin a run, or go on, whether there is one or not.
        """
        is_new = not (self.folder / "config.json").is_file() if is_new is None else is_new
        words = self.pipeline.words if is_new else self.pipeline.again
        number, earlier = len(self.starts) + 1, frozenset(start for start, _ in self.marks())
        with self._log(number, "out").open("wb") as out, self._log(number, "err").open("wb") as err:
            process = subprocess.Popen(
                [*prefix, sys.executable, "-m", self.pipeline.module, *self._filled(words), *more],
                env=self.environment() | dict(environment or {}),
                cwd=self.place,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self.starts.append(Started(process, self, number, earlier))
        return self.starts[-1]

    def environment(self) -> dict[str, str]:
        """Variables of a command: those of this process, and the folder with the points first on its path."""
        path = os.pathsep.join([str(POINTS), str(REPO), *filter(None, [os.environ.get("PYTHONPATH")])])
        mine = {"HAMNER_RESULTS": str(self.results), "RAY_USAGE_STATS_ENABLED": "0", "COLUMNS": "100"}
        rest = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
        return rest | mine | {"PYTHONPATH": path, SCENE: str(self.place)}

    def _filled(self, words: Sequence[str]) -> list[str]:
        return [word.format(place=self.place, results=self.results) if "=" not in word else word for word in words]

    def _log(self, number: int, stream: str) -> Path:
        return self.place / "terminal" / f"{number}.{stream}"

    def terminal(self, number: int, stream: str) -> str:
        """What a start wrote to a stream so far."""
        return self._log(number, stream).read_text(encoding="utf-8", errors="replace")

    # -- what it came to

    def is_running(self) -> bool:
        """Whether the newest start has begun its work, Ray's start and the like behind it."""
        return self.pipeline.is_running(self)

    def is_finished(self) -> bool:
        return self.pipeline.is_finished(self)

    def numbers(self) -> JSON:
        """The final numbers as JSON. Raises what reading them raises where the run is not finished."""
        return json.loads(json.dumps(self.pipeline.numbers(self)))

    def redone(self) -> list[int]:
        """Steps that were trained again, one entry an interruption and contestant."""
        return self.pipeline.redone(self)

    def marks(self) -> Iterator[tuple[str, int]]:
        """Of each training the start that has marked its newest step, and that step."""
        for path in (self.folder / ".step", *self.folder.glob("*/.step")):
            with suppress(OSError, ValueError):  # gone, or not written yet
                start, step = path.read_text(encoding="ascii").split()
                yield start, int(step)

    def moment(self, steps: int) -> str:
        """When Started.comes_to has come, in words."""
        return f"after {steps} steps" if self.pipeline.interval else "while it worked"

    def written_since(self, pattern: str, clock: float) -> bool:
        """Whether a file of the run was written after this time."""
        for path in self.folder.glob(pattern):
            with suppress(OSError):  # it may be gone by now
                if path.stat().st_mtime > clock:
                    return True
        return False

    # -- its processes

    def processes(self, words: str = "") -> list[int]:
        """Living processes of the scene, Ray's among them, whose command line has these words."""
        sessions, mine = {started.pid for started in self.starts}, []
        for path in Path("/proc").iterdir():
            if path.name.isdigit() and int(path.name) != os.getpid():
                with suppress(OSError, ValueError, IndexError):
                    state, _, _, session = (path / "stat").read_text().rpartition(")")[2].split()[:4]
                    line = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if state not in "ZX" and words in line and (int(session) in sessions or self._has_mark(path)):
                        mine.append(int(path.name))
        return sorted(mine)

    def _has_mark(self, process: Path) -> bool:
        return f"{SCENE}={self.place}".encode() in (process / "environ").read_bytes().split(b"\0")

    def kill_all(self) -> None:
        """End every process that the scene has left."""
        while left := self.processes():
            for pid in left:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)


# -- what is read of a finished run


def resumes(scene: Scene) -> list[int]:
    """Steps redone, as resume.jsonl says."""
    return [line["steps_redone"] for line in json_lines(scene.folder / "resume.jsonl")]


def steps_are_taken(scene: Scene) -> bool:
    """Whether the newest start has trained a step."""
    return any(start not in scene.starts[-1].earlier for start, _ in scene.marks())


def league_numbers(scene: Scene) -> JSON:
    """Every number of the standings, and the winner with its weights; whether the report is of the end."""
    winner = json.loads((scene.folder / "winner.json").read_text())
    weights = scene.folder / Path(winner["checkpoint"]).relative_to(scene.folder) / "model.safetensors"
    is_reported = has_report_of(scene, "winner.json")
    return [standings(scene.folder), winner["contestant"], winner["heldout_loss"], file_sha256(weights), is_reported]


def curriculum_numbers(scene: Scene) -> JSON:
    """Every loss of every step, losses and skills at the stages' ends, the final weights; whether it is reported."""
    final, document = scene.folder / "final", json.loads((scene.folder / "stages.json").read_text())
    weights = file_sha256(final / "model.safetensors")
    is_reported = has_report_of(scene, "stages.json")
    return [losses(scene.folder), stage_records(scene.folder), document["final"], weights, is_reported]


def has_report_of(scene: Scene, result: str) -> bool:
    """Whether the report was written after a result."""
    page = scene.folder / "report.html"
    return page.is_file() and page.stat().st_mtime_ns >= (scene.folder / result).stat().st_mtime_ns


def finetuning_numbers(scene: Scene) -> JSON:
    """Losses of every step, the looks at held-out replies, the final weights."""
    rows = [line.split(",")[:6] for line in (scene.folder / "metrics.csv").read_text().splitlines()]
    document = json.loads((scene.folder / "finetuning.json").read_text())
    kept = [document[key] for key in ("steps", "best_step", "ended", "before", "after", "looks", "tokens")]
    return [rows, kept, file_sha256(scene.folder / "final" / "model.safetensors")]


def prepared_files(scene: Scene) -> JSON:
    """The checksum of each file of a prepared folder, but for where its text lies, which the manifest says."""
    paths = sorted(path for path in scene.folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    own = re.compile(re.escape(str(scene.place)).encode() + rb'|"checksum": "\w+"')  # which covers the place
    contents = {path: own.sub(b"PLACE", path.read_bytes()) for path in paths}
    return {
        path.relative_to(scene.folder).as_posix(): hashlib.sha256(content).hexdigest()
        for path, content in contents.items()
    }


# -- what must be there before


def write_stages(scene: Scene) -> None:
    (scene.place / "stages.toml").write_text(STAGES.replace("steps = 600", "steps = 12"))


def copy_base(scene: Scene) -> None:
    """A model to fine-tune or to serve: the stored run of a curriculum."""
    if not (scene.results / "curriculum" / NAME).exists():
        stored_run(scene.results, "curriculum")


WORDS = ("the", "fox", "owl", "river", "hill", "warm", "cold", "went", "saw", "found", "small", "red", "lamp", "boat")


def write_texts(scene: Scene) -> None:
    """Two sources in five files, with a near-duplicate in each."""
    for source, files in (("tinystories", 3), ("wiki", 2)):
        for number in range(files):
            path = scene.place / "texts" / source / f"{number}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            seeds = [*range(60 * number, 60 * number + 60), 60 * number]
            path.write_text("".join(json.dumps({"text": prose(f"{source}{seed}")}) + "\n" for seed in seeds))


def prose(seed: str, words: int = 60) -> str:
    """Words drawn by a seed."""
    digits = hashlib.shake_256(seed.encode()).digest(words)
    return " ".join(WORDS[digit % len(WORDS)] for digit in digits)


# -- the five

LEAGUE = (
    *("--config", "smoke", "--name", RUN, "tournament.mix={tinystories=0.75,synthetic=0.25}", "report=[]", "seeds=1"),
    *(word for name in ("v01_dense_small", "v03_diffattn_small", "v05_moe_small") for word in ("--only", name)),
    *("steps=[12,24]", "keep=[2,1]", "tournament.eval_sequences=8", "tournament.checkpoint_every=6"),
    *("tournament.log_every=1", *SMALL),
)
STAGED = (
    *("v3", "--config", "smoke", "--name", RUN, "--curriculum", "{place}/stages.toml", "--allow-thin"),
    *("curriculum.eval_sequences=8", "skill_items=2", "max_epochs=1000", "max_steps=600", "checkpoint_every=6"),
    *("curriculum.log_every=1", "sample_tokens=4", "sample_every=6", "keep_checkpoints=2", "decay_steps=1", *SMALL),
)
FINETUNED = (
    *(NAME, "--name", RUN, "finetuning.sources={builtin=1}", "identity=0.0", "finetuning.max_steps=24"),
    *("epochs=1000", "finetuning.batch_size=4", "evaluations=4", "patience=60", "finetuning.log_every=1"),
    *("finetuning.eval_sequences=4", "finetuning.checkpoint_every=6"),
)
PREPARED = (
    *("--config", "smoke", "--data", "{place}/texts", "--out", "{results}/prepared/" + RUN, "--shard-tokens", "2000"),
    *("--sources", "tinystories,wiki", "size.vocab_size=320", "bpe_characters=20_000", "heldout_fraction=0.1"),
)


def _is_prepared(scene: Scene) -> bool:
    return (scene.folder / "manifest.json").is_file()


PIPELINES: Mapping[str, Pipeline] = {
    pipeline.name: pipeline
    for pipeline in (
        Pipeline(
            name="tournament",
            module="tournament",
            words=LEAGUE,
            again=("--resume", "--name", RUN),
            kind="tournament",
            interval=6,
            numbers=league_numbers,
            is_finished=lambda scene: (scene.folder / "winner.json").is_file(),
            is_running=steps_are_taken,
            redone=resumes,
            has_ray=True,
        ),
        Pipeline(
            name="curriculum",
            module="curriculum.run",
            words=STAGED,
            again=("v3", "--resume", "--name", RUN),
            kind="curriculum",
            interval=6,
            numbers=curriculum_numbers,
            is_finished=lambda scene: (scene.folder / "final").is_dir(),
            is_running=steps_are_taken,
            redone=resumes,
            prepare=write_stages,
            has_ray=True,
        ),
        Pipeline(
            name="sft",
            module="hamner.sft",
            words=FINETUNED,
            again=("--resume", "--name", RUN),
            kind="sft",
            interval=6,
            numbers=finetuning_numbers,
            is_finished=lambda scene: (scene.folder / "finetuning.json").is_file(),
            is_running=steps_are_taken,
            redone=resumes,
            prepare=copy_base,
        ),
        Pipeline(
            name="prepare_data",
            module="hamner.prepare_data",
            words=PREPARED,
            again=PREPARED,  # the same command continues
            kind="prepared",
            interval=0,  # what is stored is not written again
            numbers=prepared_files,
            is_finished=_is_prepared,
            is_running=lambda scene: scene.written_since("unfinished/*", scene.starts[-1].clock) or _is_prepared(scene),
            redone=lambda scene: [],
            prepare=write_texts,
        ),
    )
}


def remove(scene: Scene) -> None:
    """Remove what a scene has left."""
    scene.kill_all()
    shutil.rmtree(scene.place, ignore_errors=True)
