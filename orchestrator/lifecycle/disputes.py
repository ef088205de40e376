"""Dates and statements about Windows Server 2008 that circulate and contradict each other or the sources.

Each with what is used here and why, so that whoever meets one on a change board can answer. Data only.
"""

from orchestrator.lifecycle.sources import (
    BUILD_6003,
    COMMON,
    ESU,
    IN_PLACE,
    LIFECYCLE_2008,
    LIFECYCLE_2025,
    MAINSTREAM_MOVED,
    PREMIUM_ASSURANCE,
    VERSION_TABLES,
    Source,
)
from orchestrator.model.base import Value


class Claim(Value):
    """What is said, and by whom."""

    says: str
    who: str


class Dispute(Value):
    """Claims that contradict each other. `used`: what holds here; `why`: why that one."""

    about: str
    claims: tuple[Claim, ...]
    used: str
    why: str
    source: Source


class FalseStatement(Value):
    """A statement that is met in the wild and is wrong."""

    says: str
    truth: str
    source: Source


def _claims(*pairs: tuple[str, str]) -> tuple[Claim, ...]:
    return tuple(Claim(says=says, who=who) for says, who in pairs)


DISPUTES: tuple[Dispute, ...] = (
    Dispute(
        about="end of mainstream support of 2008",
        claims=_claims(
            ("9 July 2013", "pages from before September 2012"),
            ("13 January 2015", "the vendor's lifecycle page"),
            ("15 January 2015", "press reports of the extension"),
        ),
        used="13 January 2015",
        why="The vendor moved the day in September 2012, after the release of Windows Server 2012; its page "
        "has the new one, which is a second Tuesday like all of them.",
        source=MAINSTREAM_MOVED,
    ),
    Dispute(
        about="one day more or less",
        claims=_claims(
            ("14 January 2015 and 15 January 2020", "tables that read the vendor's data by machine"),
            ("13 January 2015 and 14 January 2020", "the vendor's lifecycle page"),
        ),
        used="the vendor's days",
        why="The vendor's data gives late evening, Pacific time; read as UTC that is the following day.",
        source=LIFECYCLE_2008,
    ),
    Dispute(
        about="end of support without Service Pack 2",
        claims=_claims(
            ("12 July 2011", "the vendor, of the original release (build 6001)"),
            ("14 January 2020", "the vendor, of Service Pack 2"),
        ),
        used="12 July 2011 for build 6001, 14 January 2020 for 6002 and 6003",
        why="Both hold: the one of the release without SP2, the other of the product with it.",
        source=LIFECYCLE_2008,
    ),
    Dispute(
        about="last extended security update",
        claims=_claims(
            ("10 January 2023", "the vendor, everywhere"),
            ("9 January 2024", "the vendor, in Azure"),
            ("January 2026", "reports of builds that still appeared"),
        ),
        used="10 January 2023, in Azure 9 January 2024",
        why="Year 4 was for Azure and the Azure Stack family only. Builds that appeared later belong to "
        "Premium Assurance, another contract.",
        source=ESU,
    ),
    Dispute(
        about="end of Premium Assurance",
        claims=_claims(
            ("13 January 2026", "press and people who followed the builds"),
            ("not listed", "the vendor's lifecycle pages"),
        ),
        used="13 January 2026, graded secondary",
        why="Announced as six years after extended support; no lifecycle page lists it. Whether this server "
        "has the contract, the licence owner knows.",
        source=PREMIUM_ASSURANCE,
    ),
    Dispute(
        about="update that brought build 6003",
        claims=_claims(
            ("KB4489887, 19 March 2019 (preview rollup)", "tables of version numbers"),
            ("KB4493471, 9 April 2019 (monthly rollup)", "BetaWiki"),
        ),
        used="either; nothing here rests on it",
        why="The preview reached few servers, the rollup all. The product is the same before and after.",
        source=VERSION_TABLES,
    ),
    Dispute(
        about="end of support of 2025",
        claims=_claims(
            ("October 2029 and October 2034", "pages from about the time of its release"),
            ("13 November 2029 and 14 November 2034", "copies of the vendor's page from May 2026"),
        ),
        used="13 November 2029 and 14 November 2034, graded secondary",
        why="The newer copy of the vendor's own table; five and ten years after November 2024.",
        source=LIFECYCLE_2025,
    ),
)

FALSE_STATEMENTS: tuple[FalseStatement, ...] = (
    FalseStatement(
        says="6003 is a build of Windows 7 or Windows Server 2008 R2",
        truth="It is Windows 6.0 with Service Pack 2, as 6002; Windows 7 and 2008 R2 are 7600 and 7601.",
        source=BUILD_6003,
    ),
    FalseStatement(
        says="6003 came with the extended security updates",
        truth="It is about ten months older than the end of extended support; every patched server got it.",
        source=BUILD_6003,
    ),
    FalseStatement(
        says="2008 was secure through 2023",
        truth="Only if the extended security updates were bought, licensed and installed each year.",
        source=ESU,
    ),
    FalseStatement(
        says="2008 can be upgraded in place to 2022 or 2025",
        truth="No set-up does that, and none ever goes from 32 to 64 bit. A clean target is staged.",
        source=IN_PLACE,
    ),
    FalseStatement(
        says="build 6002 or 6003 means a server",
        truth="Windows Vista SP2 has the same builds; only the product type tells.",
        source=COMMON,
    ),
)
