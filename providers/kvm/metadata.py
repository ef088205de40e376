"""Marks in a domain's metadata: one element with attributes for each of our namespaces. For show and for
resuming, never to decide a race."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import libvirt

from orchestrator.contract.provider import Effect
from providers.kvm.cards import parse
from providers.kvm.link import Link, act

PERSISTENT = libvirt.VIR_DOMAIN_AFFECT_CONFIG
LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE
_ELEMENT = libvirt.VIR_DOMAIN_METADATA_ELEMENT


@dataclass(frozen=True, slots=True)
class Mark:
    """A kind of mark: `name` is the element, its namespace is derived from it."""

    name: str

    def read(self, link: Link, domain: Any, where: int) -> dict[str, str] | None:
        """Return the attributes, or None where the domain does not bear this mark."""
        text = link.find("read the domain's metadata", domain.metadata, _ELEMENT, self._namespace, where)
        return None if text is None else dict(parse(text).attrib)

    def write(
        self, domain: Any, where: int, values: Mapping[str, str] | None, what: str, effect: Effect
    ) -> None:
        """Set the mark to do `what`; None takes it off."""
        element = None if values is None else ET.tostring(ET.Element(self.name, dict(values)), "unicode")
        act(effect, what, domain.setMetadata, _ELEMENT, element, f"ferry-{self.name}", self._namespace, where)

    @property
    def _namespace(self) -> str:
        return f"urn:ferry6003:{self.name}"


def places(link: Link, domain: Any) -> dict[int, str]:
    """Return where a domain keeps metadata, in words: the persistent definition if it has one, the live one
    while it runs."""
    found = {}
    if link.read("ask for the domain's state", domain.isPersistent):
        found[PERSISTENT] = "persistent"
    if link.read("ask for the domain's state", domain.isActive):
        found[LIVE] = "live"
    return found
