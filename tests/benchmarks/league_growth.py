"""As the league grows: what a report costs the driver, in time, bytes of the ledger and memory, at 10 to 1,000.

    python tests/benchmarks/league_growth.py                                 the rule alone, in this process: no Ray
    python tests/benchmarks/league_growth.py tune [--contestants 10,100]     through Tune, on three local nodes

Both play whole leagues of fake runs, half of which go on in every round, through the real scheduler, bracket, league
and ledger: the rule with a stand-in for Tune, the other through a Tuner on a cluster of three raylets of two cores. A
run reports held-out losses of 100 documents of each of two sources. `report` is the CPU time of the driver from Tune's
call to the flushed ledger, the median; `ends` what the ends of rounds (standings, statistics) take on top, of the whole
league; `draw` one redraw of the live table. The exponent is that of a power law through the sizes: 0 is constant, 1 is
as the contestants. Each size has a process of its own.

Data out: --out, a page with a table, the exponents and a curve of each column for either way; what it has of the other
way stays. On two cores the rule takes a minute and a half. Through Tune 10 contestants take 10 s, 100 take 22 and 1,000
(1,993 reports) three minutes. A league is stopped after --minutes, and its row is of what it reported until then.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
REPO = TESTS.parent
sys.path[:0] = [str(REPO), str(TESTS / "tournament"), str(Path(__file__).parent)]

NODES, CORES = 3, 2
PAGE = REPO / "results" / "reference" / "growth.md"
WAYS = {"rule": "The rule alone", "tune": "Through Tune, on three local nodes"}
DOCUMENTS = 100  # of each of two sources
PROGRESS = 10  # seconds between two lines of progress
DECADE = 12  # letters of a curve by which ten times as much is longer
COLUMNS = {  # key: head, digits
    "reports": ("reports", 0),
    "report_ms": ("report, ms", 2),
    "ends_s": ("ends, s", 1),
    "ledger_bytes": ("ledger bytes a report", 0),
    "draw_ms": ("draw, ms", 1),
    "driver_ms": ("driver CPU a report, ms", 1),
    "first_s": ("first report after, s", 0),
    "next_ms": ("each further one, wall, ms", 0),
    "seconds": ("wall, s", 0),
    "mib": ("driver, MiB", 0),
}


class Meter:
    """CPU seconds of the scheduler's calls, those in which a round was decided apart; bytes that the ledger wrote."""

    def __init__(self) -> None:
        self.reports: list[float] = []
        self.ends, self.other, self.ledger_bytes = 0.0, 0.0, 0
        self._has_reported = self._is_end = False
        self._began = self._said = time.monotonic()
        self.first = 0.0  # seconds until the first report

    @contextmanager
    def call(self) -> Iterator[None]:
        """One call of the scheduler."""
        self._has_reported = self._is_end = False
        began = time.process_time()
        yield
        seconds = time.process_time() - began
        if self._is_end:
            self.ends += seconds
        elif self._has_reported:
            self.reports.append(seconds)
        else:
            self.other += seconds

    def watch(self, league: Any, minutes: float = math.inf) -> None:
        """Let a league's records be counted, and progress be printed; after so many minutes the league is stopped."""
        record, write = league.record, league._write
        self._began = self._said = time.monotonic()

        def watched_record(run: Any, outcome: Any, is_decided: bool) -> None:
            self._has_reported, self._is_end = True, self._is_end or is_decided
            record(run, outcome, is_decided)
            self.first = self.first or time.monotonic() - self._began
            self._show_progress(league)
            if time.monotonic() - self._began > 60 * minutes:
                league.stop.make()

        def watched_write() -> None:
            before = _bytes_written()
            write()
            self.ledger_bytes += _bytes_written() - before

        league.record, league._write = watched_record, watched_write

    def _show_progress(self, league: Any) -> None:
        now = time.monotonic()
        if now - self._said > PROGRESS:
            self._said, seconds = now, now - self._began
            done, all_of_it = _reports(league), sum(league.bracket.rules.keep) + len(league.contestants)
            print(f"  {done:,} of about {all_of_it:,} reports, {seconds:.0f} s", file=sys.stderr, flush=True)

    def row(self) -> dict[str, float]:
        count = len(self.reports) or 1
        return {
            "report_ms": 1000 * (statistics.median(self.reports) + self.other / count) if self.reports else 0.0,
            "ends_s": self.ends,
        }


def _reports(league: Any) -> int:
    """Reports that the bracket has."""
    return sum(len(round_.outcomes) for round_ in league.bracket.rounds)


def _bytes_written() -> int:
    """Bytes that this thread has handed to write(); Ray's own threads write to its sockets meanwhile."""
    return int(Path("/proc/thread-self/io").read_text().split("wchar: ")[1].split()[0])


def make_league(folder: Path, contestants: int) -> Any:
    """A league of so many, one seed each."""
    from played import league_of

    keep = [contestants >> power for power in range(1, contestants.bit_length())]
    words = (f"keep={keep}", f"steps={[4] * len(keep)}", "lr=shared", "seeds=1", "report=[]", "use_calibration=false")
    return league_of(folder, *words, names=[f"c{place:04}" for place in range(contestants)])


def fake_outcome(league: Any, run: Any, index: int, rng: random.Random) -> Any:
    """What a run reports at a round's end: documents and facts as a real one has them."""
    from fakes import documents
    from played import known_outcome

    outcome = known_outcome(league, run, index, int(run.contestant[1:]), rng)
    outcome.documents.clear()
    outcome.documents.update(documents(rng, outcome.heldout_loss, DOCUMENTS))
    return outcome


def play_rule(contestants: int, minutes: float) -> dict[str, float]:
    """A whole league with a stand-in for Tune, however long it takes."""
    from fakes import play_fake

    from tournament.league_status import LeagueReader

    with tempfile.TemporaryDirectory() as temporary:
        league, rng, meter = make_league(Path(temporary) / "x", contestants), random.Random(0), Meter()
        meter.watch(league)
        before, bytes_before = _mib(), _document_bytes(league.folder)
        play_fake(
            league.bracket,
            lambda run, index: fake_outcome(league, run, index, rng),
            rng,
            slots=NODES * CORES,
            measure=meter.call,
            record=lambda *facts: league.record(*facts),
        )
        reports = _reports(league)
        ledger_bytes = meter.ledger_bytes - (_document_bytes(league.folder) - bytes_before)
        reader = LeagueReader(league.folder)
        reader.status()
        began = time.process_time()
        reader.status()
        draw = time.process_time() - began
    return meter.row() | {
        "reports": reports,
        "ledger_bytes": ledger_bytes / reports,
        "draw_ms": 1000 * draw,
        "mib": _mib(),
        "mib_before": before,
    }


def _document_bytes(folder: Path) -> int:
    """Bytes of the documents, which are written once, whatever else the ledger does."""
    return sum(path.stat().st_size for path in folder.glob("*/documents_*.json"))


def _mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# -- through Tune


def fake_run() -> type:
    """A trainable that reports an outcome at each step; made in a function, so that Ray sends it by value.

    Its losses come by value, too: else each process would import the project's scheduler for them.
    """
    import fakes
    from fakes import documents
    from ray import cloudpickle, tune

    cloudpickle.register_pickle_by_value(fakes)

    class FakeRun(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            self.row = config["row"]
            self.round, self.is_reported, self.is_waiting = self.row["round"], False, self.row["waiting"]

        def step(self) -> dict[str, Any]:
            if self.is_waiting:
                self.is_waiting = False
                return {"round": self.round, "step": 0, "round_done": False}
            self.round += self.is_reported
            self.is_reported = True
            place = int(self.row["contestant"][1:])
            loss = 5 - 0.5 * self.round + 0.01 * place
            rng = random.Random(1000 * place + self.round)
            facts = {"tokens": 100 * (self.round + 1), "seconds": 1.0, "busy_seconds": 1.2, "tokens_per_second": 100.0}
            outcome = {"heldout_loss": loss, "rows": 32, "facts": facts, "documents": documents(rng, loss, DOCUMENTS)}
            return {"round": self.round, "step": self.round, "round_done": True, "outcome": json.dumps(outcome)}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            Path(checkpoint_dir, "round.json").write_text(json.dumps([self.round, self.is_reported]))

        def load_checkpoint(self, checkpoint_dir: str) -> None:
            pass  # the row says which round comes

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.setup(new_config)
            return True

    return FakeRun


def play_tune(contestants: int, minutes: float) -> dict[str, float]:
    """A league through the real Tuner, on a cluster of three nodes on this machine; whole, or for so many minutes."""
    from tournament.tuner import TUNE_ENVIRONMENT, play_rounds, use_first_processes

    # the six first processes of the nodes have loaded what a trial needs, and all trials run in them
    os.environ |= TUNE_ENVIRONMENT | {"RAY_worker_niceness": "0", "RAY_preload_python_modules": "ray.tune"}
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    use_first_processes()
    import ray
    from ray.cluster_utils import Cluster

    from tournament.scheduler import EliminationScheduler

    meter = Meter()
    for name in ("on_trial_result", "choose_trial_to_run", "on_trial_add"):
        setattr(EliminationScheduler, name, _metered(getattr(EliminationScheduler, name), meter))
    with tempfile.TemporaryDirectory() as temporary:
        node = {"num_cpus": CORES, "object_store_memory": 100 * 2**20}
        cluster = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
        try:
            for _ in range(NODES - 1):
                cluster.add_node(**node)
            ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
            league = make_league(Path(temporary) / "x", contestants)
            meter.watch(league, minutes)
            cpu, began = time.process_time(), time.monotonic()
            play_rounds(league, fake_run())
            cpu, seconds = time.process_time() - cpu, time.monotonic() - began
            reasons = {outcome.reason for round_ in league.bracket.rounds for outcome in round_.outcomes.values()}
            is_over = league.bracket.is_over()
            assert reasons == {""} and (league.bracket.winner() == "c0000" if is_over else league.stop), reasons
            attempts = sum(1 for _ in (league.folder / "ray").iterdir())
            ledger_bytes = meter.ledger_bytes - _document_bytes(league.folder)
        finally:
            ray.shutdown()
            cluster.shutdown()
    reports = _reports(league)
    return meter.row() | {
        "reports": reports,
        "is_over": is_over,
        "ledger_bytes": ledger_bytes / reports,
        "driver_ms": 1000 * (cpu - meter.ends) / reports,
        "first_s": meter.first,
        "next_ms": 1000 * (seconds - meter.first) / max(1, reports - 1),
        "seconds": seconds,
        "mib": _mib(),
        "tuners": attempts,
    }


def _metered(method: Any, meter: Meter) -> Any:
    def metered(self: Any, *arguments: Any) -> Any:
        with meter.call():
            return method(self, *arguments)

    return metered


# -- the page


def table(rows: Mapping[int, Mapping[str, float]]) -> list[str]:
    """Lines of Markdown: a row a size, and the exponents below."""
    keys = columns(rows)
    lines = ["| contestants | " + " | ".join(COLUMNS[key][0] for key in keys) + " |", "|---" * (len(keys) + 1) + "|"]
    for count, row in rows.items():
        cells = (f"{row[key]:,.{COLUMNS[key][1]}f}" for key in keys)
        name = f"{count:,}" if row.get("is_over", True) else f"{count:,}, the first {row['seconds'] / 60:.0f} minutes"
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    if len(rows) > 1:
        cells = (f"{exponent(rows, key):.2f}" for key in keys)
        lines.append("| exponent | " + " | ".join(cells) + " |")
    return lines


def columns(rows: Mapping[int, Mapping[str, float]]) -> list[str]:
    """The keys of COLUMNS that there are figures of."""
    return [key for key in COLUMNS if any(key in row for row in rows.values())]


def exponent(rows: Mapping[int, Mapping[str, float]], key: str) -> float:
    """The exponent of a power law through the sizes."""
    import numpy as np

    values = [max(row[key], 1e-12) for row in rows.values()]
    return round(float(np.polyfit(np.log(list(rows)), np.log(values), 1)[0]), 6) + 0.0  # no -0.00


def curves(rows: Mapping[int, Mapping[str, float]]) -> list[str]:
    """Bars on a logarithmic scale: what is ten times as much has a bar that is longer by DECADE."""
    lines = []
    for key in columns(rows):
        values = {count: row[key] for count, row in rows.items() if row[key] > 0}
        if not values:
            continue
        least = min(values.values())
        lines.append(COLUMNS[key][0] + (f": exponent {exponent(rows, key):.2f}" if len(rows) > 1 else ""))
        for count, value in values.items():
            bar = "#" * (DECADE + round(DECADE * math.log10(value / least)))
            lines.append(f"{count:>7,}  {bar} {value:,.{COLUMNS[key][1]}f}")
        lines.append("")
    return ["```text", *lines[:-1], "```"]


def section(way: str, command: str, rows: Mapping[int, Mapping[str, float]]) -> str:
    """The part of the page of one way."""
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores"
    curve = f"A bar is longer by {DECADE} letters where the value is ten times as large."
    return "\n".join(
        [f"## {WAYS[way]}", "", f"`{command}`: {machine}.", "", *table(rows), "", curve, "", *curves(rows), ""]
    )


def page(before: str, way: str, text: str) -> str:
    """The page with a new section of one way; that of the other stays as it is in the page of before."""
    parts = {name: re.search(rf"## {re.escape(title)}\n.*?(?=\n## |\Z)", before, re.S) for name, title in WAYS.items()}
    sections = {name: found[0].rstrip("\n") + "\n" for name, found in parts.items() if found} | {way: text}
    lines = [
        "# As the league grows, measured",
        "",
        "Written by `tests/benchmarks/league_growth.py`, which says what the columns are; what follows from it is in",
        "[growth](../../docs/growth.md). The exponent is that of a power law: 0 is constant, 1 is as the contestants.",
        "",
    ]
    return "\n".join([*lines, *(sections[name] for name in WAYS if name in sections)])


def measure(way: str, contestants: int, minutes: float) -> dict[str, float]:
    """One size, in a process of its own."""
    command = [sys.executable, __file__, way, "--child", str(contestants), "--minutes", str(minutes)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise SystemExit(f"{contestants} contestants: exit code {done.returncode}\n{done.stdout[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", nargs="?", choices=WAYS, default="rule")
    parser.add_argument("--contestants", default="10,100,1000", help="sizes (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=60, help="after which a size of `tune` is cut (default: 60)")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page (default: results/reference/growth.md)")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    ways = {"rule": play_rule, "tune": play_tune}
    if options.child:
        print(json.dumps(ways[options.way](options.child, options.minutes)))
        return
    from hamner.runs.files import write_text

    rows: dict[int, dict[str, float]] = {}
    for count in map(int, options.contestants.split(",")):
        rows[count] = measure(options.way, count, options.minutes)
        print(f"{count:,}: {json.dumps(rows[count])}", flush=True)
        # after each size: what is measured is kept, whatever becomes of the next
        command = f"python tests/benchmarks/league_growth.py {options.way} --contestants {','.join(map(str, rows))}"
        before = options.out.read_text(encoding="utf-8") if options.out.is_file() else ""
        write_text(options.out, page(before, options.way, section(options.way, command, rows)))
    print(*table(rows), f"\nwritten: {options.out}", sep="\n")


if __name__ == "__main__":
    main()
