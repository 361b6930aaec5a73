"""Files of a curriculum's report: written on demand, and beside a run after each of its stages.

Data in: a run's folder. Data out: report.html, report.md, PNGs, report.json, results/index.html. Beside a run it is the
driver that has them written, by a process of its own: training neither waits for a report nor notices that one failed.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from curriculum.report_lead import summary
from curriculum.report_sections import curriculum_report
from curriculum.run_record import read_run
from hamner.reports.report_files import ReportWriter, write_report
from hamner.runs.files import reading

LOOK_SECONDS = 1.0  # between two looks for a stage that is over


def write_run_report(folder: Path) -> Path:
    """Write the report of the run in a folder; returns the path of its page. Raises BadInput where there is no run."""
    with reading(folder):
        run = read_run(folder)
        return write_report(folder, curriculum_report(run), summary(run))


@contextlib.contextmanager
def report_kept(folder: Path) -> Iterator[None]:
    """Write the report whenever a stage is over while the block lasts, and once more when it ends by itself."""
    writer, is_over = ReportWriter(write_run_report, folder), threading.Event()
    at_start = _stages_file(folder)  # here: a thread may begin late

    def follow() -> None:
        written = at_start
        while not is_over.wait(LOOK_SECONDS):
            newest = _stages_file(folder)
            if newest != written and not writer.is_writing():  # an older report is better than none
                written = newest
                writer.begin()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        writer.close()
    writer.finish()


def _stages_file(folder: Path) -> int:
    """When stages.json was written, which it is after each stage; 0 before."""
    try:
        return (folder / "stages.json").stat().st_mtime_ns
    except OSError:
        return 0
