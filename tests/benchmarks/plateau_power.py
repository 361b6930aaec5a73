"""Power analysis of early stopping: how often the plateau rules err, on noise as large as that of recorded curves.

    python tests/benchmarks/plateau_power.py table [RESULTS/curriculum/power]   # the power table
    python tests/benchmarks/plateau_power.py looks                              # how often one look errs
    python tests/benchmarks/plateau_power.py record RESULTS [--data DIR]        # a long run that nothing stops
    python tests/benchmarks/plateau_power.py rows RESULTS/curriculum/power      # how many held-out rows it needs

The residuals of a recorded curve around a smooth trend (a cubic in log step, the first three windows of a stage left
out) give two numbers: their scatter, and the autocorrelation of neighbours. A simulated stage is
loss · (1 - gain)^windows · (1 + residual), the residuals an AR(1) process of these two numbers, new for each stage, and
1, 1.5 and 3 times as large. (Blocks of a recorded curve would repeat: twelve windows hold three independent looks.)
Without a run the numbers of the recorded one are taken. The rule is the default one to the last number.
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

from curriculum.evidence import gain_per_window
from curriculum.plateau import make_stopper
from curriculum.train_loop import CurriculumRun
from hamner.config.schema import Plateau
from hamner.evaluation.heldout import evaluate_text, heldout_text
from hamner.evaluation.statistics import clustered_error, row_counts
from hamner.runs.files import read_json
from hamner.training import checkpoint

RULE, SIMULATIONS = Plateau(), 500
LOOKS = 50  # of a simulated stage
# Scatter of an evaluation and autocorrelation of neighbours, of the recorded run: results/reference/curriculum.md
RECORDED = {"reasoning": (0.00311, 0.88), "knowledge": (0.00251, 0.92)}
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
        never = 10**6
        words = [
            f"window_steps={WINDOW}",
            "evaluate_every=0",
            "done_gain=0.001",
            "go_on_gain=0.005",
            f"strikes={never}",
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


def autocorrelated(rng: np.random.Generator, count: int, scatter: float, r: float) -> np.ndarray:
    """AR(1) residuals."""
    noise = rng.normal(0, scatter, count)
    for i in range(1, count):
        noise[i] = r * noise[i - 1] + math.sqrt(1 - r * r) * noise[i]
    return noise


def end(rule: Plateau, losses: np.ndarray, every: int) -> tuple[int | None, str, bool]:
    """Step and reason of the end of one simulated stage, and whether it was said to be too noisy before."""
    stopper, is_noisy = make_stopper(rule), False
    add_loss = stopper.add_training_loss if rule.rule == "recorded" else stopper.add_heldout_loss
    for number, loss in enumerate(losses.tolist(), start=1):
        look = add_loss(number * every, loss)
        is_noisy |= look is not None and look.is_too_noisy
        if reason := stopper.stop_reason(look):
            return number * every, reason, is_noisy
    return None, "", is_noisy


def looks_of_ends(gain: float, scatter: float, r: float) -> list[tuple[float, str, bool]]:
    """Look, reason and noisiness of the ends of simulated stages; an infinite look where there is none."""
    rng, ends = np.random.default_rng(0), []
    steps = np.arange(EVERY, (LOOKS + RULE.windows - 1) * WINDOW + 1, EVERY)
    for _ in range(SIMULATIONS):
        curve = 3 * (1 - gain) ** (steps / WINDOW) * (1 + autocorrelated(rng, len(steps), scatter, r))
        step, reason, is_noisy = end(RULE, curve, EVERY)
        ends.append((math.inf if step is None else math.ceil(step / WINDOW) - RULE.windows + 1, reason, is_noisy))
    return ends


def table(run: Path | None) -> None:
    """Stages stopped by look 10 and by look 50, for each gain and noise."""
    noises = RECORDED
    if run:
        noises = {
            name: (pool.std(), np.corrcoef(pool[1:], pool[:-1])[0, 1])
            for name, pool in residuals(run, "heldout_loss").items()
        }
    for name, (scatter, r) in noises.items():
        for times in (1, 1.5, 2, 3):
            print(f"\n{name}: scatter {100 * times * scatter:.3f} % ({times:g} times), autocorrelation {r:.2f}")
            for gain in (0.02, 0.01, 0.005, 0.0025, 0.001, 0.0, -0.005):
                ends = looks_of_ends(gain, times * scatter, r)
                looks = np.array([look for look, _, _ in ends])
                print(
                    f"  {100 * gain:5.2f} % a window: stopped by look 10 {np.mean(looks <= 10):6.1%}, by look {LOOKS} "
                    f"{np.mean(looks <= LOOKS):6.1%}, as worse {np.mean([why == 'worse' for _, why, _ in ends]):6.1%}; "
                    f"median look {np.median(looks):.0f}, 9 of 10 by {np.quantile(looks, 0.9, method='higher'):.0f}; "
                    f"said to be too noisy {np.mean([is_noisy for _, _, is_noisy in ends]):.0%}",
                    flush=True,
                )
    print("\nrecorded, full size, on the recorded runs' noise (independent from step to step): stopped by step 10,000")
    full, rng, steps = Plateau(rule="recorded"), np.random.default_rng(3), np.arange(1, 10_001)
    for noise in (0.08, 0.13):
        for per_steps in (1000, 1500):
            curves = (3 * 0.995 ** (steps / per_steps) * (1 + rng.normal(0, noise, 10_000)) for _ in range(200))
            stopped = np.mean([end(full, curve, 1)[0] is not None for curve in curves])
            print(f"  {noise:.0%} a step, gain 0.5 % every {per_steps:,} steps: {stopped:.1%}")


def looks() -> None:
    """How often one look says falsely, at its 5 %, that a gain lies below what it truly is."""
    for n in (12, 36, 60):
        for r in (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.99):
            rng, wrong = np.random.default_rng(1), 0
            for _ in range(3 * SIMULATIONS):
                losses = 3 * (1 - 0.005 * np.arange(n) / (n // 3)) * (1 + autocorrelated(rng, n, 0.003, r))
                wrong += gain_per_window(losses.tolist(), n // 3).doubt_below(0.015 / losses.mean()) < 0.05
            print(f"{n} evaluations, autocorrelation {r:.2f}: {wrong / (3 * SIMULATIONS):.1%}", flush=True)


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
    parser.add_argument("what", choices=("record", "table", "looks", "rows"))
    parser.add_argument(
        "place", type=Path, nargs="?", help="record: the results folder; else the recorded run's folder"
    )
    parser.add_argument("--data", default="builtin", help="record: builtin, hub or a folder (default: builtin)")
    options = parser.parse_args()
    if options.what == "looks":
        looks()
    elif options.what == "table":
        table(options.place)
    elif options.place is None:
        parser.error(f"{options.what} needs a folder")
    elif options.what == "record":
        record(options.place.resolve(), options.data)
    else:
        rows(options.place)


if __name__ == "__main__":
    main()
