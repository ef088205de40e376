"""Cutting simulated machines off, proving it, giving back.

Each card's live and persistent side is a change of its own, as in libvirt.
"""

from collections.abc import Sequence

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Effect, ObjectKind
from orchestrator.model.machine import Machine, MachineRef
from orchestrator.model.network import (
    IsolationEvidence,
    IsolationMode,
    IsolationSpec,
    NicCapture,
)
from providers.simulated.inventory import to_machine, to_nic
from providers.simulated.netrules import filter_name, findings, isolated_attachment
from providers.simulated.networks import NETWORKING, SimNetworks
from providers.simulated.preflight import isolation_capability
from providers.simulated.site import conflict, find
from providers.simulated.world import Attachment, SimFilter, SimMachine, SimNic

Sides = dict[str, Attachment]
"""What a card's sides ("live", "config") are to be plugged into."""


class SimIsolation(SimNetworks):
    """Implements the role Isolation."""

    def capture(self, ref: MachineRef) -> tuple[NicCapture, ...]:
        """Read every card's configuration for the way back."""
        self._site.need_any(NETWORKING, "isolation")
        machine = find(self._site.read("isolation.capture", ref), ref)
        return tuple(
            NicCapture(key=nic.mac, nic=to_nic(nic), restore=nic.model_dump_json()) for nic in machine.nics
        )

    def ensure_isolated(
        self, ref: MachineRef, spec: IsolationSpec, addresses: Sequence[str], effect: Effect
    ) -> Machine:
        """Move every card that is not where it has to be."""
        self._site.need(isolation_capability(spec), "use another isolation mode")
        machine = find(self._site.read("isolation.look", ref), ref)
        if spec.network is not None:
            self._fitting(spec.network)
        if spec.mode is IsolationMode.FILTERED:
            self._ensure_filter(machine, ref, spec, addresses, effect)
        for nic in machine.nics:
            sides = {side: isolated_attachment(machine, spec, now) for side, now in _sides(nic).items()}
            self._plug(ref, nic.mac, sides, "isolation.ensure_isolated", effect)
        return to_machine(find(self._site.read("isolation.look", ref), ref), self._site.endpoint)

    def _ensure_filter(
        self,
        machine: SimMachine,
        ref: MachineRef,
        spec: IsolationSpec,
        addresses: Sequence[str],
        effect: Effect,
    ) -> None:
        name = filter_name(machine)
        wanted = SimFilter(
            name=name,
            machine=machine.id,
            flows=list(spec.network.allow) if spec.network else [],
            addresses=list(addresses),
            token=effect.token,
        )
        there = self._site.read("isolation.look", ref).filters.get(name)
        if there is not None and not effect.owns(ObjectKind.FILTER, name):
            message = f"a filter called {name} is there that this state did not make"
            raise conflict(message, "remove it by hand")
        if there is None or (there.flows, there.addresses) != (wanted.flows, wanted.addresses):
            effect.intend(ObjectKind.FILTER, name, ref.name)
            with self._site.change("isolation.ensure_filter", effect, f"define filter {name}", ref) as centre:
                centre.filters[name] = wanted
        effect.made(ObjectKind.FILTER, name)

    def _plug(self, ref: MachineRef, mac: str, sides: Sides, operation: str, effect: Effect) -> None:
        for side, wanted in sides.items():
            nic = _card(find(self._site.read("isolation.look", ref), ref), mac)
            if _sides(nic).get(side, wanted) == wanted:
                continue
            what = f"plug {mac} of {ref.name} ({side}) into {wanted.network}"
            with self._site.change(operation, effect, what, ref) as centre:
                nic = _card(find(centre, ref), mac)
                if side in _sides(nic):
                    setattr(nic, side, wanted)

    def verify(self, ref: MachineRef, spec: IsolationSpec) -> IsolationEvidence:
        """Prove it from the centre's state."""
        self._site.need(isolation_capability(spec))
        centre = self._site.read("isolation.verify", ref)
        return IsolationEvidence(mode=spec.mode, findings=tuple(findings(centre, find(centre, ref), spec)))

    def ensure_released(self, ref: MachineRef, captures: Sequence[NicCapture], effect: Effect) -> Machine:
        """Plug every card back, then remove the filter that was made for this machine."""
        self._site.need_any(NETWORKING, "isolation")
        machine = find(self._site.read("isolation.look", ref), ref)
        former = {capture.key: _former(capture) for capture in captures}
        for mac in former:
            _card(machine, mac)
        for mac, nic in former.items():
            sides = {"live": nic.now, "config": nic.config}
            self._plug(ref, mac, sides, "isolation.ensure_released", effect)
        self._remove_filter(ref, filter_name(machine), effect)
        return to_machine(find(self._site.read("isolation.look", ref), ref), self._site.endpoint)

    def _remove_filter(self, ref: MachineRef, name: str, effect: Effect) -> None:
        if not effect.owns(ObjectKind.FILTER, name):
            return
        if name in self._site.read("isolation.look", ref).filters:
            with self._site.change("isolation.remove_filter", effect, f"remove filter {name}", ref) as centre:
                centre.filters.pop(name, None)
        effect.removed(ObjectKind.FILTER, name)


def _former(capture: NicCapture) -> SimNic:
    try:
        return SimNic.model_validate_json(capture.restore)
    except ValueError as error:
        message = f"what was captured of card {capture.key} cannot be read"
        raise ProviderError(ErrorKind.PERMANENT, message, hint="plug it back by hand") from error


def _sides(nic: SimNic) -> Sides:
    return {"config": nic.config} if nic.live is None else {"live": nic.live, "config": nic.config}


def _card(machine: SimMachine, mac: str) -> SimNic:
    for nic in machine.nics:
        if nic.mac == mac:
            return nic
    message = f"{machine.name} has no card {mac} any more"
    raise conflict(message, "its cards were changed; nothing is added or guessed")
