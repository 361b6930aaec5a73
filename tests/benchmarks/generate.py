"""Writing 256 tokens with the KV cache, and computing everything anew for each: time, and whether the tokens agree.

    python tests/benchmarks/generate.py [--rounds 3] [--threads 2] [--tokens 256]

"plain" is model(tokens).logits[:, -1], which makes the logits of every position; "uncached" those of the last alone.
"""

import argparse

import torch
from timing import like_a_worker, machine, medians, show

from hamner.config.schema import ModelConfig
from hamner.inference.generate import Sampling, draw_token, stream
from hamner.model.transformer import Hamner, build

SIZES = {
    "tiny": ModelConfig(
        vocab_size=4096, hidden_size=256, num_layers=6, num_heads=8, num_kv_heads=2, intermediate_size=683
    ),
    "V3": ModelConfig(hidden_size=512, num_layers=8, num_heads=8, num_kv_heads=2, intermediate_size=1365),
}
PROMPT, SEED = list(range(100, 116)), 5


def uncached(hamner: Hamner, count: int, plain: bool) -> list[int]:
    generator, new = torch.Generator().manual_seed(SEED), list[int]()
    with torch.no_grad():
        for _ in range(count):
            tokens = torch.tensor([[*PROMPT, *new]])
            last = hamner(tokens).logits[0, -1] if plain else hamner.logits(hamner.hidden_states(tokens)[0][0, -1])
            new.append(draw_token(last.float(), new, Sampling(), generator))
    return new


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=256)
    options = parser.parse_args()
    like_a_worker(options.threads)
    table = []
    for name, model in SIZES.items():
        hamner, found = build(model, 0).eval(), dict[str, list[int]]()

        def cached(hamner: Hamner = hamner) -> list[int]:
            return list(stream(hamner, PROMPT, options.tokens, Sampling(), torch.Generator().manual_seed(SEED)))

        def note(kind: str, tokens: list[int], found: dict[str, list[int]] = found) -> None:
            found[kind] = tokens

        times = medians(
            {
                "cached": lambda: note("cached", cached()),
                "uncached": lambda h=hamner: note("uncached", uncached(h, options.tokens, False)),
                "plain": lambda h=hamner: note("plain", uncached(h, options.tokens, True)),
            },
            options.rounds,
        )
        same = all(found["cached"] == found[kind][: len(found["cached"])] for kind in found)
        table.append(
            [
                name,
                f"{len(found['cached'])}",
                *(f"{len(found[k]) / times[k]:.0f}" for k in times),
                f"{times['uncached'] / times['cached']:.1f}",
                f"{times['plain'] / times['cached']:.1f}",
                "yes" if same else "NO",
            ]
        )
    print(machine(options.rounds))
    show(
        f"{options.tokens} tokens after {len(PROMPT)}, fp32, one row",
        [
            "",
            "tokens",
            "cached, tokens/s",
            "uncached, tokens/s",
            "plain, tokens/s",
            "× uncached",
            "× plain",
            "same tokens",
        ],
        table,
    )


if __name__ == "__main__":
    main()
