"""The proof holds only while all of it is true, and says what it does not know."""

from __future__ import annotations

from typing import Any

import pytest
from pyVmomi import vim

from orchestrator.model.network import Flow, IsolationMode, IsolationSpec, NetworkSpec
from providers.vsphere.portgroups import Portgroup
from providers.vsphere.proof import Neighbour, Scene, findings
from tests.unit.providers.vsphere.test_cardstate import card, props
from tests.unit.providers.vsphere.test_portgroups import group, host, standard

SEALED = IsolationSpec(mode=IsolationMode.SEALED, network=NetworkSpec(name="q", mode=IsolationMode.SEALED))
UNPLUGGED = IsolationSpec(mode=IsolationMode.UNPLUGGED)


def on(name: str = "q", moid: str = "network-1", **more: Any) -> Any:
    made = card(name, **more)
    made.backing.network = vim.Network(moid)
    return made


def scene(
    *cards: Any,
    network: Portgroup | None = None,
    near: tuple[Neighbour, ...] = (),
    where: str = "host-1",
    **more: Any,
) -> Scene:
    return Scene(props(*cards, **more), where, network or standard(host(group("q"))), near)


def wrong(spec: IsolationSpec, seen: Scene) -> list[str]:
    return [f"{f.check}: {f.detail}" for f in findings(spec, seen) if not f.ok]


def said(spec: IsolationSpec, seen: Scene) -> str:
    return "\n".join(f"{f.check}: {f.detail}" for f in findings(spec, seen))


def test_a_sealed_machine_is_proved() -> None:
    seen = scene(on(), on(key=4001, mac="00:50:56:00:00:02"))
    assert wrong(SEALED, seen) == []
    assert "00:50:56:00:00:02" in said(SEALED, seen)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (scene(on(), on("lan", "network-2")), "portgroup:lan"),
        (scene(on(moid="network-2")), "card"),
        (scene(on(), network=standard(host(group("q"), pnics=("vmnic0",)))), "vmnic0"),
        (scene(on(), where="host-2"), "is not among them"),
        (scene(on(), near=(Neighbour("web9", isolated=False),)), "web9"),
        (scene(on(), vim.vm.device.VirtualSriovEthernetCard(key=4009, macAddress="m")), "SR-IOV"),
    ],
)
def test_each_thing_alone_spoils_it(seen: Scene, words: str) -> None:
    assert words in "\n".join(wrong(SEALED, seen))


def test_a_network_that_is_not_there_proves_nothing() -> None:
    seen = Scene(props(on()), "host-1", None, ())
    assert wrong(SEALED, seen)


def test_isolated_servers_on_one_portgroup_are_told_to_reach_each_other() -> None:
    seen = scene(on(), near=(Neighbour("app1", isolated=True),))
    assert wrong(SEALED, seen) == []
    assert "can reach each other" in said(SEALED, seen)
    assert "app1" in said(SEALED, seen)


@pytest.mark.parametrize(
    ("one", "power", "holds"),
    [
        ({"starts": False, "up": False, "free": False}, "poweredOn", True),
        ({"starts": True, "up": False, "free": False}, "poweredOn", False),
        ({"starts": False, "up": True, "free": False}, "poweredOn", False),
        ({"starts": False, "up": False, "free": True}, "poweredOn", False),
        ({"starts": False, "up": True, "free": False}, "poweredOff", True),
        ({"starts": True, "up": False, "free": False}, "poweredOff", False),
        ({"starts": False, "up": True, "free": False}, "suspended", False),
    ],
)
def test_unplugged_means_now_at_the_next_start_and_for_the_guest(
    one: dict[str, bool], power: str, holds: bool
) -> None:
    assert (wrong(UNPLUGGED, scene(on(**one), power=power)) == []) is holds


def test_the_site_s_filter_is_named_and_not_vouched_for() -> None:
    network = NetworkSpec(
        name="q",
        mode=IsolationMode.FILTERED,
        site_filter="NSX policy 7",
        allow=(Flow(to="198.51.100.1", port=445),),
    )
    seen = scene(on(), network=standard(host(group("q"), pnics=("vmnic0",))))
    spec = IsolationSpec(mode=IsolationMode.FILTERED, network=network)
    assert wrong(spec, seen) == []
    assert "not made and not checked by ferry: NSX policy 7" in said(spec, seen)
