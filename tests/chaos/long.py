"""Long form of the chaos suite: hundreds of faults, drawn by seed, one after the other; also `make chaos`.

    python tests/chaos/long.py [--faults 400] [--seed 0] [--only WORD ...] [--pipelines NAME ...] [--out DIR]
                                [--page FILE] [--part 1/2]

Each is injected into a run of its own, which must end with the numbers of one left alone. Stopped and started again it
continues with the next one. Data out: DIR/outcomes.jsonl, a line each; results/reference/chaos.md; the folder of a run
with a problem stays. One fault at a time leaves cores idle: `--part 1/2` and `--part 2/2`, side by side, with the same
DIR, play every second fault each, and either writes the page of both. Exit code 0: nothing lost, nothing different; 1:
something was.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
sys.path[:0] = [str(REPO), str(HERE)]

import killed  # noqa: E402
from chaos_page import page, summary  # noqa: E402
from fault_table import FAULTS, Planned, plan  # noqa: E402
from faults import Fault, play  # noqa: E402
from outcomes import Outcome, Reference, is_hit, problems, read_outcomes, undisturbed  # noqa: E402
from pipelines import PIPELINES, Scene, remove  # noqa: E402
from repeat import QUICK  # noqa: E402

from hamner.runs.files import append_json_line, drop_json_lines_after, write_json, write_text  # noqa: E402
from hamner.runs.read_back import json_lines  # noqa: E402

PAGE = REPO / "results" / "reference" / "chaos.md"
STOP_SECONDS = 60.0  # of SIGSTOP
SERVE = 0  # number of the outcome of the server
WAY_ON = "run the same command again to continue"


def main(words: Sequence[str] | None = None) -> int:
    options = parser().parse_args(words)
    out, killed.STOP_SECONDS = options.out.resolve(), STOP_SECONDS
    out.mkdir(parents=True, exist_ok=True)
    faults = tuple(chosen(options.only, options.pipelines))
    part, parts = options.part
    log = out / ("outcomes.jsonl" if parts == 1 else f"outcomes_{part}of{parts}.jsonl")
    drop_json_lines_after(log, sys.maxsize)  # of a kill: half a line
    done = {(outcome.number, outcome.fault, outcome.pipeline) for outcome in all_outcomes(out)}
    command = command_of(options)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what a fault has begun is ended
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it, and its children would
    try:
        serves = part == 1 and {"", "serve"} & set(options.only)
        if serves and not any(number == SERVE for number, _, _ in done):
            for outcome in serve_outcomes():
                append_json_line(log, outcome.row() | {"step": SERVE})
                print(line_of(outcome), flush=True)
        for planned in plan(options.seed, options.faults, faults):
            mine = planned.number % parts == part % parts
            if mine and (planned.number, planned.fault.name, planned.pipeline) not in done:
                outcome = one_fault(planned, out)
                append_json_line(log, outcome.row() | {"step": planned.number})
                print(line_of(outcome), flush=True)
                write_text(options.page, page(all_outcomes(out), command, json_lines(out / QUICK)))
    except KeyboardInterrupt:
        print(f"stopped; {WAY_ON}", file=sys.stderr)
        return 128 + signal.SIGINT
    outcomes = all_outcomes(out)
    write_text(options.page, page(outcomes, command, json_lines(out / QUICK)))
    print(f"{summary(outcomes)}; {options.page}")
    return int(any(problems(outcome) for outcome in outcomes))


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--faults", type=int, default=400, help="how many (default: 400, each at least once)")
    options.add_argument("--seed", type=int, default=0, help="of the plan (default: 0)")
    options.add_argument("--only", nargs="+", default=[""], help="faults whose names have such words, or of this kind")
    options.add_argument("--pipelines", nargs="+", default=list(PIPELINES), help="default: all")
    options.add_argument("--out", type=Path, default=REPO / "results" / "chaos", help="default: results/chaos")
    options.add_argument("--page", type=Path, default=PAGE, help="default: results/reference/chaos.md")
    options.add_argument("--part", type=part_of, default=(1, 1), metavar="K/N", help="every N-th fault (default: 1/1)")
    return options


def part_of(text: str) -> tuple[int, int]:
    """`2/3` as (2, 3). Raises ArgumentTypeError for any other text."""
    words = re.fullmatch(r"(\d+)/(\d+)", text)
    if not words or not 1 <= int(words[1]) <= int(words[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a part: use K/N, such as 1/2 for the first of two")
    return int(words[1]), int(words[2])


def all_outcomes(out: Path) -> list[Outcome]:
    """Outcomes of all parts, by their numbers."""
    found = [outcome for log in sorted(out.glob("outcomes*.jsonl")) for outcome in read_outcomes(log)]
    return sorted(found, key=lambda outcome: outcome.number)


def command_of(options: argparse.Namespace) -> str:
    """What somebody types who wants the same faults."""
    facts = {name: getattr(options, name) for name in ("faults", "seed", "only", "pipelines")}
    words = [
        f"--{name} {shlex.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in facts.items()
        if value != parser().get_default(name)
    ]
    return "make chaos" + (f' OPTIONS="{" ".join(words)}"' if words else "")


def serve_outcomes() -> list[Outcome]:
    """What comes of servers that are killed, stopped, paused or damaged."""
    from serving import outcomes

    with tempfile.TemporaryDirectory(prefix="chaos-serve-") as place:
        return [replace(outcome, number=SERVE) for outcome in outcomes(Path(place), STOP_SECONDS)]


def chosen(words: Sequence[str], pipelines: Sequence[str]) -> Iterator[Fault]:
    """The faults of a kind, or whose names have one of these words, on these pipelines alone."""
    for fault in FAULTS:
        if any(word in fault.name or word == fault.kind for word in words):
            on = tuple(name for name in fault.pipelines if name in pipelines)
            yield replace(fault, pipelines=on)


def one_fault(planned: Planned, out: Path) -> Outcome:
    """Inject one fault into a run of its own; its folder is removed where all is as it has to be."""
    pipeline = PIPELINES[planned.pipeline]
    reference = reference_of(planned.pipeline, out)
    scene = Scene(pipeline, Path(tempfile.mkdtemp(prefix=f"chaos{planned.number}-")))
    try:
        outcome = play(planned.fault, scene, reference, random.Random(planned.seed))
    except BaseException:  # it is injected again from its beginning
        remove(scene)
        raise
    scene.kill_all()
    outcome = replace(outcome, number=planned.number, seed=planned.seed)
    if problems(outcome):
        print(f"  {scene.place}", flush=True)
    else:
        remove(scene)
    return outcome


def reference_of(name: str, out: Path) -> Reference:
    """The undisturbed run of a pipeline; run once, and kept."""
    path = out / f"undisturbed_{name}.json"
    if not path.is_file():
        with tempfile.TemporaryDirectory(prefix="undisturbed-") as place:
            write_json(path, asdict(undisturbed(PIPELINES[name], Path(place))))
    return Reference(**json.loads(path.read_text(encoding="utf-8")))


def line_of(outcome: Outcome) -> str:
    """An outcome in a line, with what is wrong with it."""
    words = f"{outcome.number:>4} {outcome.pipeline}: {outcome.what}: {outcome.outcome}"
    words += f", {outcome.steps_redone} steps redone" if is_hit(outcome) and outcome.interval else ""
    return "; ".join([words, *(f"PROBLEM: {problem}" for problem in problems(outcome))])


if __name__ == "__main__":
    raise SystemExit(main())
