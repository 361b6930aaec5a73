"""Wall-clock time of the league beside other ways to play the same rounds, and the time to its first training step.

    python tests/benchmarks/league.py [--steps 50 50 100] [--ways ours turn1 turn2 tuner] [--config laptop]

ours    `tournament`, as it comes: as many trials at a time as there are cores, one thread each
turn1   one process that trains the contestants one after the other, with one thread; turn2: with two
tuner   three plain Tuner runs, one a round, with nothing between them but a sort

Every way plays the same contestants, seeds, steps and held-out rows with the same training code, on data prepared
beforehand, and each is timed whole, from the command to the winner. `first`: our command again on an empty results
folder, data included, until its first training step.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hamner.config.load import load_config
from hamner.runs.cluster import worker_environment
from hamner.runs.folders import write_config

WAYS = ("ours", "turn1", "turn2", "tuner")


def prepared(results: Path, name: str, config: str, words: list[str]) -> Path:
    """A league's folder with its config and a copy of the data."""
    from hamner.data.preparation.for_run import prepare

    folder, settings = results / "tournament" / name, load_config(config, words, "tournament")
    write_config(folder, settings, {"kind": "tournament"})
    data = results / "data"
    if not data.is_dir():
        prepare(
            settings,
            data,
            list(dict.fromkeys([*settings.tournament.mix, *settings.tournament.report])),
            tokenizer=None,
            seq_len=settings.tournament.seq_len,
            hub_tokens=0,
            say=lambda line: None,
        )
    shutil.copytree(data, folder / "data")
    return folder


def play_a_round(folder: Path, name: str, index: int) -> float:
    """Train one contestant to a round's end; its held-out loss."""
    import torch

    from hamner.config.load import parse
    from hamner.config.schema import Config
    from hamner.runs.files import read_json
    from tournament.budget import budgets
    from tournament.entrants import entrants, flops_per_token
    from tournament.training import Training

    config = parse(Config, read_json(folder / "config.json")["config"], "config.json")
    torch.set_num_threads(config.compute.threads)
    contestants = entrants(config)
    budget = budgets(config, flops_per_token(config, contestants))[name]
    training = Training(
        config, folder, folder / name, contestants[name], 0, budget, config.tournament.learning_rate * config.lr_scale
    )
    while not training.advance(index):
        pass
    loss = training.result()["heldout_loss"]
    training.close()
    return loss


def all_rounds(folder: Path, losses_of) -> str:
    """losses_of(names, index) -> name: loss. Returns the winner."""
    from hamner.config.load import parse
    from hamner.config.schema import Config
    from hamner.runs.files import read_json
    from tournament.entrants import entrants

    config = parse(Config, read_json(folder / "config.json")["config"], "config.json")
    alive = list(entrants(config))
    for index, keep in enumerate(config.tournament.keep):
        losses = losses_of(alive, index)
        alive = sorted(alive, key=losses.get)[:keep]
    return alive[0]


def in_turn(folder: Path) -> str:
    return all_rounds(folder, lambda names, index: {name: play_a_round(folder, name, index) for name in names})


def plain_tuner(folder: Path) -> str:
    import ray
    from ray import tune

    from hamner.runs.cluster import ray_settings

    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    ray.init(**ray_settings(1))

    def losses_of(names: list[str], index: int) -> dict[str, float]:
        def trainable(row: dict) -> None:
            tune.report({"name": row["name"], "loss": play_a_round(folder, row["name"], index)})

        results = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            param_space={"name": tune.grid_search(names)},
            run_config=tune.RunConfig(storage_path=str(folder / "ray"), name=str(index), verbose=0),
        ).fit()
        return {one.metrics["name"]: one.metrics["loss"] for one in results}

    return all_rounds(folder, losses_of)


def run(way: str, results: Path, config: str, words: list[str]) -> tuple[float, str]:
    """Seconds of one way, and its winner."""
    threads = {"turn2": 2}.get(way, 1)
    folder = prepared(results, way, config, [*words, f"compute.threads={threads}"])
    environment = os.environ | worker_environment(threads) | {"HAMNER_RESULTS": str(results)}
    environment.pop("RAY_ADDRESS", None)
    command = ["-m", "tournament", "--resume", "--name", way]
    if way != "ours":
        command = [__file__, "--child", way, str(folder)]
    began = time.monotonic()
    process = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True)
    seconds = time.monotonic() - began
    if process.returncode:
        raise SystemExit(process.stdout[-2000:] + process.stderr[-2000:])
    if way == "ours":
        return seconds, json.loads((folder / "winner.json").read_text())["contestant"]
    return seconds, process.stdout.split()[-1]


def first_step(results: Path, config: str) -> float:
    """Seconds from the command to the first row of any run's metrics, on an empty results folder."""
    environment = os.environ | {"HAMNER_RESULTS": str(results)}
    environment.pop("RAY_ADDRESS", None)
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "tournament", "--config", config, "--name", "first"],
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        while process.poll() is None:
            for path in (results / "tournament" / "first").glob("v*/metrics.csv"):
                if path.read_text().count("\n") > 1:
                    return time.monotonic() - began
            time.sleep(0.05)
        raise SystemExit(f"the league ended with exit code {process.returncode}")
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="laptop")
    parser.add_argument("--steps", type=int, nargs=3, default=[50, 50, 100])
    parser.add_argument("--ways", nargs="*", default=WAYS, choices=WAYS)
    parser.add_argument("--divide", type=int, help="size.divide, for the size where threads begin to pay")
    parser.add_argument("--first", type=int, default=3, help="how often the first step is timed")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        way, folder = options.child
        print((plain_tuner if way == "tuner" else in_turn)(Path(folder)))
        return
    words = [f"steps={options.steps}", "seeds=1"] + ([f"size.divide={options.divide}"] if options.divide else [])
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {options.config}, rounds of {options.steps} steps"
        + (f", size / {options.divide}" if options.divide else "")
    )
    with tempfile.TemporaryDirectory() as folder:
        seconds = [first_step(Path(folder) / str(number), options.config) for number in range(options.first)]
        if seconds:
            print(f"first training step after {', '.join(f'{s:.1f}' for s in seconds)} s", flush=True)
        walls = {}
        for way in options.ways:
            walls[way], winner = run(way, Path(folder) / "leagues", options.config, words)
            ratio = f"; ours is {walls['ours'] / walls[way]:.2f} of it" if "ours" in walls and way != "ours" else ""
            print(f"{way}: {walls[way]:.1f} s, winner {winner}{ratio}", flush=True)


if __name__ == "__main__":
    main()
