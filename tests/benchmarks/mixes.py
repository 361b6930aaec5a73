"""Data mixture search (RegMix) checked: does the fit rank mixes it has not seen, and is the proposed mix better?

    python tests/benchmarks/mixes.py [--config laptop] [--data builtin|DIR] [--results DIR] [--mixes 16] [key=value ...]

Two leagues through the real command, on the same text and tokens: `mixes`, from which the fit is made, and `checks`, a
league file of six mixes that the fit has not seen, the proposed mix and the seed curriculum's total mix, these two with
three seeds each. Printed: predicted and real loss of the six, their rank correlation; proposed less total, paired by
seed, with its 95 % interval. Run again with the same --results it continues what is unfinished.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from curriculum.comparison import difference
from curriculum.stages import EIGHT_STAGES
from hamner.config.load import load_config
from hamner.runs.files import read_json
from tournament.mix_fit import fit_law, rank_correlation
from tournament.mix_league import mix_settings

TARGET = "sft=.4,personal=.4,synthetic=.2"
LEFT_OUT, SEEDS = 6, (0, 1, 2)


def total_mix() -> dict[str, float]:
    """The seed curriculum's mix over all its stages, each as long as the others."""
    names = dict.fromkeys(name for stage in EIGHT_STAGES for name in stage.mix)
    return {name: statistics.mean(stage.mix.get(name, 0.0) for stage in EIGHT_STAGES) for name in names}


def play(results: Path, name: str, words: list[str]) -> float:
    """Play a league, or continue it; seconds it took."""
    began = time.monotonic()
    if (results / "tournament" / name / "config.json").is_file():
        words = ["--resume"]
    command = [sys.executable, "-m", "tournament", "--results", str(results), "--name", name, *words]
    subprocess.run(command, check=True)
    return time.monotonic() - began


def league_file(path: Path, rows: list[dict]) -> str:
    """Write rows as a league file."""
    text = ""
    for row in rows:
        mix = ", ".join(f"{name} = {share}" for name, share in row["mix"].items())
        seeds = f"seeds = {list(row['seeds'])}\n" if "seeds" in row else ""
        text += f'[[contestant]]\nname = "{row["name"]}"\nbase = "{row["base"]}"\nmix = {{{mix}}}\n{seeds}\n'
    path.write_text(text, encoding="utf-8")
    return str(path)


def runs_of(results: Path, league: str) -> dict[str, list[float]]:
    """Target loss of each run of a league of one round, by contestant, in the order of its seeds."""
    rows = read_json(results / "tournament" / league / "standings.json")["rounds"][0]["standings"]
    return {row["contestant"]: [run["heldout_loss"] for run in row["runs"]] for row in rows}


def report(results: Path, proposal: dict, rows: list[dict]) -> None:
    document = read_json(results / "tournament" / "mixes" / "mixes.json")
    mixes = document["mixes"]
    law = fit_law([row["mix"] for row in mixes], [row["losses"] for row in mixes])
    real = runs_of(results, "checks")
    left_out = [row for row in rows if row["name"].startswith("left_out")]
    print(f"within the {len(mixes)} mixes, each left out in turn: rank correlation {document['rank_correlation']:.2f}")
    predicted = [law.target_loss(row["mix"], document["target"]) for row in left_out]
    inside = 0
    for row, prediction in zip(left_out, predicted, strict=True):
        loss = real[row["name"]][0]
        inside += abs(loss - prediction.loss) <= prediction.interval
        shares = ", ".join(f"{name} {share:.0%}" for name, share in row["mix"].items())
        print(f"{row['name']}: predicted {prediction.loss:.4f} ± {prediction.interval:.4f}, real {loss:.4f}; {shares}")
    correlation = rank_correlation([p.loss for p in predicted], [real[row["name"]][0] for row in left_out])
    print(f"{LEFT_OUT} left-out mixes: rank correlation {correlation:.2f}, {inside} of {LEFT_OUT} within the interval")
    for name in ("proposed", "seed_total"):
        print(f"{name}: {', '.join(f'{loss:.4f}' for loss in real[name])}, mean {statistics.mean(real[name]):.4f}")
    print(f"proposed, predicted: {proposal['loss']:.4f} ± {proposal['interval']:.4f}")
    print(f"best of the mixes tried: {mixes[0]['contestant']}, {mixes[0]['loss']:.4f}")
    gap = difference(real["proposed"], real["seed_total"])
    print(f"proposed - seed_total: {gap.mean:+.4f} ± {gap.interval:.4f} (95 %, {len(SEEDS)} seeds)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="laptop")
    parser.add_argument("--data", default="builtin")
    parser.add_argument("--results", type=Path, default=Path("/tmp/hamner_mixes"))
    parser.add_argument("--mixes", type=int, default=16)
    parser.add_argument("--model", default="v3")
    parser.add_argument("settings", nargs="*")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    common = ["--config", options.config, "--data", options.data, *options.settings]
    first = play(
        options.results, "mixes", [*common, "--mixes", str(options.mixes), "--target", TARGET, "--model", options.model]
    )
    print(f"the league of {options.mixes} mixes: {first / 60:.1f} minutes")
    proposal = read_json(options.results / "tournament" / "mixes" / "mixes.json")["proposal"]
    config = load_config(options.config, [f"data.path={options.data}", *options.settings, "seed=1000"], "tournament")
    other = mix_settings(config, options.mixes, TARGET, options.model)  # of another draw
    rows = [row | {"name": f"left_out{n}"} for n, row in enumerate(other["league"][:LEFT_OUT], start=1)]
    base = {"base": options.model, "seeds": SEEDS}
    rows += [base | {"name": "proposed", "mix": proposal["mix"]}, base | {"name": "seed_total", "mix": total_mix()}]
    words = [f"steps={other['steps']}", "keep=[1]", "report=[]", "lr=shared", "seeds=1", "contested=cut"]
    mix = "mix={" + TARGET.replace("=.", "=0.") + "}"
    file = league_file(options.results / "checks.toml", rows)
    second = play(options.results, "checks", [*common, "--league", file, mix, *words])
    report(options.results, proposal, rows)
    print(f"both leagues: {(first + second) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
