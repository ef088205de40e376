"""What newer releases no longer have, or no longer switch on: differences that a comparison must expect."""

from enum import StrEnum

from orchestrator.lifecycle.builds import RELEASES
from orchestrator.lifecycle.sources import COMMON, REMOVED, Source
from orchestrator.model.base import Value


class Change(StrEnum):
    """REMOVED: gone.

    OFF: there, not installed or not switched on. DEPRECATED: still there, without a future.
    """

    REMOVED = "removed"
    OFF = "off"
    DEPRECATED = "deprecated"


class FeatureChange(Value):
    """One change that holds from release `since` on, at the latest.

    `instead`: what to use, where there is something.
    """

    feature: str
    change: Change
    since: str
    instead: str = ""
    source: Source = REMOVED


def _change(
    since: str, change: Change, feature: str, instead: str = "", source: Source = REMOVED
) -> FeatureChange:
    return FeatureChange(feature=feature, change=change, since=since, instead=instead, source=source)


FEATURES: tuple[FeatureChange, ...] = (
    _change("2016", Change.REMOVED, "Security Configuration Wizard", "Group Policy and security baselines"),
    _change("2016", Change.REMOVED, "Share and Storage Management snap-in", "Server Manager"),
    _change("2016", Change.REMOVED, "wuauclt /detectnow", "the Windows Update settings or API"),
    _change("2019", Change.OFF, "SMB 1", "SMB 2 or 3"),
    _change("2019", Change.REMOVED, "File Replication Service", "DFS Replication, also for SYSVOL"),
    _change("2019", Change.OFF, "Print services on Server Core", "install the optional component"),
    _change(
        "2019", Change.DEPRECATED, "IIS 6 compatibility (metabase, scripting, WMI)", "IIS configuration API"
    ),
    _change("2019", Change.DEPRECATED, "IIS digest authentication"),
    _change("2019", Change.DEPRECATED, "Software Restriction Policies", "AppLocker or App Control"),
    _change("2022", Change.REMOVED, "Internet Storage Name Service (iSNS)", "SMB"),
    _change("2022", Change.DEPRECATED, "WINS", "DNS"),
    _change("2022", Change.DEPRECATED, "Deployment with WDS boot.wim"),
    _change("2022", Change.DEPRECATED, "XDDM display drivers"),
    _change("2025", Change.REMOVED, "SMTP Server", "a mail relay"),
    _change("2025", Change.REMOVED, "IIS 6 management console", "IIS Manager"),
    _change("2025", Change.REMOVED, "NTLMv1", "Kerberos"),
    _change("2025", Change.REMOVED, "DES in Kerberos", "AES"),
    _change("2025", Change.REMOVED, "WordPad"),
    _change("2025", Change.REMOVED, "PowerShell 2.0 engine", "Windows PowerShell 5.1"),
    _change("2025", Change.OFF, "TLS 1.0 and 1.1", "TLS 1.2 or 1.3"),
    _change("2025", Change.OFF, "WMIC", "PowerShell's CIM cmdlets"),
    _change("2025", Change.DEPRECATED, "NTLMv2", "Kerberos"),
    _change("2025", Change.DEPRECATED, "Computer Browser"),
    _change("2025", Change.DEPRECATED, "Network Load Balancing"),
    _change("2025", Change.DEPRECATED, "Windows Internal Database"),
    _change("2025", Change.DEPRECATED, "Windows Server Update Services"),
    _change("2025", Change.DEPRECATED, "WebDAV redirector"),
    _change("2025", Change.DEPRECATED, "Remote mailslots"),
    _change("2022", Change.REMOVED, "16-bit programs, and 32-bit drivers", source=COMMON),
    _change("2022", Change.OFF, ".NET Framework 3.5", "install it from the media", COMMON),
    _change("2022", Change.REMOVED, "Telnet Server", "SSH", COMMON),
    _change("2022", Change.REMOVED, "Windows Media Services", source=COMMON),
    _change("2025", Change.OFF, "SMB without signing", "clients that sign", COMMON),
)
_ORDER = {one.key: place for place, one in enumerate(RELEASES)}


def changes_until(target: str) -> tuple[FeatureChange, ...]:
    """Return what a server of 2008 meets when it is replaced by `target` ("2022", "2025").

    Raises KeyError.
    """
    last = _ORDER[target]
    return tuple(one for one in FEATURES if _ORDER[one.since] <= last)
