"""Files of a report: report.html, report.md, a PNG of each chart, report.json, and the index of all runs.

In: a Report and the run's folder. Out: these files, each replaced as a whole; the same report gives the same bytes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from hamner.reports.html import report_html
from hamner.reports.index import INDEX, REPORT, SUMMARY, write_index
from hamner.reports.markdown import picture_name, report_markdown
from hamner.reports.parts import Chart, Fold, Part, Report, Summary
from hamner.runs.background import Child, Failed, Send, first_line
from hamner.runs.files import write_bytes, write_json, write_text
from hamner.runs.output import print_error


def write_report(folder: Path, report: Report, summary: Summary) -> Path:
    """Write all files of a run's report; returns the path of the page. folder: RESULTS/KIND/RUN."""
    from hamner.reports.charts import png

    write_json(folder / SUMMARY, asdict(summary))
    write_text(folder / REPORT, report_html(report))  # before the pictures: what a kill leaves is the page
    write_index(folder.parents[1])
    write_text(folder / "report.md", report_markdown(report))
    for chart in charts(report):
        write_bytes(folder / picture_name(chart), png(chart))
    return folder / REPORT


class ReportWriter:
    """Writes the reports of a run that goes on, in a process of its own, which yields to all others.

    Whatever is wrong with a report is one line on stderr, and the run goes on.
    """

    def __init__(self, write: Callable[[Path], object], folder: Path) -> None:
        """write: what writes the report of a folder; importable, since the process imports it."""
        self._write, self._folder = write, folder
        self._child: Child | None = None

    def begin(self) -> None:
        """Begin to write; a report that is still being written is given up for the newer one."""
        self.close()
        try:
            self._child = Child(_write_in_child, self._write, self._folder)
        except OSError as error:  # no process to be had
            _say_failed(str(error))

    def finish(self) -> None:
        """Write the report of the run's end, here and now."""
        self.close()
        try:
            self._write(self._folder)
        except Exception as error:
            _say_failed(f"{type(error).__name__}: {first_line(error)}")

    def catch_up(self, result: Path) -> None:
        """Write the report where it is missing or older than the file of a result: a kill came between them."""
        page = self._folder / REPORT
        if not page.is_file() or page.stat().st_mtime_ns < result.stat().st_mtime_ns:
            self.finish()

    def is_writing(self) -> bool:
        """Whether a report is being written; of one that failed is said why."""
        if self._child is None:
            return False
        try:
            self._child.receive(0)
        except TimeoutError:
            return True
        except Failed as error:
            _say_failed(str(error))
        self._end()
        return False

    def close(self) -> None:
        """End the process, and say what went wrong in it."""
        if self.is_writing():
            self._end()

    def _end(self) -> None:
        if self._child:
            self._child.close()
        self._child = None


def _write_in_child(send: Send, write: Callable[[Path], object], folder: Path) -> None:
    with contextlib.suppress(OSError):
        os.nice(19)
    write(folder)
    send(None)


def _say_failed(reason: str) -> None:
    print_error(f"the report was not written: {reason}")


def print_written(screen: Console, page: Path) -> None:
    """Print where a page is that was written, and where the page of all runs is."""
    screen.print(f"report: {page}", soft_wrap=True)
    screen.print(f"all runs: {page.parents[2] / INDEX}", soft_wrap=True)


def charts(report: Report) -> Iterator[Chart]:
    """All charts of a report, in their order."""
    yield from _charts([*report.parts, *(part for section in report.sections for part in section.parts)])


def _charts(parts: Sequence[Part]) -> Iterator[Chart]:
    for part in parts:
        if isinstance(part, Chart):
            yield part
        elif isinstance(part, Fold):
            yield from _charts(part.parts)
