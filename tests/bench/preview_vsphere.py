"""The vSphere rows of bench preview: all machines of a large site listed, and a plan of some of them
observed.

Ours: open a reader, `inventory.listing()`, close it: every machine as a frozen value with its folder path
and what speaks for or against Windows Server 2008. Peer `bare-read` (required: at most 1.5, and ours below
500 MiB): log in, one container view, `RetrievePropertiesEx` for the same properties in pages of the same
size, log out; nothing is made of them, and folders are not read. Each opens its own session. The row `CPU`
is the same measured by the time that this process used, the simulator's not: a busy machine spoils it less.

`observe()` of a plan of 200 of the machines has no peer: its row shows that a large site around the chosen
machines costs little, since devices are read of the chosen ones only. It runs the preflight checks of every
host.

It is a simulator: it answers from memory on the same machine, at no distance. Its start is not measured.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable
from typing import Any

from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim, vmodl

from orchestrator.changeset.observe import Observations, observe
from orchestrator.model.endpoint import EndpointSettings
from orchestrator.model.machine import Listed
from orchestrator.model.secret import SecretRef
from providers.vsphere import provider
from providers.vsphere.batch import PAGE
from providers.vsphere.convert import DETAILED_PATH, LISTED
from tests.bench.harness import growth_mib, interleaved, row, say, timed
from tests.bench.plans import sealing_plan
from tests.bench.site import PASSWORD, Site, site, versions

MACHINES, OBSERVED = 5000, 200
PEER = "bare-read"
_SMALLEST = 20
_START_SECONDS = 900
_PC = vmodl.query.PropertyCollector


def rows(smallest: bool, rounds: int) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Measure; return the rows, and the versions that matter."""
    count = _SMALLEST if smallest else MACHINES
    say(f"vsphere, {count} machines (the simulator's start takes minutes for thousands)")
    with site(machines=count, start_seconds=_START_SECONDS) as one:
        os.environ[PASSWORD] = one.sim.password
        found = _listing_rows(one, count, rounds)
        return [*found, *_observe_rows(one, min(OBSERVED, count), count, rounds)], versions(one)


def _listing_rows(one: Site, count: int, rounds: int) -> list[dict[str, Any]]:
    case = f"vsphere, listing of {count} machines"
    list_all, read_all = listing(one.endpoint), bare(one.endpoint)
    assert len(list_all()) == len(read_all()) == count

    def listed() -> float:
        return timed(list_all)

    def bare_read() -> float:
        return timed(read_all)

    def listed_cpu() -> float:
        return _cpu(list_all)

    def bare_read_cpu() -> float:
        return _cpu(read_all)

    *times, ours_cpu, peer_cpu = interleaved(listed, bare_read, listed_cpu, bare_read_cpu, rounds=rounds)
    memory = growth_mib(listing, one.endpoint), growth_mib(bare, one.endpoint)
    return [
        row(f"{case}, time", *times, PEER),
        row(f"{case}, CPU", ours_cpu, peer_cpu, PEER, "CPU s"),
        row(f"{case}, memory", *memory, PEER, "MiB"),
    ]


def _cpu(call: Callable[[], object]) -> float:
    """Return the CPU seconds, user and system, that a call takes in this process."""
    begun = time.process_time()
    call()
    return time.process_time() - begun


def _observe_rows(one: Site, chosen: int, count: int, rounds: int) -> list[dict[str, Any]]:
    case = f"vsphere, observe {chosen} hosts among {count} machines"
    names = [listed.ref.name for listed in listing(one.endpoint)()][:chosen]
    look = observing(one.endpoint, names)
    assert len(look().endpoints["lab"].machines) == chosen

    def observed() -> float:
        return timed(look)

    (seconds,) = interleaved(observed, rounds=rounds)
    memory = growth_mib(observing, one.endpoint, names)
    return [row(f"{case}, time", seconds), row(f"{case}, memory", memory, unit="MiB")]


def listing(endpoint: EndpointSettings) -> Callable[[], tuple[Listed, ...]]:
    """Return the listing as `ferry discover` asks for it."""

    def read() -> tuple[Listed, ...]:
        reader = provider.open_reader(endpoint, secret)
        try:
            return reader.inventory.listing()
        finally:
            reader.close()

    return read


def observing(endpoint: EndpointSettings, names: list[str]) -> Callable[[], Observations]:
    """Return the reading as preview does it."""
    plan = sealing_plan(endpoint, names)

    def read() -> Observations:
        reader = provider.open_reader(endpoint, secret)
        try:
            return observe(plan, {"lab": reader}, lambda *_: None)
        finally:
            reader.close()

    return read


def bare(endpoint: EndpointSettings) -> Callable[[], list[Any]]:
    """Return the peer's reading; what it returns keeps all that was read in memory."""
    return lambda: _bare_read(endpoint)


def _bare_read(endpoint: EndpointSettings) -> list[Any]:
    given = endpoint.settings
    si = SmartConnect(
        host=given["server"],
        port=given["port"],
        user=given["username"],
        pwd=os.environ[PASSWORD],
        sslContext=ssl.create_default_context(cafile=str(given["ca_file"])),
    )
    content = si.content
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    walk = _PC.TraversalSpec(name="view", type=vim.view.ContainerView, path="view", skip=False)
    spec = _PC.FilterSpec(
        objectSet=[_PC.ObjectSpec(obj=view, skip=True, selectSet=[walk])],
        propSet=[_PC.PropertySpec(type=vim.VirtualMachine, pathSet=[*LISTED, DETAILED_PATH])],
    )
    collector, found = content.propertyCollector, []
    page = collector.RetrievePropertiesEx([spec], _PC.RetrieveOptions(maxObjects=PAGE))
    while page is not None:
        found += page.objects
        page = collector.ContinueRetrievePropertiesEx(page.token) if page.token else None
    view.Destroy()
    Disconnect(si)
    return found


def secret(ref: SecretRef) -> str:
    """Resolve the one reference of the endpoint: from the environment, since memory is measured in another
    process."""
    return os.environ[str(ref.env)]
