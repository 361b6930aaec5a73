"""Transcript of a cluster in trouble: what was done, what the commands said, what it cost.

    python tests/nodes/transcript.py [--folder DIR] [SCENARIO ...]    # two to four minutes each; all without a name

Outcomes are kept in DIR, so scenarios can be played one by one. Writes results/reference/nodes.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import sys
import traceback
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from namespaces import REPO, why_not
from scenarios import CONTESTANTS, SCENARIOS, Outcome

PAGE = REPO / "results" / "reference" / "nodes.md"
HEAD = """# Several nodes: lost, replaced, cut off

Two nodes of one core each in namespaces of one machine, each with a network, processes and a host name of its own,
one file system, Ray's token on. Written by `python tests/nodes/transcript.py`; the same scenarios are tests
(`pytest -m slow tests/nodes`). The league: {contestants} contestants of `smoke` in two rounds; the curriculum: one
stage with two workers. What they are compared with was played on one machine with a Ray of its own; other programs
used that machine as well, so differences of seconds are noisy. Steps redone are said for each time that a run was
started again; 0: it stood at a checkpoint. Where a node or the head is lost, Ray was told to notice it sooner: after
10 to 20 seconds, where its own times make it up to 65; a node without its head ends after 20 seconds instead of 60.
The cuts of 30 seconds have Ray's own times, within which it takes a node for dead at times, but for the one where it is
told to. Machine: {machine}, Ray {ray}.

| | numbers | steps redone | seconds | more than alone |
|---|---|---|---|---|
"""
SHOWN = 40  # lines of what a command printed
NOISE = re.compile(r"^\s*$|Tip: use `ray|Warning:|\x1b\[\?")


def main() -> int:
    options = argparse.ArgumentParser(description="Play scenarios and write results/reference/nodes.md.")
    options.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    options.add_argument("--folder", type=Path, default=Path("/tmp/hamner-nodes"), help="of all runs (%(default)s)")
    options.add_argument("--page", action="store_true", help="play none: write the page of those that were played")
    asked = options.parse_args()
    if unknown := set(asked.scenarios) - set(SCENARIOS):
        options.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    if reason := why_not():
        print(f"not played: {reason}", file=sys.stderr)
        return 2
    is_well = True
    for name in () if asked.page else asked.scenarios or SCENARIOS:
        try:
            outcome = _play(name, asked.folder)
        except (TimeoutError, OSError):  # the others are played nevertheless
            traceback.print_exc()
            is_well = False
            continue
        print(_row(outcome), flush=True)
        is_well = is_well and outcome.is_same
    _write(asked.folder)
    return 0 if is_well else 1


def _play(name: str, folder: Path) -> Outcome:
    for leftover in folder.glob("*/hosts"):  # runs of an earlier call; what was played on one machine stays
        shutil.rmtree(leftover.parent, ignore_errors=True)
    outcome = SCENARIOS[name](folder)
    (folder / f"{name}.json").write_text(json.dumps(asdict(outcome), indent=1))
    return outcome


def _write(folder: Path) -> None:
    """Write the page from all outcomes there are."""
    files = {name: folder / f"{name}.json" for name in SCENARIOS}
    outcomes = [
        Outcome(**json.loads(path.read_text().replace(str(folder), "DIR"))) for path in files.values() if path.is_file()
    ]
    absent = [f"| {name} | **no outcome on this page** | | | |\n" for name, path in files.items() if not path.is_file()]
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release().split('-')[0]}"
    head = HEAD.format(contestants=len(CONTESTANTS), machine=machine, ray=version("ray"))
    rows = [*(_row(outcome) + "\n" for outcome in outcomes), *absent]
    text = head + "".join(rows) + "".join(map(_section, outcomes))
    PAGE.write_text(text, encoding="utf-8")


def _row(outcome: Outcome) -> str:
    redone = ", ".join(map(str, outcome.steps_redone)) or "none"
    if outcome.largest_gap is not None:
        numbers = f"the same batches; losses within {outcome.largest_gap:.1e} nats of one worker's"
    else:
        numbers = "the same, bit for bit"
    more = f"{outcome.seconds - outcome.seconds_alone:+.0f}" if outcome.seconds_alone else ""
    numbers = numbers if outcome.is_same else "**different**"
    return f"| {outcome.title} | {numbers} | {redone} | {outcome.seconds:.0f} | {more} |"


def _section(outcome: Outcome) -> str:
    said = [line[:160] for line in outcome.output.splitlines() if not NOISE.search(line)]
    left_out = [f"[{len(said) - SHOWN} lines left out]"] if len(said) > SHOWN else []
    said = [*said[: SHOWN // 2], *left_out, *said[-SHOWN // 2 :]] if left_out else said
    blocks = ["\n".join(outcome.events), "\n".join(said)]
    return f"\n## {outcome.title}\n\n" + "\n\n".join(f"```text\n{block}\n```" for block in blocks) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
