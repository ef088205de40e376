"""What a check is, and what becomes of it where it cannot see."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from orchestrator.parity.assessment.result import HostFinding
from orchestrator.parity.assessment.subject import Subject
from orchestrator.parity.result import RANK, Severity


@dataclass(frozen=True, slots=True)
class Check:
    """One question to a host's facts.

    `question` completes "cannot tell ..."; `severity` is the worst that it may find; `needs` are the sections
    and fields without which it may overlook something.
    """

    question: str
    severity: Severity
    needs: tuple[str, ...]
    look: Callable[[Subject], Iterable[HostFinding]]


def run_checks(checks: Iterable[Check], subject: Subject) -> Iterator[HostFinding]:
    """Return what the checks find, then one finding for each thing that could not be seen."""
    hidden: dict[str, list[Check]] = {}
    for check in checks:
        yield from check.look(subject)
        for need in check.needs:
            if subject.unknown(need):
                hidden.setdefault(need, []).append(check)
    for need in sorted(hidden):
        yield _cannot_tell(subject, need, hidden[need])


def _cannot_tell(subject: Subject, need: str, checks: list[Check]) -> HostFinding:
    questions = "; ".join(dict.fromkeys(check.question for check in checks))
    return HostFinding(
        id="cannot-tell",
        detail=need,
        severity=max((check.severity for check in checks), key=RANK.__getitem__),
        title=f"Cannot tell {questions}: {need} is unknown",
        grounds=(subject.ground(need, f"unknown: {subject.unknown(need)}"),),
        advice="Collect it another way (inside the guest if a snapshot does not show it) and look again.",
        cannot_tell=True,
    )
