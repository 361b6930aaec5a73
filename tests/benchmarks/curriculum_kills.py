"""Fault tolerance (kill -9 and resume): a curriculum killed again and again has every loss of one left alone.

    python tests/benchmarks/curriculum_kills.py [--kills 20] [--seed 0] [--who v3] [--config smoke] [key=value ...]
    python tests/benchmarks/curriculum_kills.py --after 0.5 --before 0.9    # while it trains, at smoke size

At a random fraction of the undisturbed duration, counted from config.json, the driver or the worker is killed, in
turn. A killed worker is started again by Ray Train itself; after a killed driver comes `--resume`.
"""

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kills import children

SAME = (
    "step",
    "phase",
    "stage_step",
    "loss",
    "mean_loss",
    "heldout_loss",
    "gradient_norm",
    "learning_rate",
    "tokens_total",
)


def start(results: Path, name: str, words: list[str]) -> subprocess.Popen:
    environment = os.environ | {"HAMNER_RESULTS": str(results), "RAY_USAGE_STATS_ENABLED": "0"}
    environment.pop("RAY_ADDRESS", None)
    log = (results / f"{name}.log").open("a")
    return subprocess.Popen(
        [sys.executable, "-m", "curriculum.run", *words, "--name", name], env=environment, stdout=log, stderr=log
    )


def losses(folder: Path) -> list[list[str]]:
    with (folder / "metrics.csv").open() as file:
        return [[row[key] for key in SAME] for row in csv.DictReader(file)]


def stage_records(folder: Path) -> object:
    """Losses and skills at each stage's end."""
    return [json.loads((folder / name).read_text())["stages"] for name in ("stages.json", "skills.json")]


def one_kill(results: Path, number: int, fraction: float, target: str, duration: float, words: list[str]) -> dict:
    """duration: of an undisturbed run, from config.json on."""
    name = f"kill{number:02}"
    folder = results / "curriculum" / name
    process = start(results, name, words)
    while not (folder / "config.json").exists():
        time.sleep(0.02)
    time.sleep(fraction * duration)
    victim = "none: it had ended"
    if process.poll() is None:
        workers = children(process.pid, "RayTrainWorker") if target == "worker" else []
        victim = target if workers or target == "driver" else f"driver (no {target} yet)"
        os.kill(workers[0] if workers else process.pid, signal.SIGKILL)
    before = len(list((folder / "checkpoints").glob("step_*"))) if (folder / "checkpoints").is_dir() else 0
    process.wait(300)
    if process.returncode:
        time.sleep(1)
        process = start(results, name, [words[0], "--resume"])
        process.wait(300)
    lines = folder / "resume.jsonl"
    notes = [json.loads(line) for line in lines.read_text().splitlines()] if lines.is_file() else []
    stages = (folder / "stages.json").is_file() and json.loads((folder / "stages.json").read_text())["stages"]
    return {
        "victim": victim,
        "rc": process.returncode,
        "redone": max((note["steps_redone"] for note in notes), default=0),
        "from_zero": bool(before) and any(note["step_found"] == 0 for note in notes),
        "resumed_at": [note["step_found"] for note in notes],
        "stages": len(stages or []),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--after", type=float, default=0.0, help="only after this fraction of the duration ...")
    parser.add_argument("--before", type=float, default=1.0, help="... and before this one")
    parser.add_argument("--who", default="v3")
    parser.add_argument("--config", default="smoke")
    parser.add_argument("words", nargs="*", metavar="key=value")
    options = parser.parse_intermixed_args()
    words = [options.who, "--config", options.config, *options.words]
    rng, results, good = random.Random(options.seed), Path(tempfile.mkdtemp(prefix="curriculum_kills")), 0
    whole, began, first = results / "curriculum" / "whole", time.monotonic(), None
    process = start(results, "whole", words)
    while process.poll() is None:
        time.sleep(0.05)
        if first is None and (whole / "config.json").exists():
            first = time.monotonic()
    duration = time.monotonic() - first
    expected, settings = losses(whole), json.loads((whole / "config.json").read_text())["config"]["curriculum"]
    stages = len(stage_records(whole)[0])
    print(
        f"undisturbed: {time.monotonic() - began:.1f} s, {len(expected)} steps in {stages} stages, "
        f"a checkpoint every {settings['checkpoint_every']} steps",
        flush=True,
    )
    for number in range(options.kills):
        fraction, target = rng.uniform(options.after, options.before), ("driver", "worker")[number % 2]
        outcome = one_kill(results, number, fraction, target, duration, words)
        folder = results / "curriculum" / f"kill{number:02}"
        finished = outcome["rc"] == 0 and (folder / "final").is_dir()
        differ = sum(a != b for a, b in zip(losses(folder), expected, strict=False)) if finished else -1
        same = finished and losses(folder) == expected and stage_records(folder) == stage_records(whole)
        good += same and outcome["redone"] <= settings["checkpoint_every"] and not outcome["from_zero"]
        print(
            f"{number + 1:>2} {outcome['victim']:<24} at {fraction:4.0%}, resumed at step {outcome['resumed_at']}: "
            f"{'finished' if finished else 'NOT FINISHED'}, {differ} of {len(expected)} losses differ, "
            f"{'stages and skills identical' if same else 'DIFFERENT'}, at most {outcome['redone']} steps redone"
            f"{', FROM ZERO' if outcome['from_zero'] else ''}",
            flush=True,
        )
    print(f"{good} of {options.kills} identical and within {settings['checkpoint_every']} steps redone; {results}")


if __name__ == "__main__":
    main()
