"""What happens to a cluster (fault injection): nodes lost and replaced, the head restarted, the network cut.

Each scenario starts a league or a curriculum on nodes of its own, harms them, lets the commands go on as
docs/cluster.md says, and returns what came out. It is compared with the same command on one machine with a Ray of its
own, made once a folder. The tests assert it, transcript.py writes it down.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from namespaces import Command, Nodes
from placements import FILE

from hamner.runs.resume_log import step_reached

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from kills import standings

NAME = "night"  # of every run
CONTESTANTS = ("v01_dense_small", "v05_moe_small", "v09_deep_narrow")
LEAGUE = (
    *("tournament", "--config", "smoke", "--name", NAME),
    *(word for name in CONTESTANTS for word in ("--only", name)),
    *("steps=[400,400]", "keep=[2,1]", "seeds=1"),
)
CURRICULUM = ("curriculum.run", "v3", "--config", "smoke", "--name", NAME, "max_epochs=1000")
STAGES = """[[stages]]
name = "long"
mix = {{synthetic = 0.9, tinystories = 0.1}}
levels = [0.5, 0.5]
learning_rate = 3e-4
steps = {steps}
exact = true
"""
STEPS, ENDLESS = 400, 20_000  # of the one stage; the latter is stopped
CHECKPOINT_EVERY = 5  # of the smoke config
# Ray says of a silent node after 10 to 20 seconds that it is lost, where it would be 65, and a node without a head
# ends after 20, where it would be 60: only so that a test is shorter
SOONER = {
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "2000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "20",
}
SAME = ("step", "phase", "loss", "mean_loss", "heldout_loss", "gradient_norm", "learning_rate", "tokens_total")
WAITING = "waiting for a node"  # what a command says that has too few
SECONDS = 600.0  # that any command may take


@dataclass
class Outcome:
    """What came out of a scenario."""

    title: str
    events: list[str] = field(
        default_factory=list
    )  # what was done and seen, with the seconds since the command's start
    output: str = ""  # what the commands printed
    exit_code: int | None = None  # of the last
    seconds: float = 0.0  # from the first command's start to the last one's end
    seconds_alone: float = 0.0  # of the same on one machine
    is_same: bool = False  # every number, bit for bit
    largest_gap: float | None = None  # of the losses, where other numbers of workers took turns
    addresses: list[str] = field(default_factory=list)  # of nodes where something was trained
    steps_redone: list[int] = field(default_factory=list)  # at each time that a run was started again


class Story:
    """One scenario while it is played: its clock, its commands, its outcome."""

    def __init__(self, title: str, nodes: Nodes, kind: str) -> None:
        self.outcome, self.nodes = Outcome(title), nodes
        self.folder = nodes.results / kind / NAME
        self._began, self._commands = time.monotonic(), list[Command]()

    def note(self, event: str) -> None:
        self.outcome.events.append(f"{time.monotonic() - self._began:5.0f} s  {event}")

    def start(self, *words: str) -> Command:
        """Start a command on the head."""
        if not self._commands:
            self._began = time.monotonic()
        self.note(f"$ {' '.join(words).replace('curriculum.run', 'curriculum run')}")
        self._commands.append(self.nodes.start_command(0, *words))
        return self._commands[-1]

    def until(self, condition: Callable[[], bool], seconds: float = 120.0) -> None:
        """Wait for something to be true while the last command runs. Raises TimeoutError with what it has printed."""
        command, end = self._commands[-1], time.monotonic() + seconds
        while not condition():
            if command.process.poll() is not None or time.monotonic() > end:
                raise TimeoutError(f"it did not come to that: {command.output[-3000:]}")
            time.sleep(0.1)

    def finish(self) -> Outcome:
        """Wait for the last command, and read what is left."""
        command, outcome = self._commands[-1], self.outcome
        outcome.exit_code = command.wait(SECONDS)
        outcome.seconds = time.monotonic() - self._began
        self.note(f"it ends with exit code {outcome.exit_code}")
        outcome.output = self._commands[0].log.read_text(errors="replace")
        notes = self.folder / "resume.jsonl"
        lines = notes.read_text().splitlines() if notes.is_file() else []
        outcome.steps_redone = [json.loads(line)["steps_redone"] for line in lines]
        return outcome


# -- the same on one machine


def _alone(folder: Path, *words: str) -> Path:
    """The results of a command on this machine, with a Ray of its own; made once."""
    done = folder / "done"
    if not done.is_file():
        shutil.rmtree(folder, ignore_errors=True)  # of a call that was ended
        folder.mkdir(parents=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "HAMNER_"))}
        environment |= {"HAMNER_RESULTS": str(folder), "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
        began = time.monotonic()
        with (folder / "command.log").open("w") as log:
            subprocess.run(
                [sys.executable, "-m", *words], env=environment, stdout=log, stderr=log, check=True, timeout=SECONDS
            )
        done.write_text(str(time.monotonic() - began))
    return folder


def _text(base: Path) -> tuple[str, str]:
    """The words that name the text of all runs, which is prepared once."""
    folder = base / "prepared"
    if not (folder / "manifest.json").is_file():
        words = [
            sys.executable,
            "-m",
            "hamner.prepare_data",
            "--config",
            "smoke",
            "--data",
            "builtin",
            "--out",
            str(folder),
        ]
        subprocess.run(words, check=True, timeout=SECONDS)
    return "--data", str(folder)


def league_alone(base: Path) -> Path:
    """The folder of the league on one machine."""
    return _alone(base / "league_alone", *LEAGUE, *_text(base)) / "tournament" / NAME


def curriculum_alone(base: Path, workers: int, steps: int = STEPS) -> Path:
    """The folder of the curriculum on one machine."""
    folder = base / f"curriculum_alone_{workers}_{steps}"
    words = (*CURRICULUM, *_text(base), "--curriculum", str(_stages(base, steps)), f"workers={workers}")
    return _alone(folder, *words) / "curriculum" / NAME


def _stages(base: Path, steps: int) -> Path:
    path = base / f"stages_{steps}.toml"
    base.mkdir(parents=True, exist_ok=True)
    path.write_text(STAGES.format(steps=steps))
    return path


def _seconds_alone(run: Path) -> float:
    return float((run.parents[1] / "done").read_text())


# -- leagues


def _league_nodes(base: Path, name: str, **more: str) -> Nodes:
    """Two nodes, whose drivers write down where trials reported from."""
    callbacks = {"HAMNER_CALLBACKS": "placements.Placements", FILE: str(base / name / "placements.jsonl")}
    return Nodes(2, base / name, environment=callbacks | more)


def _places(story: Story) -> list[str]:
    """The addresses of the nodes that trials reported from, a report each."""
    path = story.nodes.folder / "placements.jsonl"
    text = path.read_text() if path.is_file() else ""
    return [json.loads(line)["address"] for line in text[: text.rfind("\n") + 1].splitlines()]


def _finish_league(story: Story, base: Path) -> Outcome:
    outcome, alone = story.finish(), league_alone(base)
    outcome.addresses = sorted(set(_places(story)))
    outcome.is_same = standings(story.folder) == standings(alone) if outcome.exit_code == 0 else False
    outcome.seconds_alone = _seconds_alone(alone)
    return outcome


def league_spread(base: Path) -> Outcome:
    league_alone(base)
    with _league_nodes(base, "spread") as nodes:
        story = Story("A league on two nodes", nodes, "tournament")
        story.start(*LEAGUE, *_text(base))
        return _finish_league(story, base)


def league_node_replaced(base: Path) -> Outcome:
    league_alone(base)
    with _league_nodes(base, "replaced", **SOONER) as nodes:
        story = Story("A node lost in mid-league, and another put in its place", nodes, "tournament")
        story.start(*LEAGUE, *_text(base))
        story.until(lambda: nodes.address(1) in _places(story))
        nodes.kill(1)
        story.note("node 2 loses its power")
        nodes.replace(1)
        story.note(f"a new machine has joined: {nodes.address(1)}")
        return _finish_league(story, base)


def league_node_cut_off(base: Path) -> Outcome:
    """The node is alive and sees the results: its trial goes on writing while Ray starts it elsewhere."""
    league_alone(base)
    with _league_nodes(base, "cut_off", **SOONER) as nodes:
        story = Story("A node that is cut off for good, and goes on writing", nodes, "tournament")
        story.start(*LEAGUE, *_text(base))
        story.until(lambda: nodes.address(1) in _places(story))
        nodes.cut(1)
        story.note("the cable of node 2 is pulled, and stays out")
        return _finish_league(story, base)


def league_network_cut(base: Path) -> Outcome:
    """With Ray's own times."""
    league_alone(base)
    with _league_nodes(base, "cut") as nodes:
        story = Story("The network between the nodes cut for 30 s in mid-league", nodes, "tournament")
        story.start(*LEAGUE, *_text(base))
        story.until(lambda: nodes.address(1) in _places(story))
        _cut_for_30_seconds(story)
        return _finish_league(story, base)


def league_head_restarted(base: Path) -> Outcome:
    league_alone(base)
    with _league_nodes(base, "head", **SOONER) as nodes:
        story = Story("The head, with the driver on it, restarted in mid-league", nodes, "tournament")
        driver = story.start(*LEAGUE, *_text(base))
        story.until(lambda: set(_places(story)) >= {nodes.address(0), nodes.address(1)})
        nodes.kill(0)
        driver.process.wait()
        story.note("the head loses its power, and the driver with it")
        nodes.restart(0)
        story.note("the head is there again, with an empty Ray; on node 2: ray stop; ray start --address=…")
        nodes.rejoin(1)
        nodes.wait_until_alive(2)
        story.note("two nodes are alive")
        story.start("tournament", "--resume", "--name", NAME)
        return _finish_league(story, base)


def _cut_for_30_seconds(story: Story) -> None:
    story.nodes.cut(1)
    story.note("the cable of node 2 is pulled")
    time.sleep(30)
    story.nodes.heal(1)
    story.note("it is plugged in again")


def _waiting_line(command: Command) -> str:
    """Wait until a command is over, or says that it waits for a node; the line that says so, "" where it never did."""
    end = time.monotonic() + SECONDS
    while command.process.poll() is None and WAITING not in command.output and time.monotonic() < end:
        time.sleep(0.1)
    return next((line.strip() for line in command.output.splitlines() if WAITING in line), "")


# -- curricula: each node has one core, so two workers are on two nodes


def rows_of(folder: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv."""
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def _same_rows(folder: Path, alone: Path) -> bool:
    return [[row[key] for key in SAME] for row in rows_of(folder)] == [
        [row[key] for key in SAME] for row in rows_of(alone)
    ]


def _start_curriculum(story: Story, base: Path, *words: str, steps: int = STEPS) -> Command:
    stages = str(_stages(base, steps))
    return story.start(*CURRICULUM, *_text(base), "--curriculum", stages, "workers=2", *words)


def _reaches(story: Story, step: int) -> Callable[[], bool]:
    return lambda: (step_reached(story.folder) or 0) >= step


def _finish_curriculum(story: Story, base: Path) -> Outcome:
    outcome, alone = story.finish(), curriculum_alone(base, 2)
    outcome.addresses = [story.nodes.address(0), story.nodes.address(1)]
    outcome.is_same = _same_rows(story.folder, alone) if outcome.exit_code == 0 else False
    outcome.seconds_alone = _seconds_alone(alone)
    return outcome


def curriculum_network_cut(base: Path) -> Outcome:
    """With Ray's own times, within which it may take the node for dead, or not."""
    return _cut_curriculum(base, "curriculum_cut", "The network between two workers of a curriculum cut for 30 s")


def curriculum_node_taken_for_dead(base: Path) -> Outcome:
    """Its Ray ends when it hears of it, and is started again as its supervisor would."""
    title = "The same where Ray takes the node for dead: the curriculum says that it waits for it"
    return _cut_curriculum(base, "taken_for_dead", title, **SOONER)


def _cut_curriculum(base: Path, name: str, title: str, **more: str) -> Outcome:
    curriculum_alone(base, 2)
    with Nodes(2, base / name, environment=more) as nodes:
        story = Story(title, nodes, "curriculum")
        command = _start_curriculum(story, base)
        story.until(_reaches(story, 40))
        _cut_for_30_seconds(story)
        if line := _waiting_line(command):
            story.note(f"it says: {line}")
            story.note("on node 2: ray stop; ray start --address=…")
            nodes.rejoin(1)
        return _finish_curriculum(story, base)


def curriculum_node_replaced(base: Path) -> Outcome:
    curriculum_alone(base, 2)
    with Nodes(2, base / "curriculum_replaced", environment=SOONER) as nodes:
        story = Story("A curriculum of two workers loses a node, and waits for another", nodes, "curriculum")
        _start_curriculum(story, base)
        story.until(_reaches(story, 40))
        nodes.kill(1)
        story.note(f"node 2 loses its power at step {step_reached(story.folder)}")
        nodes.replace(1)
        story.note(f"a new machine has joined: {nodes.address(1)}")
        return _finish_curriculum(story, base)


def curriculum_elastic(base: Path) -> Outcome:
    """Two workers, one, two again; stopped once there are two again, and compared with one worker on one machine."""
    with Nodes(2, base / "elastic", environment=SOONER) as nodes:
        story = Story(
            "A curriculum of one or two workers loses a node, goes on, and takes in another", nodes, "curriculum"
        )
        command = _start_curriculum(story, base, "min_workers=1", steps=ENDLESS)
        story.until(_reaches(story, 40))
        nodes.kill(1)
        story.note(f"node 2 loses its power at step {step_reached(story.folder)}")
        story.until(lambda: "1 of 2 workers" in (story.folder / "run.log").read_text())
        story.note("one worker goes on")
        nodes.replace(1)
        story.note(f"a new machine has joined: {nodes.address(1)}")
        story.until(lambda: (story.folder / "run.log").read_text().count("2 of 2 workers") == 2)
        reached = step_reached(story.folder) or 0
        story.note(f"two workers go on, at step {reached}")
        story.until(_reaches(story, reached + 20))
        command.signal(signal.SIGTERM)
        story.note("SIGTERM")
        outcome = story.finish()
    outcome.addresses = [nodes.address(0), nodes.address(1)]
    rows = rows_of(story.folder)
    alone = rows_of(curriculum_alone(base, 1, int(rows[-1]["step"])))
    tokens = [[row["tokens_total"] for row in of] for of in (rows, alone)]
    outcome.is_same = tokens[0] == tokens[1]  # the same batches; losses agree to rounding
    gaps = [abs(float(a["loss"]) - float(b["loss"])) for a, b in zip(rows, alone, strict=True)]
    outcome.largest_gap = max(gaps)
    return outcome


SCENARIOS: dict[str, Callable[[Path], Outcome]] = {
    scenario.__name__: scenario
    for scenario in (
        league_spread,
        league_node_replaced,
        league_node_cut_off,
        league_head_restarted,
        league_network_cut,
        curriculum_network_cut,
        curriculum_node_taken_for_dead,
        curriculum_node_replaced,
        curriculum_elastic,
    )
}
