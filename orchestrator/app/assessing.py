"""Assessments outside a report: of a disk image, of what a person brings, of a host as a run found it."""

from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from orchestrator.app import clock, facts, images, imports, reports, states
from orchestrator.app.images import Found
from orchestrator.diagnostics import FerryError
from orchestrator.engine import api, evidence, runs
from orchestrator.engine.state import State
from orchestrator.lifecycle import DISPUTES, FALSE_STATEMENTS
from orchestrator.model.base import Value
from orchestrator.parity.assessment.assess import assess
from orchestrator.parity.assessment.result import Assessment
from orchestrator.parity.assessment.subject import Circumstances
from orchestrator.report import wording
from orchestrator.report.assessment import assessment_view, assessments
from orchestrator.report.layout import bullets
from orchestrator.report.records import HostRecords, host_records
from orchestrator.report.text import render_assessment


class Assessed(Value):
    """Facts with their assessment; `seen` says in words when they were collected."""

    found: Found
    assessment: Assessment
    seen: str

    def text(self) -> str:
        """Return the assessment as lines of text, then what is disputed about its dates."""
        view = assessment_view(self.assessment, self.seen)
        lines = [f"{self.assessment.host}: {view.badge.text}", *render_assessment(view)]
        return "\n".join([*lines, *_disputed()] if self.disputed else lines)

    def document(self) -> dict[str, Any]:
        """Return all of it for a program."""
        parts: dict[str, Any] = {
            "facts": self.found.facts.model_dump(mode="json"),
            "assessment": self.assessment.model_dump(mode="json"),
        }
        if self.disputed:
            parts["disputes"] = [one.model_dump(mode="json") for one in DISPUTES]
            parts["false_statements"] = [one.model_dump(mode="json") for one in FALSE_STATEMENTS]
        return parts

    @property
    def disputed(self) -> bool:
        """Whether it is a release about which contradicting dates circulate."""
        release = self.assessment.support.release
        return release is not None and release.key == "2008"


def _disputed() -> list[str]:
    claims = [(one.about, "; ".join(f"{c.says} ({c.who})" for c in one.claims), one) for one in DISPUTES]
    disputes = [f"{about}: {said}. Used: {one.used}. {one.why}" for about, said, one in claims]
    wrong = [f'"{one.says}": {one.truth}' for one in FALSE_STATEMENTS]
    return ["", "Dates that are disputed:", *bullets(disputes), "", "Said, and wrong:", *bullets(wrong)]


def of_image(image: Path, fmt: str | None, on: date | None) -> Assessed:
    """Read a disk image and assess it as of a day, today if None. Nothing is known of a plan around it."""
    return _alone(image.name, images.of_image(image, fmt), on, "just now in the image")


def of_import(path: Path, on: date | None) -> Assessed:
    """Assess what a person brings from a server, as `of_image`."""
    return _alone(path.name, imports.imported(path), on, f"at an unknown time, brought in {path.name}")


def _alone(name: str, found: Found, on: date | None, seen: str) -> Assessed:
    assessment = assess(name, found.facts, Circumstances(on=on or clock.now().date()))
    return Assessed(found=found, assessment=assessment, seen=seen)


def of_run(url: str | None, name: str, host: str, on: date | None) -> Assessed:
    """Assess a run's host as of a day, today if None, among the other hosts of the run. Raises FerryError."""
    with states.opened(url) as state:
        run = states.run_id(state, name)
        known = facts.stored(state, run, host, target=False)
        assessment, records = _among_others(state, run, host, on)
    at = wording.minute(records.known.at) if records.known is not None else "at an unknown time"
    found = images.judged(known)
    return Assessed(found=found, assessment=assessment, seen=f"{at} in run {run}")


def _among_others(state: State, run: str, host: str, on: date | None) -> tuple[Assessment, HostRecords]:
    change_set = runs.change_set(state, api.run_record(state, run).digest)
    own = evidence.of_run(state, run)
    earlier = reports.earlier(state, change_set, own)
    names = [h.plan.name for h in change_set.hosts]
    records = {
        n: host_records([e for e in own if e.host == n], [e for e in earlier if e.host == n]) for n in names
    }
    day = datetime.combine(on, time.min, UTC) if on is not None else clock.now()
    found = assessments(change_set, records, day).get(host)
    if found is None:
        message = f"run {run} takes another run back, and assesses nothing"
        raise FerryError(message, hint="name the run that it takes back", code="no-assessment")
    return found, records[host]
