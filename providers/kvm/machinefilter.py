"""The one nwfilter of an isolated machine: made, changed and removed under its token.

Its name is derived from the machine's id, so that a repeat finds it, and libvirt refuses a second one of it.
"""

from typing import Any

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.ownership import Owner, entry, forget, hand_over, ours, settle
from orchestrator.contract.provider import Effect, ObjectKind
from orchestrator.model.machine import MachineRef
from providers.kvm.cards import parse
from providers.kvm.faults import conflict
from providers.kvm.link import Link, act
from providers.kvm.netfilter import Rule, filter_xml, owned, read_filter


class MachineFilter:
    """The filter of one machine on one libvirt."""

    def __init__(self, link: Link, ref: MachineRef) -> None:
        self.name = f"ferry-{ref.id}"
        self._link = link
        self._machine = ref.name

    def ensure(self, rules: frozenset[Rule], effect: Effect) -> None:
        """Make the filter hold exactly these rules. Raises ProviderError: CONFLICT when it is not ours.

        A change keeps its maker's token: the ledger goes on knowing it by that.
        """
        text = self.text()
        if text is None:
            text = self._make(rules, effect)
        seen, owner = read_filter(text)
        settle(effect, ObjectKind.FILTER, self.name, None if owner is None else owner.token)
        if seen != rules:
            uuid = parse(text).findtext("uuid")
            self._define(filter_xml(self.name, rules, self._ours(owner, effect), uuid), effect)

    def text(self) -> str | None:
        """Return its definition; None when it is not there. A read."""
        found = self._find()
        return None if found is None else self._text(found)

    def ensure_restored(self, text: str, effect: Effect) -> None:
        """Make it what `text` defines: what an earlier run made. Raises ProviderError: CONFLICT when another
        state has changed it."""
        now, (_, owner) = self.text(), read_filter(text)
        if now is None or read_filter(now) != read_filter(text):
            if now is not None:
                self._ours(read_filter(now)[1], effect)
            if owner is not None:
                effect.intend(ObjectKind.FILTER, entry(self.name, owner.token))
            self._define(text, effect)
        if owner is not None and ours(effect, ObjectKind.FILTER, self.name, owner.token):
            effect.made(ObjectKind.FILTER, entry(self.name, owner.token))

    def ensure_removed(self, effect: Effect) -> None:
        """Remove the filter if this state made it; any other is left. Not there: fine."""
        found = self._find()
        text = "" if found is None else self._text(found)
        owner = read_filter(text)[1] if text else None
        if found is not None and owner and ours(effect, ObjectKind.FILTER, self.name, owner.token):

            def change(new: Owner) -> None:
                self._define(owned(text, new), effect)

            hand_over(effect, ObjectKind.FILTER, self.name, owner, change)
            act(effect, f"remove packet filter {self.name}", found.undefine)
        forget(effect, ObjectKind.FILTER, self.name, effect.token)

    def _make(self, rules: frozenset[Rule], effect: Effect) -> str:
        """Define it, unless another one was quicker; return what is there then. Without a uuid: so libvirt
        itself refuses a name that is taken."""
        effect.intend(ObjectKind.FILTER, entry(self.name, effect.token))
        try:
            return self._text(self._define(filter_xml(self.name, rules, Owner(effect.token)), effect))
        except ProviderError as error:
            if error.kind is ErrorKind.UNCERTAIN:
                raise
            text = self.text()
            if text is None:
                settle(effect, ObjectKind.FILTER, self.name, None)
                raise
            return text

    def _find(self) -> Any | None:
        look_up = self._link.conn().nwfilterLookupByName
        return self._link.find(f"look up packet filter {self.name}", look_up, self.name)

    def _text(self, found: Any) -> str:
        return str(self._link.read(f"read packet filter {self.name}", found.XMLDesc))

    def _define(self, text: str, effect: Effect) -> Any:
        return act(effect, f"define packet filter {self.name}", self._link.conn().nwfilterDefineXML, text)

    def _ours(self, owner: Owner | None, effect: Effect) -> Owner:
        """Return its owner if that is this state. Raises ProviderError: CONFLICT."""
        if owner is None or not ours(effect, ObjectKind.FILTER, self.name, owner.token):
            hint = f"find out who made it; `virsh nwfilter-undefine {self.name}` removes it"
            msg = f"the packet filter {self.name} of {self._machine} is not of this state"
            raise conflict(msg, hint)
        return owner


def rules_by_name(link: Link, names: set[str]) -> dict[str, frozenset[Rule]]:
    """Return the rules of the filters of these names; one that is not there is left out."""
    found = {}
    for name in sorted(names):
        one = link.find(f"look up packet filter {name}", link.conn().nwfilterLookupByName, name)
        if one is not None:
            found[name] = read_filter(link.read(f"read packet filter {name}", one.XMLDesc))[0]
    return found
