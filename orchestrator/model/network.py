"""Networks, isolation and the proof of it."""

from enum import StrEnum

from pydantic import Field

from orchestrator.model.base import Material, Value
from orchestrator.model.machine import Nic


class IsolationMode(StrEnum):
    """See architecture, section 5: link down; a network without uplink, host address or neighbour; only the
    declared uplink with a filter."""

    UNPLUGGED = "unplugged"
    SEALED = "sealed"
    FILTERED = "filtered"


class Flow(Value):
    """One allowed connection that the old server may open: to an address or network in CIDR form, one port,
    one protocol.

    `to` is IPv4 or IPv6; `port` is None only for icmp.
    """

    to: str
    port: int | None = Field(default=None, ge=1, le=65535)
    proto: str = "tcp"
    """tcp, udp or icmp."""
    why: str = ""


class NetworkSpec(Value):
    """A network as the plan wants it. `mode` None is an ordinary network (the staging one), never used to
    isolate."""

    name: str
    mode: IsolationMode | None = None
    create: bool = False
    uplink: str | None = None
    """Only for filtered: the bridge (KVM) or portgroup uplink that allowed flows leave by."""
    allow: tuple[Flow, ...] = ()
    site_filter: str | None = None
    """Only for filtered: the site's own filter on this network, in words ("NSX policy legacy-out").
    Then ferry makes no filter and checks none; `allow` says what the site has declared."""
    switch: str | None = None
    """The virtual switch that it is created on (vSphere). None: one of its own, without uplink."""
    vlan: int | None = Field(default=None, ge=0, le=4094)
    """The VLAN that it is created with (vSphere)."""


class Network(Value):
    """A network as the provider reports it."""

    name: Material[str]
    id: str
    bridge: Material[str | None]
    """The host bridge or switch behind it."""
    uplink: Material[str | None]
    """How it leaves the host, in the provider's words ("nat", "bridge:br-export", "eth1"); None: not at
    all."""
    addresses: Material[tuple[str, ...]] = ()
    """Host addresses on it."""
    active: Material[bool] = True
    token: str | None = None
    """Ours when ferry created it."""


class IsolationSpec(Value):
    """How one host is isolated: every network card goes the same way. `network` is None for unplugged."""

    mode: IsolationMode
    network: NetworkSpec | None = None


class NicCapture(Value):
    """A card's configuration before isolation, for the way back. `restore` is the adapter's own text,
    opaque to the core."""

    key: str
    nic: Nic
    restore: str


class Finding(Value):
    """One checked statement about an isolated machine, from the hypervisor's own view ("tap vnet3 is a port
    of br-q only")."""

    check: str
    ok: bool
    detail: str


class IsolationEvidence(Value):
    """All findings for one machine; isolated only when every one is ok and there is at least one per
    network card."""

    mode: IsolationMode
    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        """Tell whether the isolation is proved."""
        return bool(self.findings) and all(f.ok for f in self.findings)
