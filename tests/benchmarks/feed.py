"""Can the data keep up? Tokens per second of mixed batches, and how long a training step waits for its batch.

    python tests/benchmarks/feed.py read [--tokenizer DIR] [--rounds 15]     tokens per second of one core
    python tests/benchmarks/feed.py steps [--rounds 15]                      share of a step spent waiting
    python tests/benchmarks/feed.py parts [--tokenizer DIR]                  where a synthetic row's time goes

Text is memory-mapped shards of uint16 made here, in the page cache: four sources, 40 million tokens in eight shards.
Rows of a table are measured in turns, one after the other and again; numbers are medians over the turns. `read` counts
CPU seconds of the process, which other programs disturb least; `steps` counts seconds on the clock. The tokenizer is
one trained on the items, of 2,048 entries, unless DIR holds another (cosmo2's, say).
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from timing import in_turns, like_a_worker, machine

from curriculum.stages import EIGHT_STAGES
from hamner.config.load import load_config
from hamner.config.presets import model_named
from hamner.data import split
from hamner.data.mixer import Mixer
from hamner.data.prefetch import PrefetchingMixer
from hamner.data.synthetic_rows import ENCODE_BATCH, SyntheticRows, WordCache
from hamner.data.synthetic_tasks import LEVELS, TASKS, Draws, generate
from hamner.data.text_rows import Rows, TextRows
from hamner.data.tokenizer import Tokenizer
from hamner.model.transformer import build
from hamner.training.trainer import Trainer

TEXT = {"tinystories": 0.35, "fineweb_edu": 0.35, "sft": 0.2, "personal": 0.1}
SHAPES = ((4, 256), (2, 1024), (24, 1024))
STAGE = next(
    stage for stage in EIGHT_STAGES if stage.name == "reasoning"
)  # the most synthetic rows of all stages: 55 %
MIXES = {
    "text": TEXT,
    "20 % synthetic": {name: 0.8 * share for name, share in TEXT.items()} | {"synthetic": 0.2},
    "55 % synthetic": {name: 0.45 * share for name, share in TEXT.items()} | {"synthetic": 0.55},
    "synthetic": {"synthetic": 1.0},
}
SHARDS, SHARD_TOKENS, VOCAB_SIZE = 8, 1_250_000, 2048
MEASURED = 400_000  # tokens a turn: many chunks of synthetic rows (CHUNK_TOKENS)


@contextmanager
def shards() -> Iterator[dict[str, list[np.ndarray]]]:
    """Source -> its memory-mapped shards, in a folder that goes when it is done."""
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for name in TEXT:
            rng = np.random.default_rng(list(name.encode()))
            found[name] = []
            for number in range(SHARDS):
                path = Path(folder) / f"{name}.{number}.bin"
                rng.integers(0, VOCAB_SIZE, SHARD_TOKENS, dtype=np.uint16).tofile(path)
                found[name].append(np.memmap(path, dtype=np.uint16, mode="r"))
        yield found


def rows_of(text: dict[str, list[np.ndarray]], tokenizer: Tokenizer, seq_len: int) -> dict[str, Rows]:
    rows: dict[str, Rows] = {name: TextRows(of, seq_len, name, 0) for name, of in text.items()}
    return rows | {"synthetic": SyntheticRows(tokenizer, seq_len, 0, 0.05)}


def read(tokenizer: Tokenizer, rounds: int) -> None:
    with shards() as text:
        turns = {}
        for batch, seq_len in SHAPES:
            for mix, shares in MIXES.items():
                mixer = Mixer(rows_of(text, tokenizer, seq_len), batch)
                mixer.start_stage(shares, STAGE.levels)
                count = MEASURED // (batch * seq_len)
                turns[f"{batch} x {seq_len}, {mix}"] = lambda mixer=mixer, count=count: tokens_per_second(mixer, count)
        found = in_turns(turns, rounds)
    print(f"million tokens per second of one core: {machine(rounds)}")
    for name, values in found.items():
        print(f"{name:<28} median {statistics.median(values) / 1e6:8.2f}   slowest {min(values) / 1e6:8.2f}")


def tokens_per_second(mixer: Mixer, batches: int) -> float:
    started = time.process_time()
    tokens = sum(mixer.next().numel() for _ in range(batches))
    return tokens / (time.process_time() - started)


def steps(tokenizer: Tokenizer, rounds: int) -> None:
    """Waiting, with Mixer and with PrefetchingMixer: the miniature's real step, and a card's, which is slept."""
    config = load_config("laptop", [], "curriculum")
    settings = config.curriculum
    trainer = Trainer(build(model_named("v3", config.size), 0), Mixer({}, 1), config.optimizer, config.compute)
    trainer.begin(1e-3, 0)
    with shards() as text:
        turns, kinds = {}, {"Mixer": Mixer, "PrefetchingMixer": PrefetchingMixer}
        for name, kind in kinds.items():
            small = kind(rows_of(text, tokenizer, settings.seq_len), settings.batch_size)
            turns[f"laptop, {settings.batch_size} x {settings.seq_len}, {name}"] = lambda mixer=small: waiting(
                mixer, lambda m: _train(trainer, m)
            )
            for seconds in (0.3, 0.03):
                large = kind(rows_of(text, tokenizer, 1024), 24)
                turns[f"slept {seconds} s, 24 x 1024, {name}"] = lambda mixer=large, seconds=seconds: waiting(
                    mixer, lambda m: (m.next(), time.sleep(seconds))
                )
        found = in_turns(turns, rounds)
    print(f"of a step, waiting for its batch (55 % synthetic): {machine(rounds)}")
    for name, values in found.items():
        share, step = statistics.median(v[0] for v in values), statistics.median(v[1] for v in values)
        print(f"{name:<42} {100 * share:6.2f} %   step {1000 * step:7.1f} ms")


def _train(trainer: Trainer, mixer: Mixer) -> None:
    trainer.mixer = mixer
    trainer.step()


def waiting(mixer: Mixer, step: Callable[[Mixer], object], count: int = 10) -> tuple[float, float]:
    """Share of the time of `count` steps spent in `next`, and seconds of a step."""
    if not mixer.mix:
        mixer.start_stage(MIXES["55 % synthetic"], STAGE.levels)
    waited, plain = 0.0, mixer.next

    def timed() -> torch.Tensor:
        nonlocal waited
        started = time.perf_counter()
        batch = plain()
        waited += time.perf_counter() - started
        return batch

    mixer.next = timed  # type: ignore[method-assign]
    started = time.perf_counter()
    for _ in range(count):
        step(mixer)
    seconds = time.perf_counter() - started
    del mixer.next
    return waited / seconds, seconds / count


def parts(tokenizer: Tokenizer, rounds: int) -> None:
    """Microseconds of an item: drawn, hashed for the held-out split, tokenised by the library and word by word."""
    words = WordCache(tokenizer)
    print(f"microseconds an item: {machine(rounds)}")
    for level in LEVELS:
        for task in TASKS:
            found = in_turns(_parts(task, level, tokenizer, words), rounds)
            print(
                f"{task:<15} {level}  "
                + "   ".join(f"{name} {1e6 * statistics.median(values):5.1f}" for name, values in found.items())
            )


def _parts(task: str, level: int, tokenizer: Tokenizer, words: WordCache) -> dict[str, Callable[[], float]]:
    rng, count = Draws(0), 200
    items = [generate(rng, level, task).text for _ in range(count)]
    return {
        "drawn": lambda: _seconds(lambda: [generate(rng, level, task).text for _ in range(count)]) / count,
        "hashed": lambda: _seconds(lambda: [split.unit_hash(item) for item in items]) / count,
        "library": lambda: _seconds(lambda: tokenizer.encode_batch(items)) / count,
        "by word": lambda: _seconds(lambda: words.pack(items[:ENCODE_BATCH])) / ENCODE_BATCH,
    }


def _seconds(what: Callable[[], object]) -> float:
    started = time.process_time()
    what()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("read", "steps", "parts"))
    parser.add_argument("--tokenizer", metavar="DIR", help="a folder with tokenizer.json")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    like_a_worker(load_config("laptop", [], "curriculum").compute.worker_threads if options.what == "steps" else 1)
    if options.tokenizer and options.what != "steps":  # the miniature's model reads the miniature's tokens
        tokenizer = Tokenizer.load(Path(options.tokenizer).resolve())
    else:
        rng = random.Random(0)
        tokenizer = Tokenizer.train([generate(rng, level).text for level in LEVELS for _ in range(3000)], VOCAB_SIZE)
    {"read": read, "steps": steps, "parts": parts}[options.what](tokenizer, options.rounds)


if __name__ == "__main__":
    main()
