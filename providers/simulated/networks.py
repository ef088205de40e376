"""Networks of the simulated centre: found, created, removed; one that does not fit is refused, never
changed."""

import uuid

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Capability, Effect, ObjectKind
from orchestrator.model.network import IsolationMode, Network, NetworkSpec
from providers.simulated.inventory import to_network
from providers.simulated.netrules import misfits
from providers.simulated.preflight import MODE_CAPABILITY
from providers.simulated.site import Site, conflict
from providers.simulated.world import Centre, SimNetwork

NETWORKING = frozenset(MODE_CAPABILITY.values()) | {Capability.CREATE_NETWORK}


class SimNetworks:
    """The network half of the role Isolation."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def ensure_network(self, spec: NetworkSpec, effect: Effect) -> Network:
        """Return the network; create it if the spec says so."""
        self._site.need_any(NETWORKING, "isolation")
        if self._site.read("isolation.look").networks.get(spec.name) is None:
            self._create(spec, effect)
        network = self._fitting(spec)
        if network.token == effect.token:
            effect.made(ObjectKind.NETWORK, spec.name)
        return to_network(network)

    def _fitting(self, spec: NetworkSpec) -> SimNetwork:
        network = self._site.read("isolation.look").networks.get(spec.name)
        if network is None:
            message = f"network {spec.name} is not there"
            raise ProviderError(ErrorKind.NOT_FOUND, message, hint="write `create: true`, or make it")
        if reasons := misfits(network, spec):
            message = f"network {spec.name} does not fit: {'; '.join(reasons)}"
            raise conflict(message, "give another name; an existing network is never changed")
        return network

    def _create(self, spec: NetworkSpec, effect: Effect) -> None:
        if not spec.create:
            message = f"network {spec.name} is not there"
            raise ProviderError(ErrorKind.NOT_FOUND, message, hint="write `create: true`, or make it")
        self._site.need(Capability.CREATE_NETWORK, "have the network made by hand")
        self._check_uplink(spec)
        known = effect.owns(ObjectKind.NETWORK, spec.name)
        effect.intend(ObjectKind.NETWORK, spec.name)
        with self._site.change("isolation.ensure_network", effect, f"create network {spec.name}") as centre:
            ours = _add(centre, spec, effect.token)
        if not ours and not known:  # another one was quicker: what we announced never came to be
            effect.removed(ObjectKind.NETWORK, spec.name)

    def _check_uplink(self, spec: NetworkSpec) -> None:
        if spec.mode is IsolationMode.UNPLUGGED or (spec.mode is IsolationMode.SEALED and spec.uplink):
            message = f"a network for {spec.mode} has no uplink"
            raise conflict(message, "take `uplink` out of the plan file")
        if spec.mode is IsolationMode.FILTERED and not spec.uplink:
            message = f"the filtered network {spec.name} needs an uplink"
            raise conflict(message, "write `uplink` into the plan file")
        if spec.uplink is not None and spec.uplink not in self._site.read("isolation.look").uplinks:
            message = f"the uplink {spec.uplink} of network {spec.name} is not there"
            raise ProviderError(ErrorKind.NOT_FOUND, message, hint="make it, or correct its name")

    def ensure_network_removed(self, spec: NetworkSpec, effect: Effect) -> bool:
        """Remove a network of ours that nobody uses."""
        self._site.need(Capability.CREATE_NETWORK)
        centre = self._site.read("isolation.look")
        network = centre.networks.get(spec.name)
        if network is not None:
            if network.token is None or not effect.owns(ObjectKind.NETWORK, spec.name):
                message = f"network {spec.name} was not made by this state"
                raise conflict(message, "remove it by hand")
            if centre.users(spec.name):
                return False
            what = f"remove network {spec.name}"
            with self._site.change("isolation.ensure_network_removed", effect, what) as centre:
                if centre.users(spec.name):
                    return False
                centre.networks.pop(spec.name, None)
        if effect.owns(ObjectKind.NETWORK, spec.name):
            effect.removed(ObjectKind.NETWORK, spec.name)
        return True


def _add(centre: Centre, spec: NetworkSpec, token: str) -> bool:
    if spec.name in centre.networks:
        return centre.networks[spec.name].token == token
    centre.networks[spec.name] = SimNetwork(
        name=spec.name,
        id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{token}/{spec.name}")),
        bridge=f"br-{spec.name}",
        uplink=spec.uplink,
        token=token,
    )
    return True
