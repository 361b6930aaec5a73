"""Tokens per second of one training step: ours beside the peers, on one machine, in one run.

    python tests/benchmarks/step.py tiny|v3 [--rounds 8] [--only NAME ...] [--threads 2]
    python tests/benchmarks/step.py memory       peak memory of V3 steps of 8 × 1024 tokens

Each contender is a process of its own. They take turns, a step each, while the others sleep; medians are compared.
A peer stands there twice: as shipped, and with the allocator setting that our workers get ("+malloc"). They run in
groups that fit into memory, each beside ours.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from peers import PEERS, SHAPES, VARIANTS, contender
from rich.console import Console
from rich.table import Table

from hamner.runs.cluster import worker_environment

MALLOC = {key: value for key, value in worker_environment(1).items() if key.startswith("MALLOC")}


def child(name: str, shape: str) -> None:
    """Answers each line on stdin with one step's seconds and the process's peak memory."""
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    replies, sys.stdout = sys.stdout, sys.stderr  # libraries that print must not disturb
    bare = _peak()
    step = contender(name, SHAPES[shape])
    for _ in sys.stdin:
        began = time.perf_counter()
        step()
        seconds = time.perf_counter() - began
        print(json.dumps({"seconds": seconds, "peak": _peak(), "bare": bare}), file=replies, flush=True)


def _peak() -> float:
    """GiB of memory that this process has held at most."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 2**20
    return 0.0


def matmul_peak(threads: int, dtype: str) -> float:
    """Floating-point operations a second of matrix products here, in float32 or bfloat16: the best of several shapes
    and tries.
    """
    code = (
        "import torch, time, sys; torch.set_num_threads(int(sys.argv[1])); best = 0\n"
        "dtype = getattr(torch, sys.argv[2])\n"
        "for m, k, n in ((2048, 2048, 2048), (4096, 1024, 4096), (1024, 512, 4096), (4096, 4096, 1024)):\n"
        "    a, b = torch.randn(m, k, dtype=dtype), torch.randn(k, n, dtype=dtype); out = a @ b\n"
        "    for _ in range(12):\n"
        "        t = time.perf_counter(); torch.mm(a, b, out=out)\n"
        "        best = max(best, 2 * m * k * n / (time.perf_counter() - t))\n"
        "print(best)"
    )
    return float(
        subprocess.run(
            [sys.executable, "-c", code, str(threads), dtype],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | MALLOC | {"OMP_NUM_THREADS": str(threads)},
        ).stdout
    )


class Contender:
    def __init__(self, name: str, shape: str, threads: int) -> None:
        self.name = name
        malloc = MALLOC if name.endswith("+malloc") or name.startswith("ours") else {}
        environment = (
            os.environ
            | malloc
            | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
        )
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--child", name.removesuffix("+malloc"), "--shape", shape],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None,
            text=True,
        )
        self.seconds: list[float] = []
        began = time.perf_counter()
        self.last = self.step()
        self.first_step = time.perf_counter() - began

    def step(self) -> dict[str, float]:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with exit code {self._process.wait()}")
        self.last = json.loads(line)
        return self.last

    def end(self) -> None:
        self._process.kill()


def compare(shape: str, names: list[str], rounds: int, threads: int, at_a_time: int) -> None:
    """names: the first is measured again beside every group of the others."""
    size, (mine, *others) = SHAPES[shape], names
    print(f"{shape}: {size}; {size.flops / 1e9:,.1f} GFLOP a step")
    dtype = "float32" if "fp32" in mine else "bfloat16"  # which a processor without it emulates, for minutes
    peak = max(matmul_peak(threads, dtype) for _ in range(2))
    table = Table(
        title=f"{shape}, {threads} threads, n = {rounds}; {dtype} matrix peak {peak / 1e9:.0f} GFLOP/s",
        title_justify="left",
    )
    for heading in ("contender", "tokens/s", "best", "share of peak", "best", f"{mine} is ×", "best ×", "first step s"):
        table.add_column(heading, justify="left" if heading == "contender" else "right")
    for start in range(0, max(1, len(others)), at_a_time - 1):
        field = take_turns(shape, [mine, *others[start : start + at_a_time - 1]], rounds, threads)
        for one in field:
            middle, best = statistics.median(one.seconds), min(one.seconds)
            table.add_row(
                one.name,
                *(f"{size.batch * size.time / s:,.0f}" for s in (middle, best)),
                *(f"{100 * size.flops / s / peak:.1f} %" for s in (middle, best)),
                f"{middle / statistics.median(field[0].seconds):.2f}",
                f"{best / min(field[0].seconds):.2f}",
                f"{one.first_step:.0f}",
                end_section=one is field[-1],
            )
        Console(width=120).print(table)


def take_turns(shape: str, names: list[str], rounds: int, threads: int) -> list[Contender]:
    field = []
    for name in names:
        field.append(Contender(name, shape, threads))
        print(f"  {name}: first step after {field[-1].first_step:.1f} s", flush=True)
    for index in range(rounds + 2):
        for one in field[index % len(field) :] + field[: index % len(field)]:
            seconds = one.step()["seconds"]
            if index >= 2:
                one.seconds.append(seconds)
    for one in field:
        one.end()
    return field


def memory(names: list[str], threads: int) -> None:
    for name in names:
        one = Contender(name, "v3x8", threads)
        one.step()
        print(f"{name}: peak {one.last['peak'] - one.last['bare']:.2f} GiB above the bare process", flush=True)
        one.end()


def _versions() -> str:
    told = []
    for package in ("torch", "transformers", "litgpt", "accelerate"):
        try:
            told.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            told.append(f"no {package}")
    told += [f"Python {platform.python_version()}", f"{os.cpu_count()} cores", f"load {os.getloadavg()[0]:.1f}"]
    return ", ".join(told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("tiny", "v3", "memory"))
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--at-a-time", type=int, default=5, help="processes that are held in memory")
    parser.add_argument("--only", nargs="+", help="these contenders, the first of them against the others")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--shape", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return child(options.child, options.shape)
    print(_versions())
    if options.what == "memory":
        names = ["ours", "ours-eager", "hf llama:eager-ac", "hf llama:eager-fp32"]
        return memory(options.only or names, options.threads)
    peers = [
        f"{peer}:{variant}"
        for peer in PEERS
        for variant in VARIANTS
        if not (peer in ("hf trainer", "hf gpt2", "hf nanochat") and variant == "eager-fp32")
    ]
    names = options.only or ["ours", *peers, *(f"{name}+malloc" for name in peers)]
    compare(options.what, names, options.rounds, options.threads, options.at_a_time)


if __name__ == "__main__":
    main()
