"""Does the fast path train as well? Held-out loss after 2,000 steps on real text, by seed, beside that of fp32.

    python tests/benchmarks/precision.py --data DIR [--steps 2000] [--seeds 3] [--at-a-time 2]
    python tests/benchmarks/precision.py --data DIR --beside fp16_accumulation

Beside compiled bf16, or fp16, or fp16 whose products are summed in fp16, which a processor imitates at a tenth of the
speed (kernels/fp16_product.py). The laptop's first contestant, its batches and rate. The same seed has the same weights
and the same batches in both precisions. The difference is to be judged against the standard deviation between seeds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hamner.runs.cluster import worker_environment

LOOKS = 8
BESIDE = ("bf16", "fp16", "fp16_accumulation")


def child(folder: Path, precision: str, seed: int, steps: int) -> None:
    """Trains one run and prints its held-out losses."""
    import torch

    from hamner.config.load import load_config
    from hamner.config.presets import CONTESTANTS, shrink
    from hamner.config.schema import Compute, Optimizer
    from hamner.data.corpus import Corpus
    from hamner.data.mixer import Mixer
    from hamner.data.text_rows import training_rows
    from hamner.data.tokenizer import Tokenizer
    from hamner.evaluation.heldout import evaluate_rows, heldout_rows
    from hamner.model.kernels import dispatch
    from hamner.model.transformer import build
    from hamner.training.trainer import Trainer

    torch.set_num_threads(1)
    config, tokenizer = load_config("laptop"), Tokenizer.load(folder)
    corpus, league = Corpus(folder, tokenizer.sha256), config.tournament
    mixer = Mixer(training_rows(corpus, tokenizer, ["fineweb_edu"], league.seq_len, seed), league.batch_size)
    mixer.start_stage({"fineweb_edu": 1.0})
    compute = Compute(device="cpu", precision=precision.removesuffix("_accumulation"))  # type: ignore[arg-type]
    trainer = Trainer(
        build(shrink(CONTESTANTS["v01_dense_small"], config.size), seed),
        mixer,
        Optimizer(),
        compute,
        compiled=precision == "bf16",
    )
    trainer.begin(league.learning_rate * config.lr_scale, league.warmup_steps)
    rows, losses = heldout_rows(corpus, tokenizer, "fineweb_edu", league.seq_len, 256), []
    for step in range(1, steps + 1):
        with dispatch.force(fp16_accumulation=precision == "fp16_accumulation"):
            trainer.step()
        if step % (steps // LOOKS) == 0:
            losses.append(evaluate_rows(trainer.hamner, rows, compute, batch_size=32).loss)
    trainer.hamner.dtype = torch.float32  # the last weights once more, both read in fp32
    print(json.dumps([*losses, evaluate_rows(trainer.hamner, rows, compute, batch_size=32).loss]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--at-a-time", type=int, default=2)
    parser.add_argument("--beside", choices=BESIDE, default="bf16")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        folder, precision, seed = options.child
        return child(Path(folder), precision, int(seed), options.steps)

    from hamner.config.load import load_config
    from hamner.data.preparation.for_run import prepare

    with tempfile.TemporaryDirectory() as folder:
        config = load_config("laptop", [f"data.path={Path(options.data).expanduser().resolve()}"], "tournament")
        prepare(config, Path(folder), ["fineweb_edu"], tokenizer=None, seq_len=config.tournament.seq_len, hub_tokens=0)

        def run(job: tuple[str, int]) -> list[float]:
            command = [
                sys.executable,
                __file__,
                "--data",
                options.data,
                "--steps",
                str(options.steps),
                "--child",
                folder,
                job[0],
                str(job[1]),
            ]
            done = subprocess.run(command, env=os.environ | worker_environment(1), capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stderr)
            print(*job, [round(loss, 4) for loss in json.loads(done.stdout)], flush=True)
            return json.loads(done.stdout)

        jobs = [(precision, seed) for seed in range(options.seeds) for precision in ("fp32", options.beside)]
        with ThreadPoolExecutor(options.at_a_time) as pool:
            losses = dict(zip(jobs, pool.map(run, jobs), strict=True))
    for place, name in ((LOOKS - 1, "in its own precision"), (LOOKS, "read in fp32")):
        fp32, other = (
            [losses[kind, seed][place] for seed in range(options.seeds)] for kind in ("fp32", options.beside)
        )
        gaps = [b - a for a, b in zip(fp32, other, strict=True)]
        print(
            f"held-out loss {name}: fp32 {statistics.mean(fp32):.4f} (sd of seeds {statistics.stdev(fp32):.4f}), "
            f"{options.beside} {statistics.mean(other):.4f} (sd {statistics.stdev(other):.4f}), less fp32 of the same "
            f"seed {statistics.mean(gaps):+.4f} ± {statistics.stdev(gaps) / len(gaps) ** 0.5:.4f} (standard error)"
        )


if __name__ == "__main__":
    main()
