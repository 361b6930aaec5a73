"""False positives and power of the verdict (significance) in real leagues whose right answer is known.

python tests/benchmarks/leagues.py same [--leagues 30]     ten identical contestants (smoke, two seeds each)
python tests/benchmarks/leagues.py slow [--leagues 20]     one of two learns at 1/30 of the rate (laptop)
python tests/benchmarks/leagues.py power                   five of ten learn at a lower rate (smoke)
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from scipy import stats

from hamner.config.load import load_config
from hamner.runs.folders import write_config

FIXED = ["lr=shared", "contested=cut", "seeds=2", "evaluations_per_round=1", "report=[]"]


def play(results: Path, name: str, config: str, words: list[str], rows: list[dict]) -> dict:
    """A league of these rows through the real command; its standings. Text is prepared once and shared."""
    folder = results / "tournament" / name
    write_config(folder, load_config(config, [*FIXED, *words], "tournament", {"league": rows}), {"kind": "tournament"})
    data = results / f"data-{config}"
    if data.is_dir():
        (folder / "data").symlink_to(data)
    environment = os.environ | {"HAMNER_RESULTS": str(results), "RAY_USAGE_STATS_ENABLED": "0"}
    environment.pop("RAY_ADDRESS", None)
    process = subprocess.run(
        [sys.executable, "-m", "tournament", "--resume", "--name", name],
        env=environment,
        capture_output=True,
        text=True,
    )
    if process.returncode:
        raise SystemExit(process.stdout + process.stderr)
    if not data.is_dir():
        (folder / "data").rename(data)
    return json.loads((folder / "standings.json").read_text())


def same(results: Path, leagues: int) -> None:
    base, clean, rounds, winners = "v01_dense_small", 0, 0, [0] * 10
    for number in range(leagues):
        rows = [
            {"name": f"c{i}", "base": base, "seeds": [20 * number + 2 * i + 1, 20 * number + 2 * i + 2]}
            for i in range(10)
        ]
        league = play(results, f"same{number:02}", "smoke", [], rows)
        verdicts = [
            [row["verdict"] for row in p["standings"] if row["status"] == "eliminated"] for p in league["rounds"]
        ]
        clean += sum("settled" not in cuts for cuts in verdicts)
        rounds += len(verdicts)
        winners[int(league["winner"][1:])] += 1
        print(
            f"{number + 1:>2}: seed_sd {[round(p['seed_sd'], 4) for p in league['rounds']]}, cuts called settled "
            f"{[cuts.count('settled') for cuts in verdicts]}; so far no cut settled in {clean} of {rounds} rounds "
            f"({100 * clean / rounds:.1f} %)",
            flush=True,
        )
    p = stats.chisquare(winners).pvalue
    print(f"winners {winners}, χ² p = {p:.2f} (over so few it sees only a heavy favourite)")


def slow(results: Path, leagues: int) -> None:
    rate, cut, settled = load_config("laptop").tournament.learning_rate, 0, 0
    for number in range(leagues):
        seeds = [2 * number + 1, 2 * number + 2]
        rows = [
            {"name": "plain", "base": "v01_dense_small", "seeds": seeds},
            {"name": "slow", "base": "v01_dense_small", "learning_rate": rate / 30, "seeds": seeds},
        ]
        league = play(results, f"slow{number:02}", "laptop", ["steps=[100]", "keep=[1]"], rows)
        row = next(row for row in league["rounds"][0]["standings"] if row["contestant"] == "slow")
        cut += row["status"] == "eliminated"
        settled += row["verdict"] == "settled"
        print(
            f"{number + 1:>2}: slow is {row['status']}, {row['difference']:+.3f} ± {row['standard_error']:.4f} to "
            f"the last that is kept (seed_sd {row['seed_sd']:.4f}): {row['verdict']}; so far cut {cut}, "
            f"settled {settled} of {number + 1}",
            flush=True,
        )


def power(results: Path, leagues: int) -> None:
    config = load_config("smoke")
    for number, part in enumerate((0.8, 0.6, 0.45, 0.3)):
        rate = config.tournament.learning_rate
        first = 900 + 20 * number
        rows = [
            {"name": f"c{i}", "base": "v01_dense_small", "seeds": [first + 2 * i, first + 2 * i + 1]}
            | ({"learning_rate": part * rate} if i >= 5 else {})
            for i in range(10)
        ]
        first_round = play(results, f"power{number}", "smoke", ["steps=[60, 1]", "keep=[5, 1]"], rows)["rounds"][0]
        loss = {row["contestant"]: row["heldout_loss"] for row in first_round["standings"]}
        gap = sum(loss[f"c{i}"] for i in range(5, 10)) / 5 - sum(loss[f"c{i}"] for i in range(5)) / 5
        cuts = [row for row in first_round["standings"] if row["status"] == "eliminated"]
        print(
            f"five of ten at {part} of the rate: worse by {gap:.3f} nats = {gap / first_round['seed_sd']:.1f} seed_sd "
            f"({first_round['seed_sd']:.4f}, {first_round['seed_df']} df); cut "
            f"{sum(r['contestant'] > 'c4' for r in cuts)} of 5, called settled "
            f"{sum(r['verdict'] == 'settled' for r in cuts)}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("which", choices=("same", "slow", "power"))
    parser.add_argument("--leagues", type=int, default=0)
    options = parser.parse_args()
    results = Path(tempfile.mkdtemp(prefix=options.which))
    default = {"same": 30, "slow": 20, "power": 4}[options.which]
    {"same": same, "slow": slow, "power": power}[options.which](results, options.leagues or default)


if __name__ == "__main__":
    main()
