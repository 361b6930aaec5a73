"""What the live table costs: CPU of reading and drawing it, as a share of one core, over a recorded league's files.

    python tests/benchmarks/live_table.py results/tournament/RUN [--draws 200] [--pictures DIR]

The league, which has to be finished, is rewound in a copy of its small files to the middle of round 2, and played on:
between two draws both runs at work add a row and a step, as they do in 2 seconds. --pictures: draws what a terminal of
80 and of 200 columns shows, and the status of the league once it was killed, as PNG files (with chromium).
"""

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from hamner.reports import live_view
from hamner.reports.live_table import draw, way_on
from hamner.runs.files import read_json, write_json
from hamner.runs.heartbeat import AT_WORK, LEASE
from hamner.runs.resume_log import StepFile
from tournament.league_status import LeagueReader

SIZES = ((80, 24), (200, 40))
FILES = ("config.json", "bracket.json", "metrics.csv", "memory_fallbacks.json", ".step")


def rewound(league: Path, folder: Path) -> list[Path]:
    """Copy a finished league as it was in the middle of round 2; returns the folders of its runs at work."""
    for path in league.rglob("*"):
        if (path.name in FILES or path.name.startswith("documents_")) and path.is_file():
            target = folder / path.relative_to(league)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    ledger = read_json(folder / "bracket.json")
    first, second, *later = ledger["rounds"]
    done = second["outcomes"][: len(second["outcomes"]) // 2]
    running = [_name(row) for row in second["outcomes"][len(done) :][:2]]
    finished = {_name(row) for row in done}
    second |= {"outcomes": done, "kept": [], "decided": False}
    for round_ in later:
        round_ |= {"outcomes": [], "kept": [], "decided": False}
    write_json(folder / "bracket.json", ledger)
    ends = json.loads((folder / "config.json").read_text())["config"]["tournament"]["steps"]
    for row in first["outcomes"]:
        name = _name(row)
        end = ends[0] + (ends[1] if name in finished else ends[1] * 2 // 3 if name in running else 0)
        _cut(folder / name, end)
    for name in running:
        (folder / name / AT_WORK).touch()
    lease = {"host": "elsewhere", "pid": 1, "time": time.time()}
    (folder / LEASE).write_text(json.dumps(lease))
    return [folder / name for name in running]


def _name(row: dict) -> str:
    return row["contestant"] + (f"-seed{row['seed']}" if row["seed"] else "")


def _cut(folder: Path, end: int) -> None:
    """Take a run's rows after a step away."""
    if not (folder / "metrics.csv").is_file():
        return
    heading, *rows = (folder / "metrics.csv").read_text().splitlines()
    rows = [row for row in rows if int(row.split(",")[0]) <= end]
    (folder / "metrics.csv").write_text("\n".join([heading, *rows]) + "\n")
    _mark(folder, min(end, int(rows[-1].split(",")[0])))


def _mark(folder: Path, step: int) -> None:
    mark = StepFile(folder, 1)
    mark.mark(step)
    mark.close()


def measure(folder: Path, running: list[Path], draws: int, width: int, height: int) -> float:
    """CPU seconds of one draw, of reading and of writing it to a terminal that takes everything."""
    screen = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system="256")
    reader, seconds = LeagueReader(folder), 0.0
    with live_view.Screen(screen) as view:
        view.show(reader.status())
        for number in range(draws):
            for place in running:
                with (place / "metrics.csv").open("a") as file:
                    file.write((place / "metrics.csv").read_text().splitlines()[-1] + "\n")
                _mark(place, 40 + number)
            began = time.process_time()
            view.show(reader.status())
            seconds += time.process_time() - began
    return seconds / draws


def picture(folder: Path, width: int, height: int, png: Path) -> None:
    """What a terminal shows of a league, as a PNG file."""
    status = LeagueReader(folder).status()
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    console.print(draw(status, width, height))
    if way_on(status):
        console.print(way_on(status), soft_wrap=True, highlight=False)
    svg = console.export_svg(title=f"{width} columns", code_format=_plain_svg())
    lines = len(status.foot) + len(status.rows) + len(status.head) + 4
    with tempfile.TemporaryDirectory() as temporary:
        page = Path(temporary) / "page.html"
        page.write_text(f'<body style="margin:0;background:#292929">{svg}</body>', encoding="utf-8")
        words = ["--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu", f"--screenshot={png}"]
        size = f"--window-size={int(width * 8.2) + 20},{lines * 17 + 60}"
        subprocess.run(["chromium", *words, size, page.as_uri()], check=True, capture_output=True, timeout=300)


def _plain_svg() -> str:
    from rich._export_format import CONSOLE_SVG_FORMAT

    return CONSOLE_SVG_FORMAT.replace('<svg class="rich-terminal"', '<svg width="100%" class="rich-terminal"')


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("league", type=Path)
    options.add_argument("--draws", type=int, default=200)
    options.add_argument("--pictures", type=Path)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "tournament" / "demo"
        os.environ["HAMNER_RESULTS"] = temporary
        running = rewound(given.league, folder)
        if given.pictures:
            for width, height in SIZES:
                picture(folder, width, height, given.pictures / f"live_{width}.png")
            long_ago = time.time() - 540
            for path in folder.rglob("*"):
                os.utime(path, (long_ago, long_ago))
            (folder / LEASE).write_text(json.dumps({"host": "elsewhere", "pid": 1, "time": long_ago}))
            for path in (folder / LEASE, running[-1] / ".step"):
                os.utime(path, (long_ago + 1, long_ago + 1))
            picture(folder, 80, 24, given.pictures / "status_killed.png")
            return
        rows = len(LeagueReader(folder).status().rows)
        for width, height in SIZES:
            seconds = measure(folder, running, given.draws, width, height)
            share = seconds / live_view.REDRAW_SECONDS
            print(
                f"{rows} contestants, {width} columns: {1000 * seconds:.2f} ms of CPU a draw, every "
                f"{live_view.REDRAW_SECONDS:g} s: {100 * share:.2f} % of one core ({given.draws} draws)"
            )


if __name__ == "__main__":
    sys.exit(main())
