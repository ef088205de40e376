"""The report as JSON: the view itself, printable ASCII only, so that no name is taken for a command."""

import json

from orchestrator.report.model import ReportView


def render_json(view: ReportView) -> str:
    """Return the view as a JSON document. `ReportView.model_validate_json` reads it back."""
    text = json.dumps(view.model_dump(mode="json"), indent=1, ensure_ascii=True)
    return text.replace("\x7f", "\\u007f") + "\n"
