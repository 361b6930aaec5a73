"""GPU check: is this code right and fast on the card of this machine? One command, at most eight minutes.

    python tests/gpu/gpu_check.py                          or: make gpu-check
    python tests/gpu/gpu_check.py --small --device cpu     a test of the check itself, two minutes on one core
    python tests/gpu/gpu_check.py --only waits --only "out of memory"

Needs torch, numpy, pydantic, safetensors, tokenizers and filelock, no Ray. Each section runs in a process of its own
with a limit of its own. Data out: gpu_check.json and gpu_check.md in --out; with --write the tables stand in
results/reference/card.md too. Exit code 0: all is as it has to be; 1: something is not, or was cut; 2: bad input.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
sys.path[:0] = [str(REPO)]
PAGE = REPO / "results" / "reference" / "card.md"
NEEDED = ("torch", "numpy", "pydantic", "safetensors", "tokenizers", "filelock")
SMALL_SECONDS = 120  # of --small on one core


def sections():
    """All sections in their order, with their limits in seconds on an H100: 465 together."""
    import check_memory as memory
    import check_numbers as numbers
    import check_peers as peers
    import check_speed as speed
    from check_runner import Section

    return [
        Section("machine", 15, speed.machine),
        Section("numbers of a CPU", 50, numbers.against_the_cpu),
        Section("determinism", 35, numbers.determinism),
        Section("many ways", 45, numbers.ways),
        Section("resume", 25, numbers.resumed),
        Section("all ten", 90, memory.all_ten),
        Section("waits", 15, speed.waits, needs_card=True),
        Section("V3", 60, speed.what_helps_v3),
        Section("share of the peak", 55, peers.share_of_peak),
        Section("kernels", 20, speed.kernels),
        Section("KV cache", 15, numbers.cache),
        Section("out of memory", 10, memory.out_of_memory, needs_card=True),
        Section("processes", 30, memory.sharing),
    ]


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    options.add_argument("--small", action="store_true", help="miniatures and few steps")
    options.add_argument(
        "--only", metavar="SECTION", action="append", default=[], help="this section alone; repeatable"
    )
    options.add_argument("--patience", type=float, default=1.0, help="factor of all limits, for a slower card")
    options.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", ".")), help="folder of the two files")
    options.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.relative_to(REPO)}")
    return options


def problems(options: argparse.Namespace) -> list[str]:
    """What is wrong with the words or the machine, each with its way out."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    lines = [f"package '{name}' is missing: pip install {name}" for name in missing]
    if missing:
        return lines
    names = [section.name for section in sections()]
    lines += [f"unknown section '{name}': use one of {', '.join(names)}" for name in options.only if name not in names]
    lines += [f"--patience {options.patience} must be above 0"] if not options.patience > 0 else []
    # asked in another process: this one must not touch the card before its sections are forked
    code = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    if options.device == "cuda" and subprocess.run([sys.executable, "-W", "ignore", "-c", code]).returncode:
        lines.append("PyTorch finds no CUDA card here: use --device cpu, which tests the check itself")
    return lines


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    lines = problems(options)
    if lines:
        print("\n".join(f"gpu_check: {line}" for line in lines), file=sys.stderr)
        return 2
    from check_page import as_json, as_markdown, write_between
    from check_runner import run_sections
    from check_setup import Setup

    chosen = [section for section in sections() if section.name in options.only or not options.only]
    limit = sum(section.seconds for section in chosen) * options.patience
    expected = min(limit, SMALL_SECONDS) if options.small else limit
    print(f"{len(chosen)} sections, at most {limit / 60:.0f} minutes; about {expected / 60:.0f} are likely", flush=True)
    began = time.time()
    setup = Setup(options.device, options.small)
    outcomes = run_sections(chosen, setup, options.patience, lambda line: print(line, flush=True))
    facts = {
        "date": time.strftime("%Y-%m-%d", time.gmtime(began)),
        "device": options.device,
        "small": options.small,
        "seconds": round(time.time() - began),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "gpu_check.json").write_text(as_json(outcomes, facts), encoding="utf-8")
    (options.out / "gpu_check.md").write_text(as_markdown(outcomes, facts) + "\n", encoding="utf-8")
    if options.write:
        write_between(PAGE, as_markdown(outcomes, facts))
    wrong = [outcome.name for outcome in outcomes if not outcome.is_right]
    verdict = f"not as it has to be: {', '.join(wrong)}" if wrong else "all is as it has to be"
    print(f"{verdict}; {facts['seconds']} s; {options.out / 'gpu_check.md'}", flush=True)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
