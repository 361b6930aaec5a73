"""HTML pages of reports (Jinja2): self-contained, without scripts, every value escaped.

In: a Report of parts.py, or a template in templates/ and its values. Out: the text of a page that opens from disk,
light and dark, on a desk, a phone and paper, and that loads nothing. Drawing a chart loads Matplotlib; nothing loads
PyTorch.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from hamner.reports.charts import COLOURS, svg
from hamner.reports.parts import Chart, Report


@cache
def environment() -> Environment:
    """The templates of this room. A value that is missing is an error, and none is trusted."""
    made = Environment(
        loader=PackageLoader("hamner.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"svg": _svg, "breakable": _breakable}
    made.globals["colours"] = COLOURS
    return made


def _svg(chart: Chart) -> Markup:
    """A chart's element; svg() has escaped what is not ours in it."""
    return Markup(svg(chart))


def _breakable(text: str) -> Markup:
    """A text that may be broken after an underscore, as names of contestants are on a phone."""
    return Markup(str(escape(text)).replace("_", "_<wbr>"))


def render(template: str, **values: Any) -> str:
    """The text of a template in templates/. Raises jinja2.UndefinedError where it reads a value that is not given."""
    return environment().get_template(template).render(**values)


def report_html(report: Report) -> str:
    """The page of a report."""
    return render("report.html", report=report)
