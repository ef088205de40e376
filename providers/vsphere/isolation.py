"""Cut a machine off, prove it, give it back: the Isolation role on vSphere.

All cards of a machine change in one reconfiguration, under the version of its configuration that was
looked at: it happens to all of them or to none, and never over somebody else's change. The same task
sets a mark that names the network. By it the proof tells other isolated servers on that network from
strangers, because a portgroup, other than a libvirt network, cannot keep its machines apart by itself
(private VLANs could, but a standard switch has none, and a portgroup for each machine would put hundreds
of switches on every host). So sealed servers that share a portgroup can reach each other; the proof says
so, and a plan that minds gives each its own network.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pyVmomi import vim

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Effect
from orchestrator.model.machine import Machine, MachineRef
from orchestrator.model.network import (
    IsolationEvidence,
    IsolationMode,
    IsolationSpec,
    Network,
    NetworkSpec,
    NicCapture,
)
from providers.vsphere import cardstate, networkrole
from providers.vsphere.batch import of
from providers.vsphere.cards import (
    MARK_PATH,
    Former,
    Wanted,
    by_mac,
    captured,
    change,
    former_link,
    former_of,
    isolated_link,
    mark,
    mark_of,
    missed,
    on_network,
    uncuttable,
)
from providers.vsphere.convert import CLAIM_PATH, DEVICES, VERSION_PATH, devices_of, power
from providers.vsphere.faults import conflict, is_fault, not_found, permanent
from providers.vsphere.inventory import VsphereInventory
from providers.vsphere.link import Link
from providers.vsphere.neighbours import Neighbours
from providers.vsphere.portgroups import Portgroup
from providers.vsphere.proof import Scene, findings
from providers.vsphere.settle import ended, settled
from providers.vsphere.view import View

_EXTRA = (VERSION_PATH, "runtime.host", MARK_PATH)
_CUT = ("name", "config.instanceUuid", "runtime.powerState", CLAIM_PATH, DEVICES, *_EXTRA)
"""What tells how a machine is connected: a few properties of it, and all its devices. With its claim, which
is often taken off next."""
_ATTEMPTS = 5
"""How often a change is tried while others change the machine at the same moment."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a machine's cards shall be, by MAC address, and its mark."""

    cards: Mapping[str, Wanted]
    mark: str


class VsphereIsolation:
    """The Isolation role."""

    def __init__(self, link: Link, inventory: VsphereInventory) -> None:
        self._link = link
        self._inventory = inventory
        self._networks = inventory.known_networks
        self._neighbours = Neighbours(link)
        self._guard = threading.Lock()
        self._seen: dict[str, View] = {}
        """Machines as they were captured: see `_look`."""

    def ensure_network(self, spec: NetworkSpec, effect: Effect) -> Network:
        """See the contract."""
        return networkrole.ensure_network(self._link, self._networks, spec, effect)

    def ensure_network_removed(self, spec: NetworkSpec, effect: Effect) -> bool:
        """See the contract."""
        return networkrole.ensure_network_removed(self._link, self._networks, spec, effect)

    def capture(self, ref: MachineRef) -> tuple[NicCapture, ...]:
        """See the contract. `restore` is JSON: see `cards.Former`."""
        view = self._inventory.view(ref, "network", paths=_CUT)
        with self._guard:
            self._seen[ref.id] = view
        found = by_mac(view.props, ref.name).values()
        return tuple(captured(card, view.props, view.networks) for card in found)

    def ensure_isolated(
        self,
        ref: MachineRef,
        spec: IsolationSpec,
        addresses: Sequence[str],  # noqa: ARG002  # for filters, and none is made here
        effect: Effect,
    ) -> Machine:
        """See the contract."""
        if spec.network is not None:
            networkrole.refuse_unfiltered(spec.network)

        lately = [] if spec.network is None else self._networks.lately(spec.network.name)

        def plan(view: View) -> Plan:
            network = self._usable(spec, view, lately)
            found, passed = by_mac(view.props, ref.name), uncuttable(devices_of(view.props))
            if passed is not None:
                message = f"machine {ref.name} cannot be cut off: {passed}"
                raise ProviderError(ErrorKind.UNSUPPORTED, message, hint="take that device off it first")
            backing = None if network is None else on_network(network)
            cards = {key: Wanted(backing, isolated_link(card, spec.mode)) for key, card in found.items()}
            return Plan(cards, mark_of(view.props) if network is None else network.id)

        where = f"move it to network {spec.network.name}" if spec.network is not None else "unplug it"
        # A network that was just ensured is not read again: the proof reads it anew, whatever comes between.
        beside = [] if lately else self._beside(spec)
        view = self._reconfigure(ref, plan, f"isolate machine {ref.name}: {where}", effect, beside)
        self._neighbours.remember(view)
        return self._inventory.to_machine(view)

    def verify(self, ref: MachineRef, spec: IsolationSpec) -> IsolationEvidence:
        """See the contract."""
        view = self._inventory.view(ref, beside=self._beside(spec), paths=_CUT)
        host, network = _host(view), self._network(spec, view)
        sealed = spec.mode is IsolationMode.SEALED and network is not None
        neighbours = self._neighbours.on(network, view) if sealed and network is not None else ()
        scene = Scene(view.props, host, network, neighbours)
        return IsolationEvidence(mode=spec.mode, findings=findings(spec, scene))

    def ensure_released(self, ref: MachineRef, captures: Sequence[NicCapture], effect: Effect) -> Machine:
        """See the contract. A port's number is not restored: which port of a portgroup a card gets, vCenter
        says."""
        former = {capture.key: former_of(capture) for capture in captures}

        def plan(view: View) -> Plan:
            found = by_mac(view.props, ref.name)
            if set(found) != set(former):
                message = f"the network cards of {ref.name} are not those that were there before isolation"
                raise conflict(message, "give them back by hand, from the captures in the run's evidence")
            backings, state = self._former_backings(former), power(view.props)
            cards = {key: Wanted(backings[key], former_link(was, state)) for key, was in former.items()}
            return Plan(cards, next((was.mark for was in former.values()), ""))

        view = self._reconfigure(ref, plan, f"give machine {ref.name} its networks back", effect)
        self._neighbours.remember(view)
        return self._inventory.to_machine(view)

    def _reconfigure(
        self,
        ref: MachineRef,
        plan: Callable[[View], Plan],
        what: str,
        effect: Effect,
        beside: Sequence[Any] = (),
    ) -> View:
        """Change cards and mark as planned, in one task; return the machine after it."""
        for attempt in range(_ATTEMPTS):
            view = self._look(ref, what, beside)
            wanted = plan(view)
            found = by_mac(view.props, ref.name)
            edits = [e for key, one in wanted.cards.items() if (e := change(found[key], one)) is not None]
            options = [] if wanted.mark == mark_of(view.props) else [mark(wanted.mark)]
            if not edits and not options:
                return self._inventory.view(ref, *_EXTRA, known=devices_of(view.props))
            config = vim.vm.ConfigSpec(
                changeVersion=view.props[VERSION_PATH], deviceChange=edits, extraConfig=options
            )
            try:
                task = self._link.act(effect, what, partial(view.vm.ReconfigVM_Task, config))
                effect.task(what, task._moId)
                return self._after(view, ref, wanted, what, task)
            except ProviderError as error:
                # The first look may have been a capture, which waits for no task.
                busy = attempt == 0 and is_fault(error, vim.fault.TaskInProgress)
                if not busy and not is_fault(error, vim.fault.ConcurrentAccess):
                    raise
        message = f"cannot {what}: others change it all the time"
        raise conflict(message, "wait until they are done, then try again")

    def _look(self, ref: MachineRef, what: str, beside: Sequence[Any]) -> View:
        """Return the machine as it is. Right after it was captured that was the look: the change bears the
        version of what was seen, so vCenter itself refuses it where somebody was quicker."""
        with self._guard:
            seen = self._seen.pop(ref.id, None)
        if seen is not None and not beside:
            return seen
        paths = (*_CUT, "recentTask")
        return settled(self._link, self._inventory, ref, what, beside=beside, paths=paths)

    def _after(self, before: View, ref: MachineRef, wanted: Plan, what: str, task: Any) -> View:
        """Look whether it came about: vCenter has reported success and left a card where it was. Whatever
        else has changed is for the proof to find: it reads everything anew."""
        known = devices_of(before.props)
        view = self._inventory.view(ref, *_EXTRA, known=known)
        if not ended(view, task) or _left(view, ref, wanted):
            self._link.outcome(what, task)
            view = self._inventory.view(ref, *_EXTRA, known=known)
        found = by_mac(view.props, ref.name)
        if set(found) != set(wanted.cards):
            message = f"the cards of {ref.name} are not those that were changed: {', '.join(sorted(found))}"
            raise permanent(message, "look at the machine's cards, then preview again")
        if left := _left(view, ref, wanted):
            message = f"cannot {what}: vCenter says that it is done, but it is not, for {', '.join(left)}"
            raise permanent(message, "look at the machine's cards in vCenter, then resume the run")
        return view

    def _beside(self, spec: IsolationSpec) -> list[Any]:
        """Return what reads the spec's network along with a machine."""
        moved = spec.mode is not IsolationMode.UNPLUGGED and spec.network is not None
        if not moved or spec.network is None:
            return []
        return self._networks.beside(spec.network.name, sealed=spec.mode is IsolationMode.SEALED)

    def _network(
        self, spec: IsolationSpec, view: View, lately: list[Portgroup] | None = None
    ) -> Portgroup | None:
        """Return the spec's network as it was when `view` was read, or `lately`. Raises ProviderError:
        CONFLICT."""
        if spec.mode is IsolationMode.UNPLUGGED or spec.network is None:
            return None
        found = lately or self._networks.named(spec.network.name, view.seen)
        return networkrole.choose(self._networks, found, spec.network, _host(view))

    def _usable(self, spec: IsolationSpec, view: View, lately: list[Portgroup]) -> Portgroup | None:
        """Return the network to move to, None for unplugged. Raises ProviderError: NOT_FOUND, CONFLICT."""
        if spec.mode is IsolationMode.UNPLUGGED or spec.network is None:
            return None
        network = self._network(spec, view, lately)
        if network is None:
            what = f"network {spec.network.name} on {self._link.endpoint}"
            raise not_found(what)
        networkrole.refuse_misfit(network, spec.network)
        if _host(view) not in network.hosts:
            message = f"the host of machine {view.props['name']} does not have network {spec.network.name}"
            raise conflict(message, "make it there, too, or move the machine to a host that has it")
        return network

    def _former_backings(self, former: Mapping[str, Former]) -> dict[str, Any]:
        """Return what the cards were attached to, if it is still there. Raises ProviderError: CONFLICT."""
        wanted: dict[str, Any] = {}
        for was in former.values():
            if was.card.kind == "dvportgroup":
                kind = vim.dvs.DistributedVirtualPortgroup
                wanted[was.card.network] = self._link.obj(kind, was.card.network)
            elif was.card.kind == "portgroup" and was.card.beside:
                wanted[was.card.beside] = self._link.obj(vim.Network, was.card.beside)
        what = "read the former networks"
        spec = of(vim.Network, wanted.values(), ("name",))
        seen = self._link.find(what, lambda: self._link.fetch(what, spec)) if wanted else {}
        gone = sorted(set(wanted) - {i for i, one in (seen or {}).items() if "name" in one.props})
        if gone:
            names = sorted(
                {w.card.network for w in former.values() if {w.card.network, w.card.beside} & {*gone}}
            )
            message = f"a network that the cards were on is gone: {', '.join(names)}"
            raise conflict(message, "make it again, or give the cards back by hand")
        return {key: cardstate.backing(was.card, self._link.session.stub) for key, was in former.items()}


def _left(view: View, ref: MachineRef, wanted: Plan) -> list[str]:
    """Return the cards that are not as planned."""
    found = by_mac(view.props, ref.name)
    return [key for key, card in found.items() if key in wanted.cards and missed(card, wanted.cards[key])]


def _host(view: View) -> str:
    host = view.props.get("runtime.host")
    return "" if host is None else str(host._moId)
