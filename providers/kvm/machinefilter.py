"""The one nwfilter of an isolated machine: made, changed and removed under its token.

Its name is derived from the machine's id, so that a repeat finds it, and libvirt refuses a second one of it.
"""

from typing import Any

from orchestrator.contract.provider import Effect, ObjectKind
from orchestrator.model.machine import MachineRef
from providers.kvm.cards import parse
from providers.kvm.faults import conflict
from providers.kvm.link import Link, act
from providers.kvm.netfilter import Rule, filter_xml, read_filter


class MachineFilter:
    """The filter of one machine on one libvirt."""

    def __init__(self, link: Link, ref: MachineRef) -> None:
        self.name = f"ferry-{ref.id}"
        self._link = link
        self._machine = ref.name

    def ensure(self, rules: frozenset[Rule], effect: Effect) -> None:
        """Make the filter hold exactly these rules. Raises ProviderError: CONFLICT when it is not ours."""
        found = self._find()
        if found is None:
            effect.intend(ObjectKind.FILTER, self.name)
            self._define(filter_xml(self.name, rules, effect.token), effect)
        else:
            text = self._text(found)
            seen, _ = read_filter(text)
            if seen != rules:
                self._refuse_foreign(text, effect)
                uuid = parse(text).findtext("uuid")
                self._define(filter_xml(self.name, rules, effect.token, uuid), effect)
        if effect.owns(ObjectKind.FILTER, self.name):
            effect.made(ObjectKind.FILTER, self.name)

    def text(self) -> str | None:
        """Return its definition; None when it is not there. A read."""
        found = self._find()
        return None if found is None else self._text(found)

    def ensure_restored(self, text: str, effect: Effect) -> None:
        """Make it what `text` defines: what an earlier run made. Raises ProviderError: CONFLICT when another
        state has changed it."""
        now = self.text()
        if now is None:
            effect.intend(ObjectKind.FILTER, self.name)
        elif read_filter(now) == read_filter(text):
            return
        else:
            self._refuse_foreign(now, effect)
        self._define(text, effect)
        effect.made(ObjectKind.FILTER, self.name)

    def ensure_removed(self, effect: Effect) -> None:
        """Remove the filter if this state made it; one of another state is left. Not there: fine. Raises
        ProviderError: CONFLICT when somebody replaced it."""
        if not effect.owns(ObjectKind.FILTER, self.name):
            return
        found = self._find()
        if found is not None:
            self._refuse_foreign(self._text(found), effect)
            act(effect, f"remove packet filter {self.name}", found.undefine)
        effect.removed(ObjectKind.FILTER, self.name)

    def _find(self) -> Any | None:
        look_up = self._link.conn().nwfilterLookupByName
        return self._link.find(f"look up packet filter {self.name}", look_up, self.name)

    def _text(self, found: Any) -> str:
        return str(self._link.read(f"read packet filter {self.name}", found.XMLDesc))

    def _define(self, text: str, effect: Effect) -> None:
        act(effect, f"define packet filter {self.name}", self._link.conn().nwfilterDefineXML, text)

    def _refuse_foreign(self, text: str, effect: Effect) -> None:
        _, token = read_filter(text)
        if token is None or not effect.owns(ObjectKind.FILTER, self.name):
            hint = f"find out who made it; `virsh nwfilter-undefine {self.name}` removes it"
            msg = f"the packet filter {self.name} of {self._machine} is not of this state"
            raise conflict(msg, hint)


def rules_by_name(link: Link, names: set[str]) -> dict[str, frozenset[Rule]]:
    """Return the rules of the filters of these names; one that is not there is left out."""
    found = {}
    for name in sorted(names):
        one = link.find(f"look up packet filter {name}", link.conn().nwfilterLookupByName, name)
        if one is not None:
            found[name] = read_filter(link.read(f"read packet filter {name}", one.XMLDesc))[0]
    return found
