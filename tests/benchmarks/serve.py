"""Streams of the server: CPU time a token where each goes through the model in its turn, and where they go together.

    python tests/benchmarks/serve.py [--rounds 5] [--tokens 48]

CPU time of one thread, so that other programs of the machine count little. Each stream is 150 tokens in, give or take.
"""

import argparse
from time import process_time

import torch
from generate import SIZES
from timing import like_a_worker, machine, show

from hamner.inference import continuous_batch
from hamner.inference.continuous_batch import Part, last_hidden_states
from hamner.inference.generate import Sampling, draw_token
from hamner.model.kv_cache import KVCache
from hamner.model.transformer import Hamner, build

STREAMS = (2, 3, 4, 8, 16, 50)
PROMPT, LENGTH = 64, 150  # tokens of a piece of a prompt; of a stream so far


def milliseconds(hamner: Hamner, caches: list[KVCache], few: int, tokens: int) -> float:
    """CPU milliseconds a token, of `tokens` in all. few: streams up to which they take turns."""
    generator, rounds = torch.Generator().manual_seed(0), max(1, tokens // len(caches))
    for place, cache in enumerate(caches):
        cache.length = LENGTH + place % 7
    before, continuous_batch.FEW = continuous_batch.FEW, few
    begin = process_time()
    for _ in range(rounds):
        states = last_hidden_states(hamner, [Part([5], cache) for cache in caches])
        for logits in hamner.logits(states).float():
            draw_token(logits, [3, 4, 5], Sampling(), generator)
    continuous_batch.FEW = before
    return (process_time() - begin) * 1000 / (rounds * len(caches))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=48)
    options = parser.parse_args()
    like_a_worker(1)
    table = []
    for name, model in SIZES.items():
        hamner = build(model, 0).eval()
        with torch.inference_mode():
            first = KVCache(model, LENGTH + 7)
            last_hidden_states(hamner, [Part(list(range(20, 20 + LENGTH + 7)), first)])
            for count in STREAMS:
                caches = [first.repeated(torch.tensor([1]), LENGTH + 7 + options.tokens) for _ in range(count)]
                times: dict[int, list[float]] = {count: [], 0: []}  # in turns; together
                for _ in range(options.rounds):
                    for few, found in times.items():
                        found.append(milliseconds(hamner, caches, few, options.tokens))
                turns, together = (sorted(found)[len(found) // 2] for found in times.values())
                table.append([name, f"{count}", f"{turns:.1f}", f"{together:.1f}", f"{turns / together:.1f}"])
            cache, begin = KVCache(model, PROMPT), process_time()
            last_hidden_states(hamner, [Part([5] * PROMPT, cache)])
            piece = (process_time() - begin) * 1000
        table.append([name, f"a piece of a prompt, {PROMPT} tokens", "", f"{piece:.1f}", ""])
    print(machine(options.rounds))
    show("CPU ms a token, one thread, fp32", ["", "streams", "in turns", "together", "× turns / together"], table)


if __name__ == "__main__":
    main()
