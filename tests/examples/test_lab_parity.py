"""The lab's servers through the real collector: parity lists what was planted on them, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.guest.offline import collect_from_image
from orchestrator.model.facts import ServerFacts
from orchestrator.model.plan import ParitySpec
from orchestrator.parity.compare import compare
from orchestrator.parity.result import ParityResult, State, Verdict
from tests.unit import builders as b

BUILDER = Path(__file__).parents[2] / "examples" / "kvm-lab" / "build_images.py"

ON_FILE01 = {
    "firewall:BranchBackup Agent",
    "firewall:ScanRouter",
    "group:Ablage Süd",
    "group:Backup Operators",
    "group:Projects Team",
    "hosts:erp.branch.example",
    "hosts:exports",
    "hosts:exports.branch.example",
    "network:domain",
    "odbc:Labels (32-bit)",
    "printer:Warehouse Labels",
    "role:FS-Resource-Manager",
    "role:NET-Framework-Core",
    "route:10.20.0.0/16",
    "service:BranchBackup",
    "service:Browser",
    "service:MepService",
    "service:ScanRouter",
    "service:SrmSvc",
    "share:Groups",
    "share:Labels",
    "share:Projects$",
    "share:Scans",
    "software:branchbackup agent",
    "software:label studio print client",
    "software:meridian endpoint protection",
    "software:scanrouter",
    r"task:\Branch\FreeSpaceMail",
    r"task:\NightlyExport",
    "user:scanner",
    "user:svc_backup",
}
BUILT_UP = {
    "firewall:BranchBackup Agent",
    "group:Backup Operators",
    "group:Projects Team",
    "hosts:exports",
    "hosts:exports.branch.example",
    "network:domain",
    "service:BranchBackup",
    "share:Groups",
    "share:Projects$",
    "software:branchbackup agent",
    "user:svc_backup",
}
ON_APP02 = {
    "application:Branch Orders/",
    "application:Default Web Site/",
    "binding:Branch Orders http *:8080:",
    "binding:Branch Orders https *:8443:orders.branch.example",
    "binding:Default Web Site http *:80:",
    "certificate:4DF2BF1F1A40C0F62284D5999B386606D2777C2F",
    "environment:JAVA_HOME",
    "environment:ORDERBRIDGE_HOME",
    "firewall-profile:public",
    "firewall:Branch orders",
    "firewall:OrderBridge",
    "group:IIS_IUSRS",
    "group:Order Clerks",
    "hosts:db3.branch.example",
    "hosts:erp.branch.example",
    "odbc:BranchOrders (32-bit)",
    "pool:DefaultAppPool",
    "pool:Orders",
    "protocol:NTLMv1 sent",
    "role:NET-Framework-Core",
    "role:SMTP-Server",
    "role:Web-ASP",
    "role:Web-Asp-Net",
    "role:Web-Metabase",
    "role:Web-Server",
    "role:Web-Windows-Auth",
    "service:AppHostSvc",
    "service:IISADMIN",
    "service:OrderBridge",
    "service:SMTPSVC",
    "service:W3SVC",
    "service:WAS",
    "share:Orders",
    "site:Branch Orders",
    "site:Default Web Site",
    "software:java 6 update 45",
    "software:meridian endpoint protection",
    "software:microsoft sql server native client",
    "software:orderbridge",
    r"task:\RecycleOrders",
    "user:kiosk",
    "user:orderbridge",
}


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], ServerFacts]:
    """Collect a lab server's facts from its image, each once."""
    folder = tmp_path_factory.mktemp("lab")
    kept: dict[str, ServerFacts] = {}

    def collect(name: str) -> ServerFacts:
        if name not in kept:
            command = [sys.executable, str(BUILDER), "--out", str(folder), name]
            subprocess.run(command, check=True, capture_output=True, timeout=100)
            kept[name] = collect_from_image(folder / f"{name}.qcow2")
        return kept[name]

    return collect


def look(old: ServerFacts, new: ServerFacts, profile: str, release: int) -> ParityResult:
    spec = ParitySpec(profile=profile, waivers=(b.a_waiver("service:Browser"),))
    return compare(old, new, spec, release=release, today=b.TODAY)


def open_items(result: ParityResult) -> set[str]:
    return {item.item for item in result.open_items}


def test_the_file_server_against_the_golden_image(facts: Callable[[str], ServerFacts]) -> None:
    result = look(facts("file01"), facts("win2025-golden"), "file-server", 2025)
    assert open_items(result) == ON_FILE01 - {"service:Browser"}
    assert [item.item for item in result.items if item.state is State.WAIVED] == ["service:Browser"]
    assert result.count(State.EXTRA) == 0
    assert result.verdict is Verdict.FAIL


def test_the_file_server_after_people_have_built_it_up(facts: Callable[[str], ServerFacts]) -> None:
    result = look(facts("file01"), facts("file01n-built"), "file-server", 2025)
    assert open_items(result) == ON_FILE01 - BUILT_UP - {"service:Browser"}
    changed = [item.item for item in result.open_items if item.state is State.CHANGED]
    assert changed == [r"task:\Branch\FreeSpaceMail"]


def test_the_application_server_against_the_golden_image(facts: Callable[[str], ServerFacts]) -> None:
    result = look(facts("app02"), facts("win2022-golden"), "web-server", 2022)
    assert open_items(result) == ON_APP02
    assert [note.item for note in result.waiver_notes] == ["service:Browser"]


@pytest.mark.parametrize("name", ["file01", "app02", "win2022-golden", "win2025-golden", "file01n-built"])
def test_a_server_differs_from_itself_in_nothing(facts: Callable[[str], ServerFacts], name: str) -> None:
    own = facts(name)
    result = look(own, own, "generic", 2025)
    assert open_items(result) <= {"identity:release"}
