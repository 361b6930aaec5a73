"""Power analysis of early stopping: how often the plateau rules err, on residuals of curves that were recorded.

    python tests/benchmarks/plateau_power.py record RESULTS [--data DIR]        # a long run that nothing stops
    python tests/benchmarks/plateau_power.py table RESULTS/curriculum/power     # the power table
    python tests/benchmarks/plateau_power.py rows RESULTS/curriculum/power      # how many held-out rows it needs

A recorded curve is split into a smooth trend (a cubic in log step, the first three windows of a stage left out) and
relative residuals. A simulated stage is loss · (1 - gain)^windows · (1 + residual), its residuals drawn in blocks of
three windows, as long as one look, so that what the weights wander within a look stays in. The rule is the default one
to the last number, window of 1,000 steps and all; model, batch and text are the miniature's.
"""

import argparse
import csv
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from curriculum.plateau import gain_per_window, make_stopper
from curriculum.train_loop import CurriculumRun
from hamner.config.schema import Plateau
from hamner.evaluation.heldout import evaluate_text, heldout_text
from hamner.evaluation.statistics import clustered_error, row_counts
from hamner.runs.files import read_json
from hamner.training import checkpoint

RULE, SIMULATIONS = Plateau(), 1000
WINDOW, EVERY = RULE.window_steps, RULE.evaluation_steps
STAGES = """
[[stages]]
name = "reasoning"
mix = {synthetic = 0.55, tinystories = 0.35, fineweb_edu = 0.10}
levels = [0.15, 0.15, 0.70]
learning_rate = 2.5e-4
[[stages]]
name = "knowledge"
mix = {synthetic = 0.20, tinystories = 0.20, fineweb_edu = 0.60}
levels = [0.15, 0.15, 0.70]
learning_rate = 2e-4
"""


def record(results: Path, data: str) -> None:
    """Two stages of twelve windows, a row a step."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write("name = 'power'\n" + STAGES)
        file.flush()
        never = 10**7
        words = [
            f"window_steps={WINDOW}",
            "evaluate_every=0",
            "done_gain=0.001",
            "go_on_gain=0.005",
            f"strikes={never}",
            f"min_steps={never}",
            f"max_steps={12 * WINDOW}",
            "warmup_steps=300",
            "max_epochs=100.0",
            "log_every=1",
            f"checkpoint_every={WINDOW}",
            f"keep_every={WINDOW}",
            f"sample_every={never}",
            "curriculum.eval_sequences=64",
            "worker_threads=1",
        ]
        subprocess.run(
            [
                sys.executable,
                "-m",
                "curriculum.run",
                "v3",
                "--config",
                "laptop",
                "--name",
                "power",
                "--data",
                data,
                "--curriculum",
                file.name,
                *words,
            ],
            check=True,
            env=os.environ | {"HAMNER_RESULTS": str(results)},
        )


def residuals(run: Path, column: str) -> dict[str, np.ndarray]:
    """Stage -> relative residuals of a column of metrics.csv around its trend."""
    with (run / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row[column]]
    residuals_of = {}
    for phase in dict.fromkeys(row["phase"] for row in rows):
        steps, losses = np.array([(int(r["stage_step"]), float(r[column])) for r in rows if r["phase"] == phase]).T
        late = steps > 3 * WINDOW
        trend = np.polynomial.Polynomial.fit(np.log(steps[late]), losses[late], 3)(np.log(steps[late]))
        residuals_of[phase] = losses[late] / trend - 1
    return residuals_of


def blocks(rng: np.random.Generator, pool: np.ndarray, count: int, length: int) -> np.ndarray:
    """`count` residuals, resampled in blocks (Künsch 1989)."""
    starts = rng.integers(0, len(pool) - length, size=count // length + 1)
    return np.concatenate([pool[start : start + length] for start in starts])[:count]


def end(rule: Plateau, gains: list[float], noise: np.ndarray, every: int) -> tuple[int | None, str]:
    """Step and reason of the end of one simulated stage; gains: of each window."""
    stopper = make_stopper(rule)
    add_loss = stopper.add_training_loss if rule.rule == "recorded" else stopper.add_heldout_loss
    level = np.cumsum(np.repeat(np.log1p(-np.asarray(gains)) * every / rule.window_steps, rule.window_steps // every))
    for number, loss in enumerate(3 * np.exp(level) * (1 + noise[: len(level)]), start=1):
        look = add_loss(number * every, float(loss))
        if reason := stopper.stop_reason(look):
            return number * every, reason
    return None, ""


def simulate(rule: Plateau, gains: list[float], pool: np.ndarray, every: int) -> list[tuple[int | None, str]]:
    rng, count = np.random.default_rng(0), len(gains) * rule.window_steps // every
    return [
        end(rule, gains, blocks(rng, pool, count, 3 * rule.window_steps // every), every) for _ in range(SIMULATIONS)
    ]


def false_stops(rule: Plateau, gain: float, pool: np.ndarray, every: int, windows: int) -> float:
    return np.mean([step is not None for step, _ in simulate(rule, [gain] * windows, pool, every)])


def looks_until_the_end(pool: np.ndarray, gain: float) -> tuple[float, float, str]:
    """Median and 90th percentile of the looks after a plateau began, wherever in a window it did; other reasons."""
    rng, looks, reasons = np.random.default_rng(1), [], []
    for _ in range(SIMULATIONS):
        begin = int(rng.integers(8 * WINDOW, 9 * WINDOW)) // EVERY * EVERY
        steps = np.arange(EVERY, 60 * WINDOW + 1, EVERY)
        level = 3 * np.exp(
            np.where(
                steps < begin, np.log1p(-0.02) * steps, np.log1p(-0.02) * begin + np.log1p(-gain) * (steps - begin)
            )
            / WINDOW
        )
        stopper, noise = make_stopper(RULE), blocks(rng, pool, len(steps), 3 * WINDOW // EVERY)
        for step, loss in zip(steps.tolist(), (level * (1 + noise)).tolist(), strict=True):
            if reason := stopper.stop_reason(stopper.add_heldout_loss(step, loss)):
                break
        looks.append(math.ceil((step - begin) / WINDOW) if reason else math.inf)
        reasons.append(reason)
    return float(np.median(looks)), float(np.quantile(looks, 0.9)), f"{np.mean([r == 'worse' for r in reasons]):.1%}"


def look_error(pool: np.ndarray, rule: Plateau) -> tuple[float, float]:
    """Of simulated looks at a flat curve: the spread of the gain, and the mean standard error a look claims. In %."""
    rng, per_window = np.random.default_rng(2), rule.window_steps // EVERY
    gains = [
        gain_per_window((3 * (1 + blocks(rng, pool, 3 * per_window, 3 * per_window))).tolist(), per_window)
        for _ in range(SIMULATIONS)
    ]
    return 100 * float(np.std([g for g, _ in gains])), 100 * float(np.mean([e for _, e in gains]))


def table(run: Path) -> None:
    heldout, training = residuals(run, "heldout_loss"), residuals(run, "loss")
    recorded = RULE.model_copy(update={"rule": "recorded"})
    for phase, pool in heldout.items():
        autocorrelation = np.corrcoef(pool[1:], pool[:-1])[0, 1]
        spread, claimed = look_error(pool, RULE)
        print(
            f"\n{phase}: {len(pool)} evaluations, scatter {100 * pool.std():.3f} %, autocorrelation "
            f"{autocorrelation:.2f}; a look at a flat curve: gain spreads by {spread:.3f} %, claimed standard error "
            f"{claimed:.3f} %; training loss scatters by {100 * training[phase].std():.1f} % a step"
        )
        print("confirmed: gain a window -> stages stopped by look 10, by look 50")
        for gain in (0.02, 0.01, 0.005, 0.0025, 0.001, 0.0, -0.005):
            shares = [false_stops(RULE, gain, pool, EVERY, windows) for windows in (10, 50)]
            print(f"  {100 * gain:5.2f} %: {shares[0]:7.1%} {shares[1]:7.1%}")
        for gain in (0.0, 0.001):
            median, late, worse = looks_until_the_end(pool, gain)
            print(
                f"looks after a plateau of gain {100 * gain:.1f} % began (2 % a window before): median {median:.0f}, "
                f"90 % within {late:.0f}; called worse in {worse}"
            )
        shares = [false_stops(recorded, 0.005, training[phase], 1, windows) for windows in (10, 20)]
        print(
            f"recorded, on this run's training losses, gain 0.5 % a window: stopped by look 10 {shares[0]:.1%}, by "
            f"look 20 {shares[1]:.1%}"
        )
    print("\nrecorded, full size, on the recorded runs' noise (independent from step to step): stopped by step 10,000")
    full, rng = Plateau(rule="recorded"), np.random.default_rng(3)
    for noise in (0.08, 0.13):
        for per_steps in (1000, 1500):
            gains = [1 - (1 - 0.005) ** (1000 / per_steps)] * 10
            stopped = np.mean(
                [end(full, gains, rng.normal(0, noise, 10_000), 1)[0] is not None for _ in range(SIMULATIONS // 2)]
            )
            print(f"  {noise:.0%} a step, gain 0.5 % every {per_steps:,} steps: {stopped:.1%}")


def rows(run: Path) -> None:
    """Error that the choice of held-out rows adds to a gain: two averaged models two windows apart, by document."""
    curriculum = CurriculumRun(run)
    session, settings = curriculum.session, curriculum.settings
    for record in read_json(run / "stages.json")["stages"]:
        stage = curriculum.stages[record["number"] - 1]
        last = int(record["checkpoint"].split("_")[1])
        pair = [last - 3 * WINDOW, last - WINDOW]
        variance, tokens_read, mean = 0.0, 0, 0.0
        for name, count in row_counts(stage.mix, settings.eval_sequences).items():
            text = heldout_text(session.corpus, session.tokenizer, name, settings.seq_len, count, stage.levels)
            nats = []
            for step in pair:
                averaged = checkpoint.load(run / "checkpoints" / checkpoint.step_name(step)).tensors("average")
                session.trainer.hamner.load_state_dict(averaged)
                result = evaluate_text(session.trainer.hamner, text, curriculum.config.compute, batch_size=8)
                nats.append(result.nats)
            gaps = [a - b for a, b in zip(*nats, strict=True)]
            variance += stage.mix[name] ** 2 * clustered_error(gaps, result.tokens) ** 2
            mean += stage.mix[name] * sum(nats[1]) / sum(result.tokens)
            tokens_read += sum(result.tokens)
        error = 100 * math.sqrt(variance) / mean / 2  # of the gain a window: two windows lie between
        print(
            f"{stage.name}: {tokens_read:,} held-out tokens: the choice of text adds {error:.3f} % to the gain of a "
            f"window; for 0.05 % it takes {tokens_read * (error / 0.05) ** 2:,.0f} tokens"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("record", "table", "rows"))
    parser.add_argument("place", type=Path, help="record: the results folder; else the recorded run's folder")
    parser.add_argument("--data", default="builtin", help="record: builtin, hub or a folder (default: builtin)")
    options = parser.parse_args()
    if options.what == "record":
        record(options.place.resolve(), options.data)
    else:
        {"table": table, "rows": rows}[options.what](options.place)


if __name__ == "__main__":
    main()
