"""When support ends: every milestone with its source. What that means on a day: `status`.

Days are last days of a stage, in the vendor's own time zone (Pacific). No clock here.
"""

from datetime import date
from enum import StrEnum

from orchestrator.lifecycle.sources import (
    ESU,
    LIFECYCLE_2008,
    LIFECYCLE_2022,
    LIFECYCLE_2025,
    PREMIUM_ASSURANCE,
    Source,
)
from orchestrator.model.base import Value


class Phase(StrEnum):
    """PAID: updates only for those who bought them.

    ENDED: no updates for anybody. UNKNOWN: the tables do not say.
    """

    MAINSTREAM = "mainstream"
    EXTENDED = "extended"
    PAID = "paid"
    ENDED = "ended"
    UNKNOWN = "unknown"


class Hosting(StrEnum):
    """Where a server has to run for a stage to hold for it."""

    ANYWHERE = "anywhere"
    AZURE = "only in Azure"
    ELSEWHERE = "not in Azure"


class Milestone(Value):
    """The last day of a stage.

    `editions`: the only ones that it is sold for, as they begin in EditionID; empty: every one.
    """

    stage: str
    phase: Phase
    last_day: date
    source: Source
    hosting: Hosting = Hosting.ANYWHERE
    editions: tuple[str, ...] = ()


ESU_EDITIONS = ("ServerStandard", "ServerEnterprise", "ServerDatacenter", "ServerEmbedded")
"""The vendor's page of 2008 (LIFECYCLE_2008) names Datacenter, Standard, Enterprise and Embedded: not Web,
Foundation, HPC or Itanium."""


def _free(stage: str, phase: Phase, day: date, source: Source) -> Milestone:
    return Milestone(stage=stage, phase=phase, last_day=day, source=source)


def _esu(year: str, day: date, hosting: Hosting = Hosting.ANYWHERE) -> Milestone:
    return Milestone(
        stage=f"extended security updates, {year}",
        phase=Phase.PAID,
        last_day=day,
        source=ESU,
        hosting=hosting,
        editions=ESU_EDITIONS,
    )


# Windows Server 2008 with SP2; without it, support ended earlier (WITHOUT_SP2).
MILESTONES: dict[str, tuple[Milestone, ...]] = {
    "2008": (
        _free("mainstream support", Phase.MAINSTREAM, date(2015, 1, 13), LIFECYCLE_2008),
        _free("extended support", Phase.EXTENDED, date(2020, 1, 14), LIFECYCLE_2008),
        _esu("year 1", date(2021, 1, 12)),
        _esu("year 2", date(2022, 1, 11)),
        _esu("year 3", date(2023, 1, 10)),
        _esu("year 4 (only in Azure)", date(2024, 1, 9), Hosting.AZURE),
        # Not in Azure: the vendor says that 2008 gets nothing there after year 4.
        Milestone(
            stage="Premium Assurance",
            phase=Phase.PAID,
            last_day=date(2026, 1, 13),
            source=PREMIUM_ASSURANCE,
            hosting=Hosting.ELSEWHERE,
        ),
    ),
    "2022": (
        _free("mainstream support", Phase.MAINSTREAM, date(2026, 10, 13), LIFECYCLE_2022),
        _free("extended support", Phase.EXTENDED, date(2031, 10, 14), LIFECYCLE_2022),
    ),
    "2025": (
        _free("mainstream support", Phase.MAINSTREAM, date(2029, 11, 13), LIFECYCLE_2025),
        _free("extended support", Phase.EXTENDED, date(2034, 11, 14), LIFECYCLE_2025),
    ),
}
WITHOUT_SP2 = _free(
    "support of Windows Server 2008 without SP2", Phase.EXTENDED, date(2011, 7, 12), LIFECYCLE_2008
)
