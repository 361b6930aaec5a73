"""Files of a report: report.html, report.md, a PNG of each chart, report.json, and the index of all runs.

In: a Report and the run's folder. Out: these files, each replaced as a whole; the same report gives the same bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from hamner.reports.html import report_html
from hamner.reports.index import REPORT, SUMMARY, write_index
from hamner.reports.markdown import picture_name, report_markdown
from hamner.reports.parts import Chart, Fold, Part, Report, Summary
from hamner.runs.files import write_bytes, write_json, write_text


def write_report(folder: Path, report: Report, summary: Summary, *, with_pictures: bool = True) -> Path:
    """Write all files of a run's report; returns the path of the page.

    folder: results/KIND/RUN. with_pictures: the PNGs, too, which report.md shows.
    """
    from hamner.reports.charts import png

    write_json(folder / SUMMARY, asdict(summary))
    write_text(folder / "report.md", report_markdown(report))
    if with_pictures:
        for chart in charts(report):
            write_bytes(folder / picture_name(chart), png(chart))
    write_text(folder / REPORT, report_html(report))
    write_index(folder.parents[1])
    return folder / REPORT


def attempt_report(write: Callable[[], object]) -> None:
    """Write a report beside a run that goes on: whatever is wrong with it is one line on stderr."""
    try:
        write()
    except Exception as error:
        lines = str(error).splitlines() or [""]
        print(f"the report was not written: {type(error).__name__}: {lines[0]}", file=sys.stderr)


def charts(report: Report) -> Iterator[Chart]:
    """All charts of a report, in their order."""
    yield from _charts([*report.parts, *(part for section in report.sections for part in section.parts)])


def _charts(parts: Sequence[Part]) -> Iterator[Chart]:
    for part in parts:
        if isinstance(part, Chart):
            yield part
        elif isinstance(part, Fold):
            yield from _charts(part.parts)
