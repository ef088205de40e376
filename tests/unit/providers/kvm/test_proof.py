"""The proof of isolation: it holds on an isolated machine, and each statement of it can fail by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from orchestrator.model.network import Flow, IsolationMode, IsolationSpec, Network, NetworkSpec
from providers.kvm.cards import Card, card, parse
from providers.kvm.netfilter import DROP_ALL, Rule, filtered_rules, sealed_rules
from providers.kvm.netview import HostView
from providers.kvm.proof import Binding, Scene, findings

MAC, OTHER_MAC, FILTER, TAP, BRIDGE = "52:54:00:00:00:01", "52:54:00:00:00:02", "ferry-1", "vnet1", "br-q"
ALLOW = (Flow(to="198.51.100.10", port=445),)
RULES = filtered_rules(ALLOW, ("198.51.100.21",))


def spec(mode: IsolationMode) -> IsolationSpec:
    if mode is IsolationMode.UNPLUGGED:
        return IsolationSpec(mode=mode)
    filtered = mode is IsolationMode.FILTERED
    uplink, allow = (BRIDGE, ALLOW) if filtered else (None, ())
    return IsolationSpec(mode=mode, network=NetworkSpec(name="q", mode=mode, uplink=uplink, allow=allow))


def a_card(inner: str, mac: str = MAC, tap: str | None = None) -> Card:
    target = f"<target dev='{tap}'/>" if tap else ""
    return card(parse(f"<interface type='network'><mac address='{mac}'/>{target}{inner}</interface>"))


INNER = {
    IsolationMode.UNPLUGGED: "<source network='default'/><link state='down'/>",
    IsolationMode.SEALED: f"<source network='q'/><port isolated='yes'/><filterref filter='{FILTER}'/>",
    IsolationMode.FILTERED: f"<source network='q'/><filterref filter='{FILTER}'/>",
}


@dataclass
class Host:
    """A sysfs of our own: bridge, its ports ("tap" or "nic", isolated or not)."""

    folder: Path
    ports: dict[str, tuple[str, bool]] = field(default_factory=dict)

    def view(self, bridge: str = BRIDGE, **changes: object) -> HostView:
        (self.folder / bridge / "bridge").mkdir(parents=True)
        (self.folder / bridge / "brif").mkdir()
        for name, (kind, isolated) in self.ports.items():
            (self.folder / name / "brport").mkdir(parents=True)
            (self.folder / name / "brport" / "isolated").write_text(f"{int(isolated)}\n")
            (self.folder / name / "master").symlink_to(f"../{bridge}")
            if kind == "tap":
                (self.folder / name / "tun_flags").write_text("0x1002\n")
            (self.folder / bridge / "brif" / name).mkdir()
        return replace(HostView({}, kernel_rules(), self.folder), **changes)


def kernel_rules(
    out: int | None = None, enter: bool = True, last: str = "-j DROP", rules: frozenset[Rule] = RULES
) -> tuple[str, ...]:
    sent = sum(r.direction != "in" for r in rules) if out is None else out
    received = sum(r.direction != "out" for r in rules)
    jumps = (f"-A PREROUTING -i {TAP} -j libvirt-I-{TAP}", f"-A POSTROUTING -o {TAP} -j libvirt-O-{TAP}")
    chains = [
        line
        for chain, length in ((f"libvirt-I-{TAP}", sent), (f"libvirt-O-{TAP}", received))
        for line in [f"-A {chain} -p IPv4 -j ACCEPT"] * (length - 1) + [f"-A {chain} {last}"]
    ]
    return (*(jumps if enter else ()), *chains)


def network(mode: IsolationMode, **changes: object) -> Network:
    uplink = f"bridge:{BRIDGE}" if mode is IsolationMode.FILTERED else None
    return Network(name="q", id="1", bridge=BRIDGE, uplink=uplink).model_copy(update=changes)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, {TAP: ("tap", True)})


def scene(mode: IsolationMode, host: HostView | None, *, running: bool = True) -> Scene:
    rules = sealed_rules() if mode is IsolationMode.SEALED else RULES
    if mode is IsolationMode.SEALED and host is not None:
        host = replace(host, filters=kernel_rules(rules=rules))
    moved = mode is not IsolationMode.UNPLUGGED
    return Scene(
        persistent={MAC: a_card(INNER[mode])},
        live={MAC: a_card(INNER[mode], tap=TAP)} if running else None,
        network=None if mode is IsolationMode.UNPLUGGED else network(mode),
        filters={FILTER: rules} if moved else {},
        bindings={TAP: Binding(FILTER, MAC)} if moved else {},
        host=host,
    )


def failing(mode: IsolationMode, seen: Scene) -> set[str]:
    return {f.check for f in findings(spec(mode), seen) if not f.ok}


@pytest.mark.parametrize("mode", IsolationMode)
@pytest.mark.parametrize("running", [True, False])
def test_holds_on_an_isolated_machine_and_names_its_card(
    mode: IsolationMode, running: bool, host: Host
) -> None:
    seen = scene(mode, host.view(), running=running)
    assert failing(mode, seen) == set()
    found = findings(spec(mode), seen)
    assert any(MAC in f.check for f in found)
    assert any("stopped" in f.detail for f in found) is not running


def _live(inner: str) -> Callable[[Scene], Scene]:
    return lambda seen: replace(seen, live={MAC: a_card(inner, tap=TAP)})


def _persistent(inner: str) -> Callable[[Scene], Scene]:
    return lambda seen: replace(seen, persistent={MAC: a_card(inner)})


def _network(**changes: object) -> Callable[[Scene], Scene]:
    return lambda seen: replace(seen, network=seen.network.model_copy(update=changes))


def _rules(change: Callable[[frozenset[Rule]], frozenset[Rule]]) -> Callable[[Scene], Scene]:
    return lambda seen: replace(seen, filters={FILTER: change(seen.filters[FILTER])})


PERSISTENT, RUNNING = f"card {MAC}, persistent definition", f"card {MAC}, running"
BINDING, KERNEL = f"card {MAC}, tap {TAP}, filter binding", f"card {MAC}, tap {TAP}, rules in the kernel"
UP = "<source network='default'/>"
PORT, BOUND = "<port isolated='yes'/>", f"<filterref filter='{FILTER}'/>"
U, S, F = IsolationMode.UNPLUGGED, IsolationMode.SEALED, IsolationMode.FILTERED
LOOSER = filtered_rules((*ALLOW, Flow(to="198.51.100.11", port=445)), ("198.51.100.21",))


@pytest.mark.parametrize(
    ("mode", "change", "expected"),
    [
        (U, _live(UP), RUNNING),
        (U, _persistent(UP), PERSISTENT),
        (S, _live(f"<source network='default'/>{PORT}{BOUND}"), RUNNING),
        (S, _live(f"<source network='q'/>{BOUND}"), RUNNING),
        (S, _live(f"<source network='q'/>{PORT}"), RUNNING),
        (S, _persistent(f"<source network='default'/>{PORT}{BOUND}"), PERSISTENT),
        (S, _persistent(f"<source network='q'/>{BOUND}"), PERSISTENT),
        (S, _persistent(f"<source network='q'/>{PORT}"), PERSISTENT),
        (S, _network(uplink="nat"), "network q"),
        (S, _network(addresses=("192.0.2.1/24",)), "network q"),
        (S, _network(bridge=None), "network q"),
        (S, _network(active=False), "network q, state"),
        (S, lambda seen: replace(seen, network=None), "network q"),
        (F, _live("<source network='q'/>"), RUNNING),
        (F, _live(f"<source network='default'/>{BOUND}"), RUNNING),
        (F, _persistent("<source network='q'/>"), PERSISTENT),
        (F, _persistent(f"<source network='default'/>{BOUND}"), PERSISTENT),
        (F, _network(uplink="bridge:br0"), "network q"),
        (F, lambda seen: replace(seen, filters={}), f"filter {FILTER}"),
        (F, _rules(lambda _: LOOSER), f"filter {FILTER}"),
        (F, _rules(lambda rules: rules - {DROP_ALL}), f"filter {FILTER}"),
        (F, _rules(lambda rules: rules - {min(rules)}), f"filter {FILTER}"),
        (F, lambda seen: replace(seen, bindings={}), BINDING),
        (F, lambda seen: replace(seen, bindings={TAP: Binding("other", MAC)}), BINDING),
        (F, lambda seen: replace(seen, bindings={TAP: Binding(FILTER, OTHER_MAC)}), BINDING),
    ],
)
def test_libvirts_word_spoils_it(
    mode: IsolationMode, change: Callable[[Scene], Scene], expected: str, host: Host
) -> None:
    assert expected in failing(mode, change(scene(mode, host.view())))


@pytest.mark.parametrize("mode", IsolationMode)
def test_card_that_only_runs_or_only_is_defined_spoils_it(mode: IsolationMode, host: Host) -> None:
    seen = scene(mode, host.view())
    second = {OTHER_MAC: a_card(INNER[mode], OTHER_MAC, "vnet2")}
    assert "network cards" in failing(mode, replace(seen, persistent={**seen.persistent, **second}))
    assert "network cards" in failing(mode, replace(seen, live={**seen.live, **second}))


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        (("tap", False), f"bridge {BRIDGE}, ports"),
        (("nic", False), f"bridge {BRIDGE}, ports"),
        (("nic", True), f"bridge {BRIDGE}, ports"),
    ],
)
def test_neighbour_on_a_sealed_bridge_spoils_it(port: tuple[str, bool], expected: str, host: Host) -> None:
    host.ports["eth7"] = port
    assert failing(S, scene(S, host.view())) == {expected}


def test_isolated_tap_beside_it_on_a_sealed_bridge_is_fine(host: Host) -> None:
    host.ports["vnet2"] = ("tap", True)
    assert failing(S, scene(S, host.view())) == set()


def test_own_port_that_is_not_isolated_spoils_a_sealed_machine(host: Host) -> None:
    host.ports[TAP] = ("tap", False)
    assert failing(S, scene(S, host.view())) == {f"card {MAC}, tap {TAP}, port", f"bridge {BRIDGE}, ports"}


@pytest.mark.parametrize("address", ["192.0.2.1/24", "fe80::1/64"])
def test_address_of_the_host_on_a_sealed_bridge_spoils_it(address: str, host: Host) -> None:
    seen = scene(S, host.view(addresses={BRIDGE: (address,)}))
    assert failing(S, seen) == {f"bridge {BRIDGE}, addresses of the host"}


@pytest.mark.parametrize("mode", [S, F])
def test_tap_on_another_bridge_spoils_it(mode: IsolationMode, host: Host) -> None:
    seen = scene(mode, host.view())
    (host.folder / TAP / "master").unlink()
    assert f"card {MAC}, tap {TAP}, bridge" in failing(mode, seen)
    (host.folder / TAP / "master").symlink_to("../br-lan")
    assert f"card {MAC}, tap {TAP}, bridge" in failing(mode, seen)


@pytest.mark.parametrize("mode", [S, F])
def test_bridge_that_the_host_does_not_have_spoils_it(mode: IsolationMode, host: Host) -> None:
    assert f"bridge {BRIDGE}" in failing(mode, scene(mode, host.view(bridge="br-else")))


@pytest.mark.parametrize(
    "rules",
    [(), kernel_rules(enter=False), kernel_rules(out=2), kernel_rules(last="-j ACCEPT")],
    ids=["firewall reloaded", "no frame passes them", "a rule is missing", "the rest is not dropped"],
)
def test_kernel_without_the_rules_spoils_a_filtered_machine(rules: tuple[str, ...], host: Host) -> None:
    assert failing(F, scene(F, host.view(filters=rules))) == {KERNEL}


@pytest.mark.parametrize("rules", [(), kernel_rules(enter=False, rules=sealed_rules())])
def test_kernel_without_the_rules_spoils_a_sealed_machine(rules: tuple[str, ...], host: Host) -> None:
    seen = scene(S, host.view())
    assert seen.host is not None
    assert failing(S, replace(seen, host=replace(seen.host, filters=rules))) == {KERNEL}


def test_kernels_rules_that_only_root_may_read_are_said_to_be_unread(host: Host) -> None:
    found = findings(spec(F), scene(F, host.view(filters=None)))
    assert ["not looked at" in f.detail for f in found if f.check == KERNEL] == [True]


@pytest.mark.parametrize("mode", [S, F])
def test_another_hosts_bridges_are_not_guessed(mode: IsolationMode) -> None:
    seen = [f for f in findings(spec(mode), scene(mode, None)) if not f.ok]
    assert {f.check for f in seen} == {f"bridge {BRIDGE}", f"card {MAC}, tap {TAP}"}
    assert all("cannot be seen from here" in f.detail for f in seen)


def test_unknown_addresses_are_named(host: Host) -> None:
    seen = replace(scene(F, host.view()), filters={FILTER: filtered_rules(ALLOW, ())})
    details = [f.detail for f in findings(spec(F), seen) if f.check == f"filter {FILTER}"]
    assert "not known" in details[0]


def test_machine_without_cards_is_isolated(host: Host) -> None:
    seen = replace(scene(S, host.view()), persistent={}, live={})
    assert failing(S, seen) == set()


def test_sealed_machine_whose_filter_lets_something_through_is_not_proved(host: Host) -> None:
    seen = scene(IsolationMode.SEALED, host.view())
    assert failing(IsolationMode.SEALED, replace(seen, filters={FILTER: RULES})) >= {f"filter {FILTER}"}
    assert failing(IsolationMode.SEALED, replace(seen, bindings={})) == {BINDING}
