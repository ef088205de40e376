"""Where a fact comes from, and how far it can be trusted."""

from enum import StrEnum

from orchestrator.model.base import Value


class Grade(StrEnum):
    """VENDOR: Microsoft's own documentation.

    SECONDARY: press, wikis, public tables. COMMON: general knowledge, not looked up.
    """

    VENDOR = "vendor"
    SECONDARY = "secondary"
    COMMON = "common"


class Source(Value):
    """One source; `where` is an address or the name of an article."""

    grade: Grade
    where: str


def vendor(page: str) -> Source:
    """Name a page below learn.microsoft.com."""
    return Source(grade=Grade.VENDOR, where=f"https://learn.microsoft.com/{page}")


LIFECYCLE_2008 = vendor("lifecycle/products/windows-server-2008")
LIFECYCLE_2022 = vendor("lifecycle/products/windows-server-2022")
ESU = vendor("windows-server/get-started/extended-security-updates-overview")
REMOVED = vendor("windows-server/get-started/removed-deprecated-features-windows-server")
IN_PLACE = vendor("windows-server/get-started/upgrade-overview")
IN_PLACE_AZURE = vendor("azure/virtual-machines/windows-in-place-upgrade")
OPERATING_SYSTEM_SKU = vendor("windows/win32/cimwin32prov/win32-operatingsystem")
BUILD_6003 = Source(grade=Grade.SECONDARY, where="https://betawiki.net/wiki/Windows_Server_2008_build_6003")
PREMIUM_ASSURANCE = Source(grade=Grade.SECONDARY, where="https://www.computerworld.com/article/3148768/")
MAINSTREAM_MOVED = Source(
    grade=Grade.SECONDARY,
    where="press of September 2012 on the vendor's quarterly lifecycle newsletter, agreeing with its page",
)
LIFECYCLE_2025 = Source(
    grade=Grade.SECONDARY,
    where="copies, as of May 2026, of https://learn.microsoft.com/lifecycle/products/windows-server-2025",
)
VERSION_TABLES = Source(
    grade=Grade.SECONDARY, where="https://www.gaijin.at/en/infos/windows-version-numbers and BetaWiki"
)
RELEASE_TABLES = Source(grade=Grade.SECONDARY, where="published tables of Windows version numbers")
COMMON = Source(grade=Grade.COMMON, where="general knowledge")
