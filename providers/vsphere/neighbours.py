"""Who else is on a network: isolated servers, known by their mark, or strangers. Reads only.

An isolated server is read once a minute: else the proofs of a fleet on one network would read it N times
N times. Which machines are on the network is always read anew.
"""

import threading
import time

from pyVmomi import vim

from providers.vsphere.batch import Props, Seen, of
from providers.vsphere.cards import MARK_PATH, mark_of
from providers.vsphere.cardstate import card_state
from providers.vsphere.convert import cards, devices_of
from providers.vsphere.link import Link
from providers.vsphere.portgroups import Portgroup
from providers.vsphere.proof import Neighbour
from providers.vsphere.view import View

_SECONDS = 60.0
_PATHS = ("name", "network", "config.template", MARK_PATH)


class Neighbours:
    """The machines on networks. Shared between threads."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._guard = threading.Lock()
        self._isolated: dict[str, tuple[str, str, float]] = {}
        """By a machine's id: the network that it was seen isolated on, its name, and when."""

    def on(self, network: Portgroup, view: View) -> tuple[Neighbour, ...]:
        """Return the other machines on a network that the machine of `view` is, or shall be, on."""
        others = [vm._moId for vm in network.vms if vm._moId != view.vm._moId]
        known = self._known(network.id)
        found = [Neighbour(known[moid], isolated=True) for moid in others if moid in known]
        unknown = [self._link.obj(vim.VirtualMachine, moid) for moid in others if moid not in known]
        if unknown:
            what = "read the machines on the network"
            seen = self._link.fetch(what, of(vim.VirtualMachine, unknown, _PATHS))
            read = [seen[vm._moId] for vm in unknown if vm._moId in seen]
            # A template runs nothing, and is no neighbour.
            found += [self._judged(one, network.id) for one in read if not one.props.get("config.template")]
        return tuple(sorted(found, key=lambda one: one.name))

    def remember(self, view: View) -> None:
        """Note what a machine's own change left: isolated on the network that its mark names, or not."""
        marked, name = mark_of(view.props), str(view.props["name"])
        isolated = bool(marked) and attached(view.props) == {marked}
        self._note(view.vm._moId, (marked, name, time.monotonic()) if isolated else None)

    def _judged(self, one: Seen, network: str) -> Neighbour:
        name, on = str(one.props.get("name", one.id)), {net._moId for net in one.props.get("network", ())}
        isolated = mark_of(one.props) == network and on == {network}
        self._note(one.id, (network, name, time.monotonic()) if isolated else None)
        return Neighbour(name, isolated)

    def _known(self, network: str) -> dict[str, str]:
        oldest = time.monotonic() - _SECONDS
        with self._guard:
            found = dict(self._isolated)
        return {moid: name for moid, (net, name, at) in found.items() if net == network and at > oldest}

    def _note(self, moid: str, noted: tuple[str, str, float] | None) -> None:
        with self._guard:
            if noted is None:
                self._isolated.pop(moid, None)
            else:
                self._isolated[moid] = noted


def attached(props: Props) -> set[str]:
    """Return the ids of the networks that a machine's cards are on."""
    states = [card_state(card) for card in cards(devices_of(props))]
    return {one.network if one.kind == "dvportgroup" else one.beside for one in states}
