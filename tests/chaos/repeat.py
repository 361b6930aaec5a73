"""Quick form of the chaos suite, again and again: whether it is green each time, and how long it takes.

    python tests/chaos/repeat.py [--times 20] [--out DIR]

Stopped and started again it goes on. Data out: DIR/quick.jsonl, a line each, which long.py with the same DIR shows on
its page. Exit code 0: green each time; 1: once it was not.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
sys.path.insert(0, str(REPO))

from hamner.runs.files import append_json_line  # noqa: E402
from hamner.runs.read_back import json_lines  # noqa: E402

QUICK = "quick.jsonl"


def main(words: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--times", type=int, default=20, help="how often (default: 20)")
    options.add_argument("--out", type=Path, default=REPO / "results" / "chaos", help="default: results/chaos")
    chosen = options.parse_args(words)
    chosen.out.mkdir(parents=True, exist_ok=True)
    log = chosen.out / QUICK
    for number in range(len(json_lines(log)) + 1, chosen.times + 1):
        began = time.monotonic()
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE)]
        done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
        row = {"step": number, "code": done.returncode, "seconds": round(time.monotonic() - began, 1)}
        lines = [line for line in done.stdout.splitlines() if line.strip()] or [""]
        append_json_line(log, row | {"said": lines[-1]})
        print(f"{number:>3} exit code {done.returncode}, {row['seconds']:.0f} s: {lines[-1]}", flush=True)
        if done.returncode:
            print(done.stdout + done.stderr, flush=True)
    return int(any(row["code"] for row in json_lines(log)))


if __name__ == "__main__":
    raise SystemExit(main())
