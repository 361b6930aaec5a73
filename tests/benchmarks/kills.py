"""Fault tolerance (kill -9 and resume): a smoke league killed again and again has the standings of one left alone.

    python tests/benchmarks/kills.py [--kills 20] [--seed 0]
    python tests/benchmarks/kills.py --kills 6 --after 0.8 --targets driver raylet    # how fast is a late resume

At a random fraction of the undisturbed duration, counted from config.json, the driver, a trial or the raylet is
killed, in turn. A killed trial is started again by the league itself; after the other two comes `--resume`.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHECKPOINT_EVERY = 5  # of the smoke config
NONE = "none: it had ended"


class League:
    """One run of the command, in a process of its own."""

    def __init__(self, results: Path, name: str, *more: str) -> None:
        environment = os.environ | {"HAMNER_RESULTS": str(results), "RAY_USAGE_STATS_ENABLED": "0"}
        environment.pop("RAY_ADDRESS", None)
        self.folder, self.began, self.started = results / "tournament" / name, time.monotonic(), 0.0
        self.log = (results / f"{name}.log").open("a")
        self.clock = time.time()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tournament", "--name", name, *more],
            env=environment,
            stdout=self.log,
            stderr=self.log,
        )

    def wait(self, seconds: float = 600) -> float:
        """Seconds it ran, or 600 when it hangs."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return time.monotonic() - self.began

    def wait_for_a_run(self) -> float:
        """Seconds until a trial process has opened its run: Ray's start-up, and that of a process with torch."""
        while self.process.poll() is None:
            if any(path.stat().st_mtime > self.clock for path in self.folder.glob("*/.step")):
                break
            time.sleep(0.02)
        return time.monotonic() - self.began


def children(pid: int, words: str) -> list[int]:
    """Processes below this one whose command line has these words."""
    matching, todo = [], [pid]
    while todo:
        listing = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(todo.pop())], capture_output=True, text=True)
        for line in listing.stdout.splitlines():
            pid, _, args = line.strip().partition(" ")
            todo.append(int(pid))
            if words in args:
                matching.append(int(pid))
    return matching


def standings(folder: Path) -> object:
    """What must be the same: names, ranks, every loss to the last digit, verdicts."""
    document = json.loads((folder / "standings.json").read_text())
    return [
        [
            (
                row["rank"],
                row["contestant"],
                row["heldout_loss"],
                row["train_loss"],
                row["status"],
                row["verdict"],
                row["difference"],
                row["evaluation_se"],
                row["standard_error"],
                row["bits_per_byte"],
            )
            for row in played["standings"]
        ]
        + [[run["heldout_loss"] for row in played["standings"] for run in row["runs"]]]
        for played in document["rounds"]
    ]


def kill(league: League, target: str, rng: random.Random) -> str:
    """kill -9 the target; says what was hit."""
    pids = {
        "driver": lambda: [league.process.pid],
        "raylet": lambda: children(league.process.pid, "raylet/raylet"),
        "trial": lambda: [
            *children(league.process.pid, "ray::ResourceTrainable"),
            *children(league.process.pid, "ray::Trial"),
        ],
    }[target]()
    if not pids:
        pids, target = [league.process.pid], f"driver (no {target} yet)"
    os.kill(rng.choice(pids), signal.SIGKILL)
    return target


def one_kill(results: Path, number: int, fraction: float, target: str, duration: float, rng: random.Random) -> dict:
    """duration: of an undisturbed league, from config.json on."""
    name = f"kill{number:02}"
    league = League(results, name, "--config", "smoke")
    while not (league.folder / "config.json").exists():
        time.sleep(0.02)
    time.sleep(fraction * duration)
    outcome = {"fraction": fraction, "target": NONE, "resumed": 0.0, "start": 0.0}
    if league.process.poll() is None:
        outcome["target"] = kill(league, target, rng)
    before = {p.parent.parent.name for p in league.folder.glob("*/checkpoints/step_*")}
    if outcome["target"] == "trial" and league.wait() and league.process.returncode == 0:
        pass
    else:
        league.wait(60)
        time.sleep(1)
        again = League(results, name, "--resume")
        outcome["start"] = again.wait_for_a_run()
        outcome["resumed"] = again.wait()
    lines = league.folder / "resume.jsonl"
    notes = [json.loads(line) for line in lines.read_text().splitlines()] if lines.is_file() else []
    outcome["redone"] = max((note["steps_redone"] for note in notes), default=0)
    outcome["from_zero"] = [n["contestant"] for n in notes if n["step_found"] == 0 and n["contestant"] in before]
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--after", type=float, default=0.0, help="only after this fraction of the duration")
    parser.add_argument("--targets", nargs="+", default=["driver", "trial", "raylet"])
    options = parser.parse_args()
    rng = random.Random(options.seed)
    results = Path(tempfile.mkdtemp(prefix="kills"))
    times = []
    for number in range(3):
        league = League(results, f"fresh{number}", "--config", "smoke")
        while not (league.folder / "config.json").exists():
            time.sleep(0.02)
        first = time.monotonic() - league.began
        start = league.wait_for_a_run()
        times.append((league.wait(), first, start))
    fresh, first, start = sorted(times)[1]
    expected, good, hit = standings(league.folder), 0, 0
    print(
        f"undisturbed: {[round(t[0], 1) for t in times]} s, config.json after {first:.1f} s, the first run opened "
        f"after {start:.1f} s",
        flush=True,
    )
    number = 0
    while hit < options.kills:
        number += 1
        target = options.targets[hit % len(options.targets)]
        outcome = one_kill(
            results, number, options.after + (1 - options.after) * rng.random(), target, fresh - first, rng
        )
        folder = results / "tournament" / f"kill{number:02}"
        if outcome["target"] == NONE:  # a kill after the end is none
            print(f" - {NONE} at {100 * outcome['fraction']:.0f} %", flush=True)
            continue
        hit += 1
        same = (folder / "winner.json").is_file() and standings(folder) == expected
        good += same and outcome["redone"] <= CHECKPOINT_EVERY and not outcome["from_zero"]
        share = (outcome["resumed"] - outcome["start"]) / (fresh - start) if outcome["resumed"] else float("nan")
        print(
            f"{hit:>2} {outcome['target']:<24} at {100 * outcome['fraction']:3.0f} %: "
            f"{'identical' if same else 'DIFFERENT'}, at most {outcome['redone']} steps redone"
            f"{', FROM ZERO ' + str(outcome['from_zero']) if outcome['from_zero'] else ''}; resumed in "
            f"{outcome['resumed']:.1f} s, {100 * share:.0f} % of a fresh run without Ray's start-up",
            flush=True,
        )
    print(f"{good} of {options.kills} identical, nothing redone beyond {CHECKPOINT_EVERY} steps; {results}")


if __name__ == "__main__":
    main()
