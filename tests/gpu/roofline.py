"""Roofline table of an RTX 3090, from the operations of a dry run: what a step costs at best, part by part.

    python tests/gpu/roofline.py            print the tables
    python tests/gpu/roofline.py --write    put them into results/reference/card.md, marked as computed

The assumptions stand in card_cost.py. Needs a CPU build of PyTorch and a C++ compiler, no card; about a minute.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "results" / "reference" / "card.md"
BEGIN, END = "<!-- computed: begin -->", "<!-- computed: end -->"
V3_BATCH, V3_TOKENS = 24, 1024
LEAGUE_BATCH, LEAGUE_TOKENS = 16, 512
ROWS = {
    "layers: products": "layers products",
    "layers: rest": "layers rest",
    "attention": "layers attention",
    "head: products": "head products",
    "head: rest": "head rest",
    "AdamW, clipping": "optimizer rest",
}
# heading: checkpointing, entries of the logits at a time (None: as configured), parts that are compiled
COLUMNS: dict[str, tuple[bool, int | None, tuple[str, ...]]] = {
    "eager, checkpointing": (True, None, ()),
    "eager": (False, None, ()),
    "+ logits 2^27": (False, 2**27, ()),
    "+ compiled": (False, 2**27, ("layers",)),
    "+ loss fused": (False, 2**27, ("layers", "head")),
}


def step_operations(model: str, checkpointing: bool, logits: int | None, batch: int, tokens: int):
    """The operations of one training step."""
    from card_cost import CostRecord
    from card_kernels import CardMode, card_kernels
    from dry_cases import MODELS, Case
    from dry_run import fake_trainer

    from hamner.model.kernels.dispatch import force

    rows = None if logits is None else max(64, logits // MODELS[model].vocab_size // 64 * 64)
    with card_kernels(), CardMode(allow_non_fake_inputs=True), force(rows_of_logits=rows):
        trainer = fake_trainer(Case(model, checkpointing=checkpointing), batch, tokens)
        with CostRecord(tokens) as record:
            trainer.step()
    return record.kept


def v3_table() -> Iterator[str]:
    from card_cost import LAUNCH, seconds_by_part

    columns, launches, recorded = {}, {}, {}
    for heading, (checkpointing, logits, fused) in COLUMNS.items():
        if (checkpointing, logits) not in recorded:
            recorded[checkpointing, logits] = step_operations("v3", checkpointing, logits, V3_BATCH, V3_TOKENS)
        operations = recorded[checkpointing, logits]
        columns[heading], launches[heading] = seconds_by_part(operations, fused=fused), len(operations) * LAUNCH
    yield f"| ms of a V3 step, {V3_BATCH} × {V3_TOKENS:,} | {' | '.join(COLUMNS)} |"
    yield "|---|" + "---:|" * len(COLUMNS)
    for label, key in ROWS.items():
        yield f"| {label} | " + " | ".join(f"{1e3 * parts.get(key, 0.0):.0f}" for parts in columns.values()) + " |"
    sums = {heading: sum(parts.values()) for heading, parts in columns.items()}
    yield "| **sum** | " + " | ".join(f"**{1e3 * seconds:.0f}**" for seconds in sums.values()) + " |"
    rates = (f"{V3_BATCH * V3_TOKENS / seconds:,.0f}" for seconds in sums.values())
    yield "| tokens a second | " + " | ".join(rates) + " |"
    yield "| launches alone, uncompiled | " + " | ".join(f"{1e3 * seconds:.0f}" for seconds in launches.values()) + " |"


def league_table() -> Iterator[str]:
    from card_cost import LAUNCH, seconds_by_part

    from hamner.config.presets import CONTESTANTS

    yield f"| eager, {LEAGUE_BATCH} × {LEAGUE_TOKENS} | ms a step | checkpointing | tokens a second | launches |"
    yield "|---|---:|---:|---:|---:|"
    for name in CONTESTANTS:
        plain, again = (step_operations(name, c, None, LEAGUE_BATCH, LEAGUE_TOKENS) for c in (False, True))
        seconds, slower = (sum(seconds_by_part(operations).values()) for operations in (plain, again))
        rate = LEAGUE_BATCH * LEAGUE_TOKENS / max(seconds, len(plain) * LAUNCH)
        yield (
            f"| {name} | {1e3 * seconds:.0f} | {1e3 * slower:.0f} | {rate:,.0f} | "
            f"{len(plain):,} in {1e3 * len(plain) * LAUNCH:.0f} ms |"
        )


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    options.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    wanted = options.parse_args()
    if wanted.child:
        print("\n".join([*v3_table(), "", *league_table()]))
        return 0
    from card_shim import build_shim, run_on_fake_card, unavailable

    if unavailable():
        print(unavailable(), file=sys.stderr)
        return 2
    print("about a minute ...", file=sys.stderr)
    child = run_on_fake_card(__file__, "--child", shim=build_shim(), timeout=1800)
    if child.returncode:
        print(child.stderr, file=sys.stderr)
        raise subprocess.CalledProcessError(child.returncode, "roofline.py --child")
    print(child.stdout)
    if wanted.write:
        from check_page import write_between

        write_between(PAGE, child.stdout, BEGIN, END)
    return 0


if __name__ == "__main__":
    sys.exit(main())
