"""Reading the world for a preview: `observe()` against the bare calls that no reading can do without.

Ours: open a reader, `observe(plan, ...)`, close it. It gives frozen values of every machine with its
snapshots, claims and image chains, of every network, and runs the preflight checks of every host. What
comes before (decoding the plan file) and after (building and rendering the change set) is left out.

Peer `bare-read`, on KVM: open a read-only connection; for all domains at once the state and block
statistics; for each domain its XML and the list of its snapshots; the networks with their XML; the list
of secrets; the capabilities. Nothing is parsed or checked, and the disks' images are not looked at.

vSphere's rows are in `preview_vsphere`: a listing of 5,000 machines on a simulated vCenter.

The simulated provider has no peer (`none`): its rows only show how reading grows with the number.

KVM's domains are stopped: a running one costs the same calls, and 200 of them would not fit. Memory is
how far a fresh process grows at its peak during the same work, its imports not counted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import libvirt

from orchestrator.changeset.observe import Observations, observe
from orchestrator.contract.provider import Provider
from orchestrator.model.endpoint import EndpointSettings
from orchestrator.model.machine import PowerState
from orchestrator.model.secret import SecretRef
from providers.kvm import provider as kvm
from providers.simulated import World
from providers.simulated import provider as simulated
from providers.simulated.world import Attachment, SimDisk, SimMachine, SimNic
from tests.bench import preview_vsphere
from tests.bench.fleet import fleet, versions
from tests.bench.harness import document, growth_mib, interleaved, main, row, say, timed
from tests.bench.plans import sealing_plan

KVM_COUNTS = (20, 200)
SIMULATED_COUNTS = (20, 200, 1000)
PEER = "bare-read"
PROVIDERS: Mapping[str, Provider] = {"kvm": kvm, "simulated": simulated}


def run(smallest: bool) -> dict[str, Any]:
    """Measure; `smallest` is two machines, once."""
    rounds = 1 if smallest else 3
    rows: list[dict[str, Any]] = []
    with fleet() as one:
        for count in (2,) if smallest else KVM_COUNTS:
            one.fresh(count)
            rows += _kvm_rows(one.endpoint, [ref.name for ref in one.refs], rounds)
        numbers = versions(one)
    for count in (2,) if smallest else SIMULATED_COUNTS:
        with tempfile.TemporaryDirectory() as folder:
            names = _centre(Path(folder) / "centre.json", count)
            endpoint = EndpointSettings(
                name="lab", provider="simulated", settings={"world": f"{folder}/centre.json"}
            )
            rows += _simulated_rows(endpoint, names, rounds)
    found, simulator = preview_vsphere.rows(smallest, rounds)
    packages = ("libvirt-python", "pydantic", "pyvmomi")
    return document("preview", [*rows, *found], packages=packages, **numbers, **simulator)


def _kvm_rows(endpoint: EndpointSettings, names: list[str], rounds: int) -> list[dict[str, Any]]:
    case = f"kvm, {len(names)} machines"
    say(case)
    ours_call, peer_call = ours(endpoint, names), bare(str(endpoint.settings["uri"]))
    _check(ours_call(), len(names))

    def observing() -> float:
        return timed(ours_call)

    def bare_read() -> float:
        return timed(peer_call)

    times = interleaved(observing, bare_read, rounds=rounds)
    memory = growth_mib(ours, endpoint, names), growth_mib(bare, str(endpoint.settings["uri"]))
    return [row(f"{case}, time", *times, PEER), row(f"{case}, memory", *memory, PEER, "MiB")]


def _simulated_rows(endpoint: EndpointSettings, names: list[str], rounds: int) -> list[dict[str, Any]]:
    case = f"simulated, {len(names)} machines"
    say(case)
    call = ours(endpoint, names)
    _check(call(), len(names))

    def observing() -> float:
        return timed(call)

    (seconds,) = interleaved(observing, rounds=rounds)
    memory = growth_mib(ours, endpoint, names)
    return [row(f"{case}, time", seconds), row(f"{case}, memory", memory, unit="MiB")]


def _check(observed: Observations, count: int) -> None:
    assert len(observed.endpoints["lab"].machines) == count
    assert all(finding.ok for found in observed.checks.values() for finding in found), observed.checks


def ours(endpoint: EndpointSettings, names: list[str]) -> Callable[[], Observations]:
    """Return the reading as preview does it."""
    plan = sealing_plan(endpoint, names)

    def read() -> Observations:
        reader = PROVIDERS[endpoint.provider].open_reader(endpoint, _no_secret)
        try:
            return observe(plan, {"lab": reader}, lambda *_: None)
        finally:
            reader.close()

    return read


def bare(uri: str) -> Callable[[], object]:
    """Return the peer's reading; what it returns keeps all that was read in memory."""
    return lambda: _bare_libvirt(uri)


def _bare_libvirt(uri: str) -> object:
    conn = libvirt.openReadOnly(uri)
    what = libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_BLOCK
    stats = conn.getAllDomainStats(what, libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT)
    domains = [(domain.XMLDesc(), domain.listAllSnapshots()) for domain, _ in stats]
    networks = [network.XMLDesc() for network in conn.listAllNetworks()]
    found = (stats, domains, networks, conn.listAllSecrets(), conn.getCapabilities())
    conn.close()
    return found


def _centre(path: Path, count: int) -> list[str]:
    """Make a simulated centre with `count` stopped machines, in one write; return their names."""
    world = World.create(path)
    names = [f"bench-{number:04d}" for number in range(count)]
    with world.edit() as centre:
        for number, name in enumerate(names):
            disk = world.images / f"{name}.raw"
            disk.touch()
            mac = f"52:54:00:fb:{number >> 8:02x}:{number & 255:02x}"
            machine_id = f"00000000-0000-4000-8000-{number:012d}"
            centre.machines[machine_id] = SimMachine(
                id=machine_id,
                name=name,
                power=PowerState.OFF,
                disks=[SimDisk(key="hda", chain=[str(disk)], size_bytes=1024**3)],
                nics=[SimNic(mac=mac, config=Attachment(network="network:prod"))],
            )
    return names


def _no_secret(ref: SecretRef) -> str:
    message = f"no endpoint of a bench needs a secret, but {ref} was asked for"
    raise AssertionError(message)


if __name__ == "__main__":
    main(run)
