"""The report as one HTML file: nothing is loaded, nothing runs, everything foreign is escaped.

Two guards for every value: `printable` shows control, direction and zero-width characters as escapes, then
autoescape takes markup apart. A name that a template spells wrong is an error, not an empty place.
"""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from orchestrator.model.text import printable
from orchestrator.report import wording
from orchestrator.report.model import ReportView

_LIMIT = 4000


def render_html(view: ReportView) -> str:
    """Return the report as a whole HTML document."""
    template = _environment().get_template("report.html")
    return template.render(view=view, generated=wording.moment(view.generated_at), levels=wording.LEVELS)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("orchestrator.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _finalize(value: Any) -> Any:
    """Make foreign text printable. Markup comes from our own macros only: the view holds plain text."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return printable(str(value), _LIMIT)
    return value
