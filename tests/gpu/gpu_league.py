"""GPU league: leagues and a curriculum on the card of this machine, with Ray; kill, resume, running out of memory.

    python tests/gpu/gpu_league.py                          or: make gpu-league
    python tests/gpu/gpu_league.py --device cpu             what of it needs no card, about ten minutes on two cores

Needs everything installed (make install). About 25 minutes on an RTX 3090, 15 on an H100. Data out: gpu_league.json and
gpu_league.md in --out, the runs in --results. Exit code 0: all is as it has to be; 1: something is not; 2: bad input.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
sys.path[:0] = [str(REPO), str(HERE), str(REPO / "tests" / "benchmarks")]

from check_page import as_json, as_markdown  # noqa: E402
from check_runner import Outcome, one_line  # noqa: E402
from check_setup import Row  # noqa: E402
from kills import League, standings  # noqa: E402

from hamner.config.cost import GIB  # noqa: E402
from hamner.config.load import key_names, load_config  # noqa: E402
from hamner.config.presets import CONTESTANTS  # noqa: E402
from hamner.runs.files import read_json  # noqa: E402
from hamner.runs.heartbeat import AT_WORK  # noqa: E402
from hamner.runs.metrics import read_metrics  # noqa: E402
from tournament.gpu_memory import MemoryPlan, memory_estimate  # noqa: E402

PLAN_OFF = 0.15  # share by which a measured peak may differ from the plan
BUILTIN = ("--data", "builtin", "data.tokenizer=train")  # no network
FULL_SIZE = ("v08_hybrid_medium", "v10_wide_shallow")
MEMORY_NAMES, NO_CHECKPOINTING = ("v01_dense_small", "v09_deep_narrow"), ("compute.activation_checkpointing=false",)
ROUND_1 = 500  # steps, those of the full-size league
SMOKE_SECONDS = 600  # limit of a smoke league


@dataclass(frozen=True)
class Place:
    """Where the runs lie, and what device they are on."""

    results: Path
    device: str

    @property
    def words(self) -> list[str]:
        """Settings that put a smoke run on the card, with equal sums where there is a choice."""
        if self.device == "cpu":
            return []
        strict = ["compute.deterministic=true"] if "compute.deterministic" in key_names() else []
        return ["compute.device=cuda", "compute.precision=bf16", *strict]

    def league(self, name: str, *words: str) -> League:
        return League(self.results, name, *words)


def plan(*words: str) -> dict[str, dict]:
    """What `tournament --plan` says of each contestant."""
    command = [sys.executable, "-m", "tournament", "--plan", "--json", *words]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [json.loads(line) for line in out.splitlines()]
    return {row["contestant"]: row for row in rows if "contestant" in row}


def most_at_work(league: League, limit: float) -> int:
    """Wait for a league to end; the most of its runs that were at work at one time."""
    most, end = 0, time.monotonic() + limit
    while league.process.poll() is None and time.monotonic() < end:
        most = max(most, sum(1 for _ in league.folder.glob(f"*/{AT_WORK}")))
        time.sleep(0.2)
    league.wait(1)
    return most


def ended(name: str, league: League, **values: object) -> Row:
    return Row(name, {"exit code": league.process.returncode, **values}, league.process.returncode == 0)


def smoke_league(place: Place) -> Iterator[Row]:
    """Ten miniatures on the card, several at a time by Ray's fractions."""
    words = ["--config", "smoke", *place.words]
    began = time.monotonic()
    league = place.league("card-smoke", *words)
    most = most_at_work(league, SMOKE_SECONDS)
    yield ended("league", league, seconds=round(time.monotonic() - began))
    shares = sorted(row["gpu_share"] for row in plan(*words).values())
    several = most >= 2 if place.device == "cuda" else None  # a machine may have one core
    yield Row("runs at a time", {"most": most, "shares of the card": f"{shares[0]} to {shares[-1]}"}, several)


def kill_and_resume(place: Place) -> Iterator[Row]:
    """The same league, its driver killed in the middle and resumed: the same standings."""
    whole = place.results / "tournament" / "card-smoke"
    begin, end = ((whole / name).stat().st_mtime for name in ("config.json", "standings.json"))
    league = place.league("card-killed", "--config", "smoke", *place.words)
    while not (league.folder / "config.json").exists() and league.process.poll() is None:
        time.sleep(0.05)
    time.sleep((end - begin) / 2)
    league.process.send_signal(signal.SIGKILL)
    league.wait()
    again = place.league("card-killed", "--resume")
    again.wait(SMOKE_SECONDS)
    yield ended("resumed", again)
    same = standings(again.folder) == standings(whole)
    yield Row("standings", {"equal to those of the league left alone": same}, same)


def curriculum(place: Place) -> Iterator[Row]:
    """The winner through all stages on the card."""
    command = ["curriculum.run", "winner", "--tournament", "card-smoke", "--config", "smoke", "--name", "card-smoke"]
    environment = os.environ | {"HAMNER_RESULTS": str(place.results), "RAY_USAGE_STATS_ENABLED": "0"}
    began = time.monotonic()
    with (place.results / "curriculum.log").open("w") as log:
        code = subprocess.run(
            [sys.executable, "-m", *command, *place.words], env=environment, stdout=log, stderr=log, timeout=900
        ).returncode
    stages = len(read_json(place.results / "curriculum" / "card-smoke" / "stages.json")) if code == 0 else 0
    yield Row(
        "curriculum", {"exit code": code, "stages": stages, "seconds": round(time.monotonic() - began)}, code == 0
    )


def needed_gib() -> tuple[float, float]:
    """What a step of MEMORY_NAMES needs at most, in one part and in two, without checkpointing."""
    config = load_config("rtx3090", NO_CHECKPOINTING)
    whole, halved = (
        max(memory_estimate(CONTESTANTS[name], config, MemoryPlan(parts, False, 0.0)).peak for name in MEMORY_NAMES)
        for parts in (1, 2)
    )
    return whole / GIB, halved / GIB


def out_of_memory(place: Place) -> Iterator[Row]:
    """A card between what a batch needs whole and what it needs in two parts: the fallbacks find the way."""
    whole, halved = needed_gib()
    card = f"compute.gpu_memory_gib={(whole + halved) / 2:.2f}"
    only = [word for name in MEMORY_NAMES for word in ("--only", name)]
    league = place.league(
        "card-memory",
        "--config",
        "rtx3090",
        *BUILTIN,
        *only,
        *NO_CHECKPOINTING,
        card,
        "steps=[20]",
        "keep=[1]",
        "seeds=1",
        "lr=shared",
    )
    league.wait(600)
    fallbacks = [
        record["fallback"]
        for path in league.folder.glob("*/memory_fallbacks.json")
        for record in read_json(path)["fallbacks"]
    ]
    yield ended(f"{whole:.1f} GiB needed, {card}", league, fallbacks=", ".join(fallbacks) or "none")
    yield Row("fallbacks", {"taken": len(fallbacks)}, bool(fallbacks))


def full_size(place: Place) -> Iterator[Row]:
    """The two largest kinds to the end of round 1, with their measured peaks beside the plan."""
    only = [word for name in FULL_SIZE for word in ("--only", name)]
    words = ["--config", "rtx3090", *BUILTIN, *only, f"steps=[{ROUND_1}]", "keep=[1]", "seeds=1", "lr=shared"]
    planned = plan(*words)
    league = place.league("card-full", *words)
    league.wait(1800)
    yield ended("league", league)
    for name in FULL_SIZE:
        rows = read_metrics(league.folder / name)
        peak = max(float(row["peak_gib"]) for row in rows if row.get("peak_gib"))
        expected = planned[name]["memory_gib"] - planned[name]["memory_terms_gib"]["CUDA"]
        values = {
            "step": int(rows[-1]["step"]),
            "tokens a second": round(float(rows[-1]["tokens_per_second"])),
            "peak GiB": peak,
            "planned GiB": expected,
            "plan off by": expected / peak - 1,
        }
        yield Row(name, values, abs(expected / peak - 1) <= PLAN_OFF and values["step"] == ROUND_1)


@dataclass(frozen=True)
class Section:
    name: str
    minutes: float  # on an RTX 3090; guesses, until one has run it
    measure: Callable[[Place], Iterator[Row]]
    needs_card: bool = False


SECTIONS = (
    Section("smoke league", 3, smoke_league),
    Section("kill and resume", 4, kill_and_resume),
    Section("curriculum", 4, curriculum),
    Section("out of memory", 4, out_of_memory, needs_card=True),
    Section("full size", 10, full_size, needs_card=True),
)


def run_section(section: Section, place: Place) -> Outcome:
    """What a section measures, up to where it fails: the others run all the same."""
    outcome, began = Outcome(section.name), time.monotonic()
    try:
        for row in section.measure(place):
            outcome.rows.append(row)
            print(f"  {section.name}: {row.name}: {one_line(row)}", flush=True)
    except Exception as error:
        traceback.print_exc()
        outcome.state, outcome.note = "failed", f"{type(error).__name__}: {str(error)[:200]}"
    outcome.seconds = time.monotonic() - began
    return outcome


def main(arguments: list[str] | None = None) -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    options.add_argument("--results", type=Path, default=Path("gpu_league"), help="a new folder for the runs")
    options.add_argument("--out", type=Path, default=Path(), help="folder of the two files")
    wanted = options.parse_args(arguments)
    if wanted.results.exists():
        print(f"gpu_league: {wanted.results} exists: give another --results, or remove it", file=sys.stderr)
        return 2
    from hamner.runs.cluster import has_cuda_card

    if wanted.device == "cuda" and not has_cuda_card():
        print("gpu_league: PyTorch finds no CUDA card here: use --device cpu for what needs none", file=sys.stderr)
        return 2
    sections = [section for section in SECTIONS if wanted.device == "cuda" or not section.needs_card]
    minutes = sum(section.minutes for section in sections)
    print(f"{len(sections)} sections, about {minutes:.0f} minutes on an RTX 3090 or on two CPU cores", flush=True)
    wanted.results.mkdir(parents=True)
    place, began = Place(wanted.results.resolve(), wanted.device), time.time()
    outcomes = [run_section(section, place) for section in sections]
    facts = {"device": wanted.device, "date": time.strftime("%Y-%m-%d"), "seconds": round(time.time() - began)}
    wanted.out.mkdir(parents=True, exist_ok=True)
    (wanted.out / "gpu_league.json").write_text(as_json(outcomes, facts), encoding="utf-8")
    (wanted.out / "gpu_league.md").write_text(as_markdown(outcomes, facts) + "\n", encoding="utf-8")
    wrong = [outcome.name for outcome in outcomes if not outcome.is_right]
    print(f"not as it has to be: {', '.join(wrong)}" if wrong else "all is as it has to be", flush=True)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
