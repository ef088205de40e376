"""When support ends, and what that means for a server on a given day.

The day is an argument: no clock here.
"""

from datetime import date
from enum import StrEnum

from orchestrator.lifecycle.builds import Release, release_of
from orchestrator.lifecycle.sources import (
    ESU,
    LIFECYCLE_2008,
    LIFECYCLE_2022,
    PREMIUM_ASSURANCE,
    RELEASE_TABLES,
    Source,
)
from orchestrator.model.base import Value
from orchestrator.model.facts import Identity


class Phase(StrEnum):
    """PAID: updates only for those who bought them.

    ENDED: no updates for anybody. UNKNOWN: the tables do not say.
    """

    MAINSTREAM = "mainstream"
    EXTENDED = "extended"
    PAID = "paid"
    ENDED = "ended"
    UNKNOWN = "unknown"


class Milestone(Value):
    """The last day of a stage. `exact` False: only the month is known, and its last day is given."""

    stage: str
    phase: Phase
    last_day: date
    source: Source
    exact: bool = True


class SupportStatus(Value):
    """Where a server stands on a day. `stage` names the milestone that holds, or the last one that passed."""

    phase: Phase
    release: Release | None
    stage: str
    last_day: date | None
    reason: str


def _milestone(stage: str, phase: Phase, day: date, source: Source, *, exact: bool = True) -> Milestone:
    return Milestone(stage=stage, phase=phase, last_day=day, source=source, exact=exact)


# Windows Server 2008 with SP2; without it, support ended earlier (WITHOUT_SP2).
MILESTONES: dict[str, tuple[Milestone, ...]] = {
    "2008": (
        _milestone("mainstream support", Phase.MAINSTREAM, date(2015, 1, 13), LIFECYCLE_2008),
        _milestone("extended support", Phase.EXTENDED, date(2020, 1, 14), LIFECYCLE_2008),
        _milestone("extended security updates, year 1", Phase.PAID, date(2021, 1, 12), ESU),
        _milestone("extended security updates, year 2", Phase.PAID, date(2022, 1, 11), ESU),
        _milestone("extended security updates, year 3", Phase.PAID, date(2023, 1, 10), ESU),
        _milestone("extended security updates, year 4 (only in Azure)", Phase.PAID, date(2024, 1, 9), ESU),
        _milestone("Premium Assurance", Phase.PAID, date(2026, 1, 13), PREMIUM_ASSURANCE),
    ),
    "2022": (
        _milestone("mainstream support", Phase.MAINSTREAM, date(2026, 10, 13), LIFECYCLE_2022),
        _milestone("extended support", Phase.EXTENDED, date(2031, 10, 14), LIFECYCLE_2022),
    ),
    "2025": (
        _milestone("mainstream support", Phase.MAINSTREAM, date(2029, 10, 31), RELEASE_TABLES, exact=False),
        _milestone("extended support", Phase.EXTENDED, date(2034, 10, 31), RELEASE_TABLES, exact=False),
    ),
}
WITHOUT_SP2 = _milestone(
    "support of Windows Server 2008 without SP2", Phase.EXTENDED, date(2011, 7, 12), LIFECYCLE_2008
)


def support_status(identity: Identity, on: date) -> SupportStatus:
    """Tell the support phase of a server on the day `on`. A client, or a build that is not known: UNKNOWN."""
    found = release_of(identity)
    if found is None:
        reason = "it is not a known Windows Server build"
        return SupportStatus(phase=Phase.UNKNOWN, release=None, stage="", last_day=None, reason=reason)
    milestones = (WITHOUT_SP2,) if identity.build == 6001 else MILESTONES.get(found.key, ())
    if not milestones:
        reason = f"the end of support of {found.name} is not in the tables"
        return SupportStatus(phase=Phase.UNKNOWN, release=found, stage="", last_day=None, reason=reason)
    holds = next((stage for stage in milestones if on <= stage.last_day), None)
    stage = holds or milestones[-1]
    verb = "lasts until" if holds else "ended on"
    day = ("" if stage.exact else "about ") + stage.last_day.isoformat()
    return SupportStatus(
        phase=holds.phase if holds else Phase.ENDED,
        release=found,
        stage=stage.stage,
        last_day=stage.last_day,
        reason=f"{found.name}: {stage.stage} {verb} {day} ({stage.source.where})",
    )
