"""How fast text becomes shards, and shards become batches.

    python tests/benchmarks/prepare.py tokenise DATA [--rounds 5]      share of the tokenizers library's own throughput,
                                                                       in seconds of the one core each may use
    python tests/benchmarks/prepare.py read DATA                       tokens a second of mixed batches, one core
    python tests/benchmarks/prepare.py ray DATA [--rounds 3]           two processes against one, and the same bytes

DATA: a folder as --data takes it, with tokenizer/. Contenders take turns; medians are compared.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ["RAYON_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # before any library starts its threads

import tokenizers

from hamner.config.load import load_config
from hamner.config.schema import Config
from hamner.data.mixer import Mixer
from hamner.data.preparation.for_run import choose_tokenizer, prepare
from hamner.data.preparation.part import Part, Work
from hamner.data.preparation.pipeline import run
from hamner.data.preparation.plan import make_plan
from hamner.data.preparation.store import Store
from hamner.data.sources import SOURCES, Tally
from hamner.data.sources.local_files import folder_documents, folder_files
from hamner.data.text_rows import training_rows

NAMES = ("tinystories", "fineweb_edu", "sft", "personal")
RAY_MB = 200  # of text, at least


def config_of(folder: Path, *words: str) -> Config:
    return load_config("rtx3090", [f"data.path={folder}", "device=cpu", *words])


def in_turn(what: str, work: Work, parts: Sequence[Part]) -> None:
    for part in parts:
        work(part, lambda _: None)


def prepared(
    config: Config, out: Path, names: Sequence[str], runner: Callable = in_turn, clock: Callable = time.process_time
) -> float:
    """Prepare into `out`; seconds it took, without loading the tokenizer."""
    shutil.rmtree(out, ignore_errors=True)
    tokenizer = choose_tokenizer(config)
    began = clock()
    plan = make_plan(config, Store(out), names, tokenizer, seq_len=64, runner=in_turn, say=print)
    run(plan, tokenizer, runner, print)
    return clock() - began


def tokenise(data: Path, folder: Path, rounds: int) -> None:
    """One core: the library on texts in memory, ours from jsonl to shards with and without near-duplicates sought."""
    texts = [
        d.text
        for name in NAMES[:2]
        for d in folder_documents(SOURCES[name], folder_files(SOURCES[name], data), Tally())
    ]
    (folder / "data" / "fineweb_edu").mkdir(parents=True)
    with (folder / "data" / "fineweb_edu" / "all.jsonl").open("w") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    shutil.copytree(data / "tokenizer", folder / "data" / "tokenizer")
    library = tokenizers.Tokenizer.from_file(str(data / "tokenizer" / "tokenizer.json"))
    library.encode_special_tokens = True
    size, seconds = sum(len(text.encode()) for text in texts), {}
    for _ in range(rounds):
        began = time.process_time()
        count = sum(len(encoded.ids) for encoded in library.encode_batch(texts, add_special_tokens=False))
        seconds.setdefault("tokenizers.encode_batch", []).append(time.process_time() - began)
        began = time.process_time()
        library.encode_batch_fast(texts, add_special_tokens=False)
        seconds.setdefault("tokenizers.encode_batch_fast", []).append(time.process_time() - began)
        for duplicates in ("keep", "drop"):
            config = config_of(folder / "data", f"duplicates={duplicates}")
            seconds.setdefault(f"ours, duplicates={duplicates}", []).append(
                prepared(config, folder / "out", ["fineweb_edu"])
            )
    told(seconds, size, count)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    ours = middle["ours, duplicates=keep"]
    for name in ("tokenizers.encode_batch", "tokenizers.encode_batch_fast"):
        ratios = [a / b for a, b in zip(seconds[name], seconds["ours, duplicates=keep"], strict=True)]
        print(f"share of {name}: {middle[name] / ours:.3f} (each round: {', '.join(f'{r:.2f}' for r in ratios)})")
    extra = middle["ours, duplicates=drop"] - ours
    print(f"near-duplicate removal: {extra:.2f} s more, {size / 1e6 / max(extra, 1e-9):.1f} MB/s")


def told(seconds: dict[str, list[float]], size: int, count: int) -> None:
    for name, values in seconds.items():
        middle = statistics.median(values)
        print(
            f"{name:32s} {middle:7.2f} s  {size / middle / 1e6:6.2f} MB/s  {count / middle / 1e3:7.0f} k tokens/s  "
            f"(n = {len(values)}, {min(values):.2f} to {max(values):.2f})"
        )


def read(data: Path, folder: Path) -> None:
    """Mixed batches of four sources over many shards, and of one shard each."""
    import torch

    torch.set_num_threads(1)
    mix = dict.fromkeys(NAMES, 0.25)
    for shard_tokens in (2**26, 2**16):
        config = config_of(data)
        tokenizer, store = choose_tokenizer(config), Store(folder / f"{shard_tokens}")
        plan = make_plan(
            config, store, NAMES, tokenizer, seq_len=64, shard_tokens=shard_tokens, runner=in_turn, say=print
        )
        run(plan, tokenizer, in_turn, print)
        corpus, tokenizer = prepare(
            config_of(folder / f"{shard_tokens}"),
            folder / f"run{shard_tokens}",
            NAMES,
            tokenizer=None,
            seq_len=64,
            hub_tokens=0,
        )
        shards = sum(len(facts["shards"]) for facts in corpus.manifest["sources"].values())
        for batch, length in ((8, 128), (4, 256), (24, 1024)):
            mixer = Mixer(training_rows(corpus, tokenizer, list(NAMES), length), batch)
            mixer.start_stage(mix)
            for _ in range(20):
                mixer.next()
            rates = []
            for _ in range(5):
                began, done = time.process_time(), 0
                while time.process_time() < began + 1:
                    done += mixer.next().numel()
                rates.append(done / (time.process_time() - began))
            print(
                f"{shards:4d} shards, batches of {batch} × {length}: {statistics.median(rates) / 1e6:.1f} M tokens a "
                f"core-second (n = 5, {min(rates) / 1e6:.1f} to {max(rates) / 1e6:.1f})"
            )


def on_ray(data: Path, folder: Path, rounds: int) -> None:
    """Copies of DATA, at least RAY_MB of text, with one and with two processes, and in this process without Ray."""
    import ray
    from rich.console import Console

    from curriculum.prepare_data import tasks
    from hamner.runs.cluster import worker_environment

    size, copies = 0, 0
    whole = sum(
        len(d.text)
        for name in NAMES
        for d in folder_documents(SOURCES[name], folder_files(SOURCES[name], data), Tally())
    )
    while size < RAY_MB * 1e6:
        for name in NAMES:
            shutil.copytree(data / name, folder / "data" / name / f"{copies:03}")
        size, copies = size + whole, copies + 1
    shutil.copytree(data / "tokenizer", folder / "data" / "tokenizer")
    config = config_of(folder / "data", "duplicates=keep")  # the copies are to be worked on
    seconds: dict[str, list[float]] = {}
    hashes = set()
    for _ in range(rounds):
        seconds.setdefault("one process, without Ray", []).append(
            prepared(config, folder / "out", NAMES, clock=time.perf_counter)
        )
        hashes.add(hash_of(folder / "out"))
        for processes in (1, 2):
            ray.init(
                address="local",
                num_cpus=processes,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
                object_store_memory=200 * 2**20,
                runtime_env={"env_vars": worker_environment(1)},
            )
            seconds.setdefault(f"{processes} process(es) of Ray", []).append(
                prepared(config, folder / "out", NAMES, tasks(Console(quiet=True)), time.perf_counter)
            )
            ray.shutdown()
            hashes.add(hash_of(folder / "out"))
        print(
            {name: f"{values[-1]:.1f} s" for name, values in seconds.items()},
            f"load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
    one, two = (statistics.median(seconds[f"{n} process(es) of Ray"]) for n in (1, 2))
    alone = statistics.median(seconds["one process, without Ray"])
    print(
        f"two processes are {one / two:.2f} × one of Ray, {alone / two:.2f} × one without; {size / 1e6:.0f} MB, "
        f"{'the same bytes each time' if len(hashes) == 1 else 'DIFFERENT BYTES'}"
    )


def hash_of(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")):
        total.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("tokenise", "read", "ray"))
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, one thread a process, load {os.getloadavg()[0]:.1f} before")
    with tempfile.TemporaryDirectory() as folder:
        if options.what == "tokenise":
            tokenise(options.data, Path(folder), options.rounds)
        elif options.what == "read":
            read(options.data, Path(folder))
        else:
            on_ray(options.data, Path(folder), options.rounds)
    print(f"load {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
