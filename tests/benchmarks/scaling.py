"""How a step's cost grows: with sequence length, batch, parameters, and over data-parallel workers.

    python tests/benchmarks/scaling.py [--rounds 5] [--threads 2] [--what time batch parameters workers]

Our trainer in bf16, compiled, around the tiny shape. Of each row: tokens a second, share of the bf16 matrix peak, and
how much of the best row's speed per operation it keeps. Workers: processes under gloo that share the same cores.
"""

import argparse
import dataclasses
import os
import statistics
import time

import torch
from peers import SHAPES, Shape, ours
from timing import like_a_worker, machine, show

from hamner.training.throughput import matrix_peak

TINY = SHAPES["tiny"]
WHAT = {
    "time": [
        dataclasses.replace(TINY, batch=4096 // length, time=length) for length in (64, 128, 256, 512, 1024, 2048)
    ],
    "batch": [dataclasses.replace(TINY, batch=batch) for batch in (1, 2, 4, 8, 16, 32)],
    "parameters": [
        dataclasses.replace(TINY, hidden=hidden, intermediate=8 * hidden // 3, batch=8)
        for hidden in (64, 128, 256, 512, 768)
    ],
}


def median_step(shape: Shape, rounds: int) -> float:
    step, times = ours(shape), []
    for number in range(rounds + 2):
        began = time.perf_counter()
        step()
        if number >= 2:
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def _worker(rank: int, world: int, threads: int, rounds: int, port: int, queue) -> None:
    torch.set_num_threads(threads)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if world > 1:
        torch.distributed.init_process_group("gloo", rank=rank, world_size=world)
    seconds = median_step(dataclasses.replace(TINY, batch=TINY.batch // world), rounds)
    if rank == 0:
        queue.put(seconds)


def workers(world: int, threads: int, rounds: int) -> float:
    """Seconds of a step of the whole batch, shared by `world` processes."""
    context = torch.multiprocessing.get_context("spawn")
    queue, port = context.Queue(), 29_500 + os.getpid() % 400 + world
    started = [
        context.Process(target=_worker, args=(rank, world, threads, rounds, port, queue)) for rank in range(world)
    ]
    for process in started:
        process.start()
    seconds = queue.get()
    for process in started:
        process.join()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--what", nargs="*", default=[*WHAT, "workers"], choices=[*WHAT, "workers"])
    options = parser.parse_args()
    like_a_worker(options.threads)
    print(machine(options.rounds))
    best = matrix_peak("cpu", "bf16")
    for what in options.what:
        rows = []
        if what == "workers":
            for world, threads in ((1, options.threads), (options.threads, 1)):
                seconds = workers(world, threads, options.rounds)
                rows.append((f"{world} × {threads} threads", seconds, TINY))
        else:
            for shape in WHAT[what]:
                torch._dynamo.reset()
                name = f"{shape.hidden} wide, {shape.batch} × {shape.time}"
                rows.append((name, median_step(shape, options.rounds), shape))
        speed = {name: shape.flops / seconds for name, seconds, shape in rows}
        show(
            f"{what}; bf16 matrix peak {best / 1e9:.0f} GFLOP/s",
            ["", "ms a step", "tokens/s", "share of peak", "of the best"],
            [
                [
                    name,
                    f"{1e3 * seconds:.0f}",
                    f"{shape.batch * shape.time / seconds:,.0f}",
                    f"{100 * speed[name] / best:.1f} %",
                    f"{speed[name] / max(speed.values()):.2f}",
                ]
                for name, seconds, shape in rows
            ],
        )


if __name__ == "__main__":
    main()
