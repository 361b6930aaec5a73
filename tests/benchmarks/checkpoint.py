"""What checkpoints cost: seconds that training waits, written beside it and in line, as a share at the usual interval.

    python tests/benchmarks/checkpoint.py [--rounds 5] [--threads 2]

Beside it: the step just after a checkpoint is asked for may be slower, since both share the cores; that is counted.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from peers import SHAPES, Shape
from timing import like_a_worker, machine, show

from hamner.config.load import load_config
from hamner.config.schema import Compute, ModelConfig, Optimizer
from hamner.data.mixer import Mixer
from hamner.data.text_rows import TextRows
from hamner.data.tokenizer import Tokenizer
from hamner.model.transformer import build
from hamner.training import checkpoint
from hamner.training.checkpoint_writer import CheckpointWriter
from hamner.training.trainer import Trainer

LAPTOP = Shape(2048, 128, 4, 4, 2, 384, 8, 128)
#        name     shape          steps between checkpoints, steps measured on each side
CASES = [
    ("laptop", LAPTOP, load_config("laptop").tournament.checkpoint_every, 50),
    ("tiny", SHAPES["tiny"], load_config("rtx3090").tournament.checkpoint_every, 10),
    ("V3", SHAPES["v3"], load_config("rtx3090").tournament.checkpoint_every, 4),
]


def trainer(shape: Shape) -> Trainer:
    model = ModelConfig(
        vocab_size=shape.vocab,
        hidden_size=shape.hidden,
        num_layers=shape.layers,
        num_heads=shape.heads,
        num_kv_heads=shape.kv_heads,
        intermediate_size=shape.intermediate,
    )
    text = torch.randint(0, shape.vocab, (50 * shape.time,), generator=torch.Generator().manual_seed(0)).numpy()
    mixer = Mixer({"sft": TextRows(text, shape.time, "sft", 0)}, shape.batch)
    mixer.start_stage({"sft": 1.0})
    made = Trainer(build(model, 0), mixer, Optimizer(), Compute(device="cpu", precision="bf16"))
    made.begin(1e-4, 0)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    like_a_worker(options.threads)
    table, tokenizer = [], Tokenizer.train(["hello"], 280)
    for name, shape, interval, steps in CASES:
        made, writer = trainer(shape), CheckpointWriter()
        times: dict[str, list[float]] = {"none": [], "beside": [], "in line": []}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "step_000000001"
            for number in range(options.rounds + 1):
                for kind, found in times.items():
                    began = time.perf_counter()
                    what = (path, made.tensors(), made.state(), made.hamner.config, tokenizer)
                    if kind == "beside":
                        writer.write(*what)
                    elif kind == "in line":
                        checkpoint.save(*what)
                    for _ in range(steps):
                        made.step()
                    seconds = time.perf_counter() - began
                    writer.wait()
                    if number:
                        found.append(seconds)
            size = sum(file.stat().st_size for file in path.iterdir()) / 2**20
        plain = statistics.median(times["none"])
        extra = {
            kind: statistics.median(b - a for a, b in zip(times["none"], times[kind], strict=True))
            for kind in ("beside", "in line")
        }
        table.append(
            [
                name,
                f"{size:.0f}",
                f"{1e3 * plain / steps:.0f}",
                f"{interval}",
                *(f"{1e3 * extra[kind]:.0f}" for kind in extra),
                *(f"{100 * extra[kind] / (plain / steps * interval):.2f} %" for kind in extra),
            ]
        )
    print(machine(options.rounds))
    show(
        "what a checkpoint adds to the steps around it",
        ["", "MiB", "step ms", "interval", "beside ms", "in line ms", "beside, share", "in line, share"],
        table,
    )


if __name__ == "__main__":
    main()
