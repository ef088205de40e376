"""Builders of valid values for tests: complete and plausible ones; keyword arguments replace whole fields.

Values only: no clock, no files, no randomness. Two calls with the same arguments give equal values.
Use: `from tests.unit.builders import a_machine`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from orchestrator.changeset.changes import (
    ChangeSet,
    HostChange,
    Kind,
    KnownIdentity,
    ObservedEndpoint,
    Step,
    StepKind,
)
from orchestrator.model.endpoint import EndpointInfo, EndpointSettings
from orchestrator.model.facts import (
    SECTIONS,
    Firewall,
    Identity,
    Iis,
    Interface,
    NetworkConfig,
    Origin,
    Permission,
    ProductType,
    ScheduledTask,
    Security,
    ServerFacts,
    Service,
    Servicing,
    Share,
    Software,
    StartMode,
)
from orchestrator.model.machine import Disk, Firmware, Machine, MachineRef, Nic, PowerState
from orchestrator.model.network import Finding, IsolationMode, IsolationSpec, Network, NetworkSpec
from orchestrator.model.plan import (
    ChangeRequest,
    Disposition,
    Expect,
    HostPlan,
    ParitySpec,
    Waiver,
    Window,
)
from orchestrator.model.secret import SecretRef
from orchestrator.model.target import GoldenImage, TargetSpec

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
TODAY = date(2026, 11, 24)
GIB = 1024**3
PLAN_SHA256 = "3f" * 32


def a_disk(key: str = "hda", **changes: Any) -> Disk:
    """A 40 GiB qcow2 disk without overlays."""
    path = f"/var/lib/libvirt/images/{key}.qcow2"
    fields = {
        "key": key,
        "bus": "ide",
        "base": path,
        "format": "qcow2",
        "source": path,
        "chain": (path,),
        "size_bytes": 40 * GIB,
        "used_bytes": 11 * GIB,
    }
    return Disk(**fields | changes)


def a_nic(key: str = "52:54:00:12:34:56", **changes: Any) -> Nic:
    """A plugged card on libvirt's default network."""
    fields = {"key": key, "model": "e1000", "network": "network:default", "link_up": True}
    return Nic(**fields | changes)


def a_machine(name: str = "file01", *, endpoint: str = "lab", **changes: Any) -> Machine:
    """A running machine with one disk and one card; its id follows from the name."""
    ref = MachineRef(
        endpoint=endpoint, id=f"00000000-0000-4000-8000-{name.encode().hex():0>12.12}", name=name
    )
    fields = {
        "ref": ref,
        "power": PowerState.ON,
        "firmware": Firmware.BIOS,
        "machine_type": "pc-i440fx-7.2",
        "arch": "x86_64",
        "cpus": 2,
        "memory_bytes": 2 * GIB,
        "disks": (a_disk(),),
        "nics": (a_nic(),),
    }
    return Machine(**fields | changes)


def a_target(vm: str = "file01n", **changes: Any) -> TargetSpec:
    """A 2025 replacement on the staging network, by DHCP."""
    fields = {
        "endpoint": "lab",
        "release": 2025,
        "image": "win2025-golden",
        "vm": vm,
        "network": NetworkSpec(name="staging", create=True),
        "computer_name": vm.upper(),
        "admin_password": SecretRef(env="STAGING_ADMIN"),
    }
    return TargetSpec(**fields | changes)


def sealed(name: str = "quarantine") -> IsolationSpec:
    """Isolation on a sealed network that ferry creates."""
    mode = IsolationMode.SEALED
    return IsolationSpec(mode=mode, network=NetworkSpec(name=name, mode=mode, create=True))


def a_host_plan(name: str = "FILE01", **changes: Any) -> HostPlan:
    """A contained host with a sealed network, a target and a file-server parity."""
    fields = {
        "name": name,
        "endpoint": "lab",
        "vm": name.lower(),
        "expect": Expect(build=6003, arch="x64"),
        "wave": "canary",
        "disposition": Disposition.CONTAIN,
        "snapshot": "crash",
        "isolation": sealed(),
        "target": a_target(f"{name.lower()}n"),
        "parity": ParitySpec(profile="file-server"),
    }
    return HostPlan(**fields | changes)


def a_waiver(item: str = "service:Messenger", **changes: Any) -> Waiver:
    """A waiver that is good until the end of March 2027."""
    fields = {"item": item, "reason": "no longer used", "owner": "infra-ops", "expires": date(2027, 3, 31)}
    return Waiver(**fields | changes)


def an_identity(*, build: int | None = 6003, **changes: Any) -> Identity:
    """Windows Server 2008 SP2 x64 Standard."""
    fields = {
        "version": "6.0",
        "build": build,
        "product_name": "Windows Server (R) 2008 Standard",
        "edition": "ServerStandard",
        "product_type": ProductType.SERVER,
        "arch": "x64",
        "service_pack": "Service Pack 2",
        "hostname": "FILE01",
    }
    return Identity(**fields | changes)


def a_new_identity(*, build: int = 26100, **changes: Any) -> Identity:
    """Windows Server 2025 x64 Standard."""
    fields = {
        "version": "10.0",
        "build": build,
        "product_name": "Windows Server 2025 Standard",
        "edition": "ServerStandard",
        "product_type": ProductType.SERVER,
        "arch": "x64",
        "service_pack": None,
        "installation_type": "Server",
        "hostname": "FILE01N",
    }
    return Identity(**fields | changes)


def a_service(name: str = "LanmanServer", **changes: Any) -> Service:
    """An automatic Win32 service of svchost."""
    fields = {
        "name": name,
        "display_name": name,
        "start": StartMode.AUTO,
        "account": "LocalSystem",
        "image_path": r"%SystemRoot%\System32\svchost.exe -k netsvcs",
        "driver": False,
    }
    return Service(**fields | changes)


def a_software(name: str = "7-Zip 23.01 (x64)", **changes: Any) -> Software:
    """An Uninstall entry of the 64-bit view."""
    fields = {"key": name, "name": name, "version": "23.01", "publisher": "Igor Pavlov", "view": 64}
    return Software(**fields | changes)


def a_share(name: str = "Projects", **changes: Any) -> Share:
    """A share of drive D:."""
    everyone = (Permission(account="Everyone", right="full"),)
    return Share(**{"name": name, "path": rf"D:\{name}", "permissions": everyone} | changes)


def a_task(path: str = r"\Nightly export", **changes: Any) -> ScheduledTask:
    """An enabled task that runs one script."""
    fields = {"path": path, "enabled": True, "commands": (r"D:\jobs\export.cmd",), "author": "CONTOSO\\ops"}
    return ScheduledTask(**fields | changes)


def a_network_config(hostname: str = "FILE01", **changes: Any) -> NetworkConfig:
    """One card with a fixed address, and one line of hosts."""
    card = Interface(
        id="{11111111-2222-4333-8444-555555555555}",
        dhcp=False,
        addresses=("198.51.100.20/24",),
        gateways=("198.51.100.1",),
        dns=("198.51.100.2",),
    )
    fields = {
        "hostname": hostname,
        "domain": "contoso.example",
        "interfaces": (card,),
        "hosts": ("198.51.100.7 erp",),
        "routes": (),
    }
    return NetworkConfig(**fields | changes)


def server_facts(**changes: Any) -> ServerFacts:
    """A 6003 file server, every section known."""
    fields: dict[str, Any] = {
        "origin": Origin.OFFLINE,
        "identity": an_identity(),
        "services": (a_service(), a_service("Spooler")),
        "shares": (a_share(),),
        "software": (a_software(),),
        "network": a_network_config(),
        "tasks": (a_task(),),
        "firewall": Firewall(profiles=(), rules=()),
        "iis": Iis(sites=(), pools=()),
        "security": Security(
            tls=(), smb1_server=None, smb1_client=None, smb_signing_required=None, lm_compatibility=None
        ),
        "servicing": Servicing(sha2=True, servicing_stack="6.0.6003.20555", reboot_pending=False),
        "time_zone": "W. Europe Standard Time",
    }
    fields |= dict.fromkeys(set(SECTIONS) - set(fields), ())
    return ServerFacts(**fields | changes)


def version_1_facts() -> ServerFacts:
    """The same server by a collector that sees only what version 1 of the facts had."""
    seen = {"services", "shares", "software", "network", "tasks"}
    return server_facts(**dict.fromkeys(set(SECTIONS) - seen))


def new_facts(**changes: Any) -> ServerFacts:
    """A 2025 server that does all that `server_facts()` does."""
    fields: dict[str, Any] = {
        "identity": a_new_identity(),
        "network": a_network_config("FILE01N"),
    }
    return server_facts(**fields | changes)


def steps() -> tuple[Step, ...]:
    """A short row of steps of every sort: one that reads, those that change and how each is taken back."""
    return (
        Step(
            kind=StepKind.PREFLIGHT, title="Look again and refuse if anything material differs", mutates=False
        ),
        Step(
            kind=StepKind.SNAPSHOT,
            title="Snapshot all disks",
            values=(("consistency", "crash"), ("disks", "hda")),
            undo="Remove the snapshot and keep all writes",
            mutates=True,
        ),
        Step(
            kind=StepKind.ISOLATE,
            title="Move every network card to the quarantine network",
            values=(("network", "quarantine"), ("mode", "sealed")),
            undo="Put every card back to where it was",
            mutates=True,
        ),
    )


def a_host_change(name: str = "FILE01", **changes: Any) -> HostChange:
    """A contained host with its observation, identity from evidence, and steps."""
    plan = changes.get("plan") or a_host_plan(name)
    fields = {
        "plan": plan,
        "source": a_machine(plan.vm, endpoint=plan.endpoint),
        "known": KnownIdentity(identity=an_identity(hostname=name), at=NOW, run="r20261120-090000-77aa"),
        "image": GoldenImage(
            name="win2025-golden",
            id="/var/lib/libvirt/images/win2025-golden.qcow2",
            size_bytes=40 * GIB,
            format="qcow2",
            firmware=Firmware.UEFI,
        ),
        "networks": (
            Network(name="default", id="net-1", bridge="virbr0", uplink="nat", addresses=("192.0.2.1/24",)),
        ),
        "checks": (
            Finding(check="free space for the overlay", ok=True, detail="212 GiB free, 40 GiB needed"),
        ),
        "steps": steps(),
    }
    return HostChange(**fields | changes)


def an_endpoint(name: str = "lab", provider: str = "kvm", **settings: Any) -> ObservedEndpoint:
    """A libvirt endpoint; `settings` are added to the provider's own."""
    own: dict[str, Any] = {"uri": "qemu:///system"} if provider == "kvm" else {}
    return ObservedEndpoint(
        settings=EndpointSettings(name=name, provider=provider, settings=own | settings),
        info=EndpointInfo(
            identity=f"{provider}:{name}", product="libvirt" if own else provider, version="9.0.0"
        ),
    )


def a_window() -> Window:
    """A night in Berlin that opens after NOW."""
    zone = ZoneInfo("Europe/Berlin")
    return Window(
        opens=datetime(2026, 12, 5, 22, 0, tzinfo=zone),
        closes=datetime(2026, 12, 6, 4, 0, tzinfo=zone),
        timezone="Europe/Berlin",
    )


def a_change_set(*hosts: HostChange, **changes: Any) -> ChangeSet:
    """An APPLY change set of one host, or of those given; waves in the order in which the hosts name them."""
    chosen = hosts or (a_host_change(),)
    fields: dict[str, Any] = {
        "kind": Kind.APPLY,
        "name": "branch-file-servers",
        "owner": "infra-ops",
        "plan_path": "branch.yaml",
        "plan_sha256": PLAN_SHA256,
        "change": ChangeRequest(
            ticket="CHG0012345",
            reason="No security updates exist for these servers.",
            risk="high",
            window=a_window(),
            approvals=2,
        ),
        "created_at": NOW,
        "endpoints": (an_endpoint(),),
        "hosts": chosen,
        "waves": tuple(dict.fromkeys(h.plan.wave for h in chosen)),
        "stop_wave_after": 1,
    }
    return ChangeSet(**fields | changes)
