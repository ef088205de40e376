"""The plan file's format 1 as models: which keys there are, what each takes and means.

What one value means beside another is in `rules`: a model's check would not run while a field is wrong.
"""

from collections.abc import Collection
from enum import StrEnum
from itertools import islice
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationInfo, model_validator

from orchestrator.model.machine import Consistency
from orchestrator.model.target import CopyMode
from orchestrator.planfile import fields as f
from orchestrator.planfile.nodes import ENOUGH, Table, Text, join, problem
from orchestrator.planfile.wording import nearest, quoted, suggest


class Spec(BaseModel):
    """The base of every part: reports unknown and missing keys into the list given as context."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, Table):
            return data
        problems: list[Any] = [] if info.context is None else info.context
        known = {field.alias or name: field for name, field in cls.model_fields.items()}
        unknown = (key for key in data.keys_at if key not in known)
        for key in islice(unknown, max(0, ENOUGH - len(problems))):
            at = Text(key, data.keys_at[key], path=join(data.path, key))
            hint = _instead(key, known.keys(), data.keys_at.keys())
            problems.append(problem(at, "unknown-key", f"key {quoted(key)} is not known here", hint))
        for key, field in known.items():
            if field.is_required() and key not in data.keys_at:
                example = f", for example `{key}: {field.examples[0]}`" if field.examples else ""
                problems.append(problem(data, "missing-key", f"{quoted(key)} is missing", f"add it{example}"))
        return {key: value for key, value in data.items() if key in known}


def _instead(key: str, known: Collection[str], used: Collection[str]) -> str:
    """Say what to write in place of an unknown key."""
    if key == "<<":
        return "YAML 1.2 has no merge keys: write the entries out, or use `defaults`"
    if (near := nearest(key, known)) and near in used:
        return f"remove it: {quoted(near)} is there already"
    return suggest(key, set(known) - set(used), none="remove it")


def _one_word(value: object) -> str:
    return "reference" if f.is_table(value) else "text"


class SecretSpec(Spec):
    """Where a secret is found when it is needed: exactly one of the three."""

    env: f.EnvName | None = Field(None, description="An environment variable.", examples=["VC_PASSWORD"])
    file: f.LocalPath | None = Field(None, description="A file; its first line is the secret.")
    keyring: f.KeyringEntry | None = Field(None, description="SERVICE/USER in the system's keyring.")


TextOrSecret = Annotated[
    Annotated[f.Label, Tag("text")] | Annotated[SecretSpec, Tag("reference")], Discriminator(_one_word)
]
MaxParallel = Annotated[int, f.whole(1, 16), f.number_schema(1, 16)]


class EndpointSpec(Spec):
    """What every endpoint has."""

    provider: str
    max_parallel: MaxParallel = Field(
        2, description="How many hosts are worked on at once through this endpoint."
    )


class KvmEndpoint(EndpointSpec):
    """One libvirt URI."""

    provider: Literal["kvm"]
    uri: f.LibvirtUri = Field(description="The libvirt URI.", examples=["qemu:///system"])
    images: f.AbsolutePath | None = Field(None, description="The hypervisor's folder of golden images.")
    domain_type: Literal["kvm", "qemu"] | None = Field(
        None, description="How targets run; default: kvm where libvirt offers it. qemu is emulation, slow."
    )


class VsphereEndpoint(EndpointSpec):
    """One vCenter."""

    provider: Literal["vsphere"]
    server: f.ServerName = Field(description="The vCenter's host name.", examples=["vcenter.example.net"])
    username: TextOrSecret = Field(
        description="Who logs in: text or a reference.", examples=["{env: VC_USER}"]
    )
    password: SecretSpec = Field(
        description="A reference, never the password.", examples=["{env: VC_PASSWORD}"]
    )
    port: f.Port = Field(443, description="Where it listens.")
    ca_file: f.LocalPath | None = Field(None, description="The certificate authority's PEM file.")
    fingerprint: f.Fingerprint | None = Field(
        None, description="Instead of an authority: the server certificate's SHA-256 fingerprint."
    )
    tls_verify: f.Bool = Field(
        True, description="Off only where nothing else is possible; every report names it."
    )
    datacenter: f.Label | None = Field(None, description="Look only into this one.")
    disk_access: Literal["auto", "datastore", "lease"] | None = Field(
        None, description="How snapshots are read: from the datastore, or exported; default: as is possible."
    )
    guest_username: TextOrSecret | None = Field(
        None, description="For VMware Tools: an account inside the guests."
    )
    guest_password: SecretSpec | None = Field(None, description="A reference, never the password.")


class AzureEndpoint(EndpointSpec):
    """One subscription with one resource group."""

    provider: Literal["azure"]
    subscription: TextOrSecret = Field(
        description="The subscription's id.", examples=["{env: AZ_SUBSCRIPTION}"]
    )
    resource_group: f.Label = Field(description="Where everything is made.", examples=["legacy-quarantine"])
    location: f.Label = Field(description="The Azure region.", examples=["westeurope"])
    tls_verify: f.Bool = Field(
        True, description="Off only where nothing else is possible; every report names it."
    )


class SimulatedEndpoint(EndpointSpec):
    """A data centre that is not there."""

    provider: Literal["simulated"]
    world: f.LocalPath = Field(description="The JSON file that holds it.", examples=["world.json"])
    latency_ms: Annotated[int, f.whole(0, 60000), f.number_schema(0, 60000)] = Field(
        0, description="Delay per call."
    )


Endpoint = Annotated[
    KvmEndpoint | VsphereEndpoint | AzureEndpoint | SimulatedEndpoint, Discriminator("provider")
]


class FlowSpec(Spec):
    """One allowed connection that the old server may open."""

    to: f.Destination = Field(
        description="An address, or a network in CIDR form.", examples=["198.51.100.10"]
    )
    port: f.Port | None = Field(None, description="Needed for tcp and udp, not for icmp.")
    proto: f.ProtocolWord = Field(f.Protocol.TCP, description="tcp, udp or icmp.")
    why: f.Label = Field("", description="What it is for, for the change board.")


class NetworkEntry(Spec):
    """A network on an endpoint."""

    endpoint: f.Name = Field(description="One of `endpoints`.", examples=["lab"])
    name: f.Label = Field(description="Its name on the endpoint.", examples=["quarantine"])
    mode: f.ModeWord | None = Field(
        None, description="sealed or filtered: isolates. Without: an ordinary network."
    )
    create: f.Bool = Field(False, description="Make it where it does not exist.")
    uplink: f.Label | None = Field(
        None, description="filtered only, not on vSphere: the bridge that allowed flows leave by."
    )
    site_filter: f.Label | None = Field(
        None,
        description="filtered on vSphere, must: the site's own filter on it, in words. ferry checks none.",
        examples=["NSX policy legacy-out"],
    )
    switch: f.Label | None = Field(
        None, description="vSphere only: the switch that it is made on; without: one of its own, no uplink."
    )
    vlan: Annotated[int, f.whole(0, 4094), f.number_schema(0, 4094)] | None = Field(
        None, description="vSphere only: its VLAN; 0 is none."
    )
    allow: tuple[FlowSpec, ...] = Field((), description="filtered only: what passes; all else is dropped.")


class WindowSpec(Spec):
    """When the change may run, in wall-clock time."""

    opens: f.LocalTime = Field(description="The first minute.", examples=["2026-12-05T22:00"])
    closes: f.LocalTime = Field(description="From here on nothing is begun.", examples=["2026-12-06T04:00"])
    timezone: f.Zone = Field(description="An IANA time zone.", examples=["Europe/Berlin"])


class ChangeSpec(Spec):
    """The change board's frame."""

    ticket: f.Label = Field("", description="The change request's number.")
    reason: f.Label = Field("", description="Why it is done.")
    risk: f.RiskWord | None = Field(None, description="low, medium or high.")
    window: WindowSpec | None = Field(None, description="When it may run; without: at any time.")
    approvals: Annotated[int, f.whole(0, 20), f.number_schema(0, 20)] = Field(
        0, description="How many different people must approve, the owner not among them."
    )


class SnapshotSpec(Spec):
    """How the source is snapshotted."""

    consistency: f.ConsistencyWord = Field(Consistency.CRASH, description="At least this; less is refused.")


class FailureSpec(Spec):
    """What happens when hosts fail."""

    stop_wave_after: Annotated[int, f.whole(1, 10000), f.number_schema(1, 10000)] = Field(
        1, description="A wave begins no more hosts once so many have failed."
    )


class AddressSpec(Spec):
    """A fixed address of the target."""

    ip: f.OwnAddress = Field(description="With its prefix length.", examples=["198.51.100.20/24"])
    gateway: f.IpAddress | None = Field(None, description="The default gateway, in the same network.")
    dns: tuple[f.IpAddress, ...] = Field((), description="Name servers.")


class DhcpWord(StrEnum):
    """The one word that stands for an address which is given by the network."""

    DHCP = "dhcp"


Address = Annotated[
    Annotated[DhcpWord, f.reads(f.values.parse_choice(DhcpWord)), Tag("text")]
    | Annotated[AddressSpec, Tag("reference")],
    Discriminator(_one_word),
]


class PlacementSpec(Spec):
    """Where a target is put on vSphere. What is left away is taken where only one is possible."""

    datacenter: f.Label | None = Field(None, description="Its name or inventory path.")
    cluster: f.Label | None = Field(None, description="A cluster or standalone host, by name or path.")
    pool: f.Label | None = Field(None, description="A resource pool; without: the cluster's own.")
    folder: f.Label | None = Field(None, description="A folder of machines; without: the datacenter's own.")
    datastore: f.Label | None = Field(None, description="Where its disks lie.")


class DomainSpec(Spec):
    """The domain that a target joins at its first boot."""

    name: f.DomainName = Field(description="Its DNS name.", examples=["corp.example.net"])
    username: TextOrSecret = Field(
        description="Who lets it in: text or a reference.", examples=["{env: JOIN_USER}"]
    )
    password: SecretSpec = Field(
        description="A reference, never the password.", examples=["{env: JOIN_PASSWORD}"]
    )


class TargetDefaults(Spec):
    """What targets have in common. A key that a host's target does not give is taken from here."""

    endpoint: f.Name | None = Field(None, description="One of `endpoints`.")
    release: f.Release | None = Field(None, description="2022 or 2025.")
    image: f.Label | None = Field(
        None, description="The golden image, or an Azure image as publisher:offer:sku:version."
    )
    copy_mode: f.CopyWord = Field(
        CopyMode.OVERLAY,
        alias="copy",
        description="overlay (quick) or full (stands alone); on vSphere only, and by default, full.",
    )
    cpus: Annotated[int, f.whole(1, 256), f.number_schema(1, 256)] = Field(
        2, description="Virtual processors."
    )
    memory: f.Size = Field(
        4 * 1024**3,
        description="Memory with its unit.",
        examples=["4GiB"],
        json_schema_extra={"default": "4GiB"},
    )
    network: f.Name | None = Field(None, description="One of `networks`, without a mode (not on Azure).")
    subnet: f.Subnet | None = Field(None, description="Azure only: VNET/SUBNET.")
    admin_password: SecretSpec | None = Field(None, description="A reference, never the password.")
    address: Address = Field(DhcpWord.DHCP, description="dhcp, or {ip, gateway, dns}.")
    first_boot_limit: f.Duration | None = Field(
        None, description="How long the first boot may take.", examples=["15m"]
    )
    placement: PlacementSpec | None = Field(None, description="vSphere only: where it is put.")
    workgroup: f.Workgroup | None = Field(None, description="vSphere only; default: WORKGROUP.")
    domain: DomainSpec | None = Field(None, description="vSphere only: the domain that it joins.")
    time_zone: f.WindowsZone | None = Field(
        None, description="vSphere only: by its Windows name.", examples=["W. Europe Standard Time"]
    )


class TargetEntry(TargetDefaults):
    """The staged replacement of one host."""

    vm: f.Name = Field(
        description="The new machine's name; nothing of that name may exist.", examples=["file01n"]
    )
    computer_name: f.ComputerName | None = Field(
        None, description="Its Windows name; without: `vm` in capitals."
    )


class WaiverSpec(Spec):
    """An accepted difference."""

    item: f.ParityItem = Field(description="What is accepted.", examples=['"service:Browser"'])
    reason: f.Label = Field(description="Why.", examples=["gone in 2025"])
    owner: f.Label = Field(description="Who answers for it.", examples=["infra-ops"])
    expires: f.Day = Field(description="From this day on it no longer counts.", examples=["2027-03-31"])


class ParityEntry(Spec):
    """How old and new are compared."""

    profile: f.Name | None = Field(None, description="Which rules apply.", examples=["file-server"])
    gate: f.Bool | None = Field(None, description="Whether a failed comparison fails the run.")
    waivers: tuple[WaiverSpec, ...] = Field((), description="Accepted differences.")


class DefaultsSpec(Spec):
    """What holds for every host that does not say otherwise."""

    snapshot: SnapshotSpec = Field(default_factory=SnapshotSpec, description="How sources are snapshotted.")
    failure: FailureSpec = Field(default_factory=FailureSpec, description="What happens when hosts fail.")
    target: TargetDefaults = Field(default_factory=TargetDefaults, description="What targets have in common.")
    parity: ParityEntry = Field(default_factory=ParityEntry, description="How old and new are compared.")


class SourceSpec(Spec):
    """Where the old server runs now."""

    endpoint: f.Name = Field(description="One of `endpoints`.", examples=["lab"])
    vm: f.Label = Field(description="Its name there, on vSphere with its folder.", examples=["file01"])


class ExpectSpec(Spec):
    """What the old server should turn out to be; a server that differs is left alone."""

    build: f.Build | None = Field(None, description="6002 or 6003.")
    arch: f.Arch | None = Field(None, description="x86 or x64.")


class ContainSpec(Spec):
    """How the old server is cut off: exactly one of the two."""

    network: f.Name | None = Field(None, description="One of `networks`, with a mode.")
    mode: f.ModeWord | None = Field(None, description="unplugged: every network card's link goes down.")


class LiftEntry(Spec):
    """Where the old server goes."""

    endpoint: f.Name = Field(description="One of `endpoints`, on Azure.", examples=["az-west"])
    size: f.VmSize = Field(
        description="The Azure VM size; generation 1 must be possible.", examples=["Standard_D2s_v3"]
    )
    subnet: f.Subnet = Field(description="VNET/SUBNET.", examples=["quarantine-vnet/legacy"])
    allow: tuple[FlowSpec, ...] = Field((), description="What it may still reach.")
    source_after: f.SourceAfterWord = Field(
        f.SourceAfter.OFF_AND_ISOLATED, description="What becomes of the source machine."
    )


class HostSpec(Spec):
    """One legacy server."""

    name: f.Name = Field(description="Its name in this file and in every report.", examples=["FILE01"])
    source: SourceSpec = Field(description="Where it runs now.", examples=["{endpoint: lab, vm: file01}"])
    expect: ExpectSpec = Field(default_factory=ExpectSpec, description="What it should turn out to be.")
    wave: f.Name = Field("all", description="The wave it runs in.")
    depends_on: tuple[f.Name, ...] = Field((), description="Hosts that must be done before it.")
    disposition: f.DispositionWord = Field(description="contain or lift.", examples=["contain"])
    contain: ContainSpec | None = Field(None, description="For disposition contain.")
    lift: LiftEntry | None = Field(None, description="For disposition lift.")
    snapshot: SnapshotSpec | None = Field(None, description="How this one is snapshotted.")
    target: TargetEntry | None = Field(None, description="Its replacement; without: none is staged.")
    parity: ParityEntry | None = Field(None, description="How old and new are compared.")


class KeepSpec(Spec):
    """Which snapshots of a job stay. Whatever either limit rules out goes."""

    last: Annotated[int, f.whole(1, 31), f.number_schema(1, 31)] | None = Field(None, description="So many.")
    max_age: f.Duration | None = Field(None, description="No older than this.", examples=["72h"])


class SnapshotJobSpec(Spec):
    """Scheduled snapshots of some hosts."""

    name: f.Name = Field(description="The job's name.", examples=["nightly"])
    hosts: tuple[f.Name, ...] = Field(description="Hosts of this file.", examples=["[FILE01]"])
    schedule: f.Cron = Field(description="Cron: minute hour day month weekday.", examples=['"0 2 * * *"'])
    timezone: f.Zone = Field(description="An IANA time zone.", examples=["Europe/Berlin"])
    keep: KeepSpec = Field(description="Which snapshots stay.", examples=["{last: 2, max_age: 72h}"])
    missed: f.MissedWord = Field(f.Missed.RUN_ONCE, description="run-once or skip.")


class PlanSpec(Spec):
    """A plan file, format 1."""

    ferry: Annotated[int, f.whole(1, 1), f.WithJsonSchema({"const": 1})] = Field(
        description="The format's number.", examples=["1"]
    )
    name: f.Name = Field(description="The plan file's name in reports.", examples=["branch-file-servers"])
    owner: f.Label = Field(description="Who answers for it; may not approve it.", examples=["infra-ops"])
    change: ChangeSpec = Field(default_factory=ChangeSpec, description="The change board's frame.")
    endpoints: dict[f.Name, Endpoint] = Field(
        description="Where machines run.", examples=['{lab: {provider: kvm, uri: "qemu:///system"}}']
    )
    networks: dict[f.Name, NetworkEntry] = Field(
        default_factory=dict, description="Networks to isolate in and stage on."
    )
    defaults: DefaultsSpec = Field(
        default_factory=DefaultsSpec, description="What holds unless a host says otherwise."
    )
    waves: tuple[f.Name, ...] = Field((), description="The order of waves; without: as they first appear.")
    hosts: tuple[HostSpec, ...] = Field(description="The legacy servers.", examples=["[{name: FILE01, ...}]"])
    snapshot_jobs: tuple[SnapshotJobSpec, ...] = Field((), description="Scheduled snapshots.")
