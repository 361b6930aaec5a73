"""Roofline table of an RTX 3090, from the operations of a dry run: what a step costs at best, part by part.

    python tests/gpu/roofline.py            print the tables
    python tests/gpu/roofline.py --write    put them into results/reference/card.md, marked as computed
    python tests/gpu/roofline.py --v3       the first table alone, in a fifth of the time
    python tests/gpu/roofline.py --pieces   norms and SiLU's gradient taken apart, as the first count had them

The assumptions stand in card_cost.py. Needs a CPU build of PyTorch and a C++ compiler, no card; about a minute.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "results" / "reference" / "card.md"
BEGIN, END = "<!-- computed: begin -->", "<!-- computed: end -->"
V3_BATCH, V3_TOKENS = 24, 1024
LEAGUE_BATCH, LEAGUE_TOKENS = 16, 512
ROWS = {
    "layers: products": ("layers products",),
    "layers: rest": ("layers rest",),
    "attention": ("layers attention",),
    "head: products": ("head products",),
    "head: rest": ("head rest", "softmax rest"),
    "AdamW, clipping": ("optimizer rest",),
}


@dataclass(frozen=True)
class Way:
    """How a step is computed."""

    checkpointing: bool = False
    logits: int = 2**27  # entries that exist at a time; as configured
    compiled: tuple[str, ...] = ()  # parts


BLOCKS, ALL = ("layers",), ("layers", "softmax")
COLUMNS = {
    "eager, checkpointing": Way(checkpointing=True, logits=2**24),
    "eager": Way(logits=2**24),
    "+ logits 2^27": Way(),
    "+ blocks compiled": Way(compiled=BLOCKS),
    "+ softmax compiled": Way(compiled=ALL),
}


def step_operations(model: str, way: Way, batch: int, tokens: int, *, whole: Sequence[str] | None = None):
    """The operations of one training step. whole: see card_kernels."""
    from card_cost import CostRecord
    from card_kernels import WHOLE, CardMode, card_kernels
    from dry_cases import Case
    from dry_run import fake_trainer

    from hamner.model.kernels.dispatch import force

    choices = force(logits_at_a_time=way.logits, fused_softmax="softmax" in way.compiled)
    kernels = card_kernels(whole=WHOLE if whole is None else whole)
    with kernels, CardMode(allow_non_fake_inputs=True), choices:
        trainer = fake_trainer(Case(model, checkpointing=way.checkpointing), batch, tokens)
        with CostRecord(tokens) as record:
            trainer.step()
    return record.kept


def v3_table(whole: Sequence[str] | None = None) -> Iterator[str]:
    from card_cost import LAUNCH, seconds_by_part

    columns, launches, recorded = {}, {}, {}
    for heading, way in COLUMNS.items():
        key = way.checkpointing, way.logits, "softmax" in way.compiled
        if key not in recorded:
            recorded[key] = step_operations("v3", way, V3_BATCH, V3_TOKENS, whole=whole)
        columns[heading] = seconds_by_part(recorded[key], fused=way.compiled)
        launches[heading] = "" if way.compiled else f"{1e3 * len(recorded[key]) * LAUNCH:.0f}"
    yield f"| ms of a V3 step, {V3_BATCH} × {V3_TOKENS:,} | {' | '.join(COLUMNS)} |"
    yield "|---|" + "---:|" * len(COLUMNS)
    for label, keys in ROWS.items():
        cells = (f"{1e3 * sum(parts.get(key, 0.0) for key in keys):.1f}" for parts in columns.values())
        yield f"| {label} | {' | '.join(cells)} |"
    sums = {heading: sum(parts.values()) for heading, parts in columns.items()}
    yield "| **sum** | " + " | ".join(f"**{1e3 * seconds:.1f}**" for seconds in sums.values()) + " |"
    rates = (f"{V3_BATCH * V3_TOKENS / seconds:,.0f}" for seconds in sums.values())
    yield "| tokens a second | " + " | ".join(rates) + " |"
    yield "| launches alone | " + " | ".join(launches.values()) + " |"


def league_table() -> Iterator[str]:
    from card_cost import LAUNCH, seconds_by_part

    from hamner.config.presets import CONTESTANTS

    yield (
        f"| ms of a step, {LEAGUE_BATCH} × {LEAGUE_TOKENS} | eager | compiled | + checkpointing | "
        "tokens a second, compiled | launches, eager |"
    )
    yield "|---|---:|---:|---:|---:|---:|"
    ways = (Way(), Way(compiled=ALL), Way(compiled=ALL, checkpointing=True))
    for name in CONTESTANTS:
        steps = [step_operations(name, way, LEAGUE_BATCH, LEAGUE_TOKENS) for way in ways]
        eager, compiled, again = (
            sum(seconds_by_part(operations, fused=way.compiled).values())
            for operations, way in zip(steps, ways, strict=True)
        )
        yield (
            f"| {name} | {1e3 * eager:.0f} | {1e3 * compiled:.0f} | {1e3 * again:.0f} | "
            f"{LEAGUE_BATCH * LEAGUE_TOKENS / compiled:,.0f} | "
            f"{len(steps[0]):,} in {1e3 * len(steps[0]) * LAUNCH:.0f} ms |"
        )


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    options.add_argument("--v3", action="store_true", help="V3's table alone")
    options.add_argument("--pieces", action="store_true", help="V3's table with norms and SiLU's gradient taken apart")
    options.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return options


def main() -> int:
    wanted = parser().parse_args()
    is_whole = not (wanted.v3 or wanted.pieces)
    if wanted.child:
        print("\n".join(v3_table(() if wanted.pieces else None)))
        print("\n" + "\n".join(league_table()) if is_whole else "")
        return 0
    from card_shim import build_shim, run_on_fake_card, unavailable

    problem = unavailable()
    if wanted.write and not is_whole:
        problem = "--write takes all tables: leave --v3 and --pieces out"
    if problem:
        print(problem, file=sys.stderr)
        return 2
    print("about a minute ...", file=sys.stderr)
    words = [word for word in ("--v3", "--pieces") if vars(wanted)[word[2:]]]
    child = run_on_fake_card(__file__, "--child", *words, shim=build_shim(), timeout=1800)
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
