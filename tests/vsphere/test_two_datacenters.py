"""One network name in two datacenters: the machine's own host says which is meant, nobody guesses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyVmomi import vim

from orchestrator.contract.conformance.effect import Ledger
from orchestrator.contract.conformance.support import effect, refused
from orchestrator.contract.errors import ErrorKind
from orchestrator.contract.provider import Adapter
from orchestrator.model.endpoint import EndpointSettings
from orchestrator.model.machine import MachineRef
from orchestrator.model.network import IsolationMode, IsolationSpec, NetworkSpec
from orchestrator.model.secret import SecretRef
from providers.vsphere import provider
from tests.rigs.vcsim import Vcsim, vcsim

NETWORK = NetworkSpec(name="quarantine", mode=IsolationMode.SEALED, create=True)
SPEC = IsolationSpec(mode=IsolationMode.SEALED, network=NETWORK)


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vcsim]:
    with vcsim(tmp_path_factory.mktemp("vcenter"), datacenters=2, hosts=1) as started:
        yield started


def opened(sim: Vcsim, **settings: str) -> Adapter:
    given = {
        "server": sim.server,
        "port": sim.port,
        "username": sim.user,
        "password": SecretRef(env="RIG_VC_PASSWORD"),
        "ca_file": str(sim.ca_file),
    }
    endpoint = EndpointSettings(name="vc", provider="vsphere", settings={**given, **settings})
    return provider.open(endpoint, lambda _: sim.password)


def machine(sim: Vcsim, name: str, datacenter: str) -> MachineRef:
    made = sim.control(
        "machine",
        name=name,
        datacenter=datacenter,
        nics=["VM Network"],
        disks=[{"size": 1 << 20}],
        running=True,
    )
    return MachineRef(endpoint="vc", id=made["instance_uuid"], name=name)


def test_each_machine_goes_to_the_network_of_its_own_datacenter(sim: Vcsim) -> None:
    whole, halves = opened(sim), [opened(sim, datacenter=name) for name in ("DC0", "DC1")]
    with refused(ErrorKind.CONFLICT) as caught:
        whole.isolation.ensure_network(NETWORK, effect("network"))
    assert "datacenter" in caught[0].hint
    ledgers = [Ledger(), Ledger()]
    for half, kept in zip(halves, ledgers, strict=True):
        half.isolation.ensure_network(NETWORK, effect("network", kept))
    refs = [machine(sim, f"app{n}", f"DC{n}") for n in (0, 1)]
    with refused(ErrorKind.CONFLICT) as caught:
        whole.isolation.ensure_network(NETWORK, effect("network"))
    assert "2 networks" in caught[0].message
    former = [whole.isolation.capture(ref) for ref in refs]
    for ref in refs:
        whole.isolation.ensure_isolated(ref, SPEC, (), effect("isolate"))
        assert whole.isolation.verify(ref, SPEC).holds
    names = sim.govc("ls", "/DC0/network", "/DC1/network").split()
    assert {"/DC0/network/quarantine", "/DC1/network/quarantine"} <= set(names)
    content = sim.connect().content
    on = {vm.name: vm.network[0].parent.parent.name for vm in _machines(content)}
    assert (on["app0"], on["app1"]) == ("DC0", "DC1")
    for ref, captures, half, kept in zip(refs, former, halves, ledgers, strict=True):
        whole.isolation.ensure_released(ref, captures, effect("undo"))
        assert half.isolation.ensure_network_removed(NETWORK, effect("undo", kept))
    for adapter in (whole, *halves):
        adapter.close()


def _machines(content: vim.ServiceInstanceContent) -> list[vim.VirtualMachine]:
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    return list(view.view)
