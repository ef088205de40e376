"""Claims: a libvirt secret whose usage name can exist only once, shown to people in the domain's metadata.

Metadata has no compare-and-swap: two writers both succeed. A second secret for the same usage name is refused
by libvirtd, so the
secret decides who holds a machine; the metadata only shows it to other administrators. The secret holds the
claim as text in its
description, and never a secret value.
"""

import uuid
import xml.etree.ElementTree as ET
from collections.abc import Collection
from typing import Any

import libvirt
from pydantic import ValidationError

from orchestrator.contract.errors import ErrorKind, ProviderError
from orchestrator.contract.provider import Effect, ObjectKind, claimed
from orchestrator.model.machine import Claim, MachineRef
from providers.kvm.cards import parse
from providers.kvm.faults import not_found, permanent
from providers.kvm.link import Link, act
from providers.kvm.metadata import Mark, places

_USAGE = "ferry/claim/"
_ID_SPACE = uuid.UUID("5f0e5c1a-6003-4c1a-8c1a-6b0d5a3f6003")
_SHOWN = Mark("claim")
_FIELDS = ("run", "host", "digest", "state_id", "generation", "since")


def read_claims(link: Link, ids: Collection[str] | None = None) -> dict[str, Claim]:
    """Return the claims on this libvirt by domain uuid; with `ids` only those on these domains.

    A read: one call, and one more for each claim that is returned. The claim on one domain alone is looked
    up: a list of all would cost more with every machine that somebody claims.
    """
    if ids is not None and len(ids) == 1:
        held = {one: held_claim(link, one) for one in ids}
        return {one: claim for one, claim in held.items() if claim is not None}
    found: dict[str, Claim] = {}
    for secret in link.read("list the claims", lambda: link.conn().listAllSecrets()):
        marked = _marked(secret)
        if marked is not None and (ids is None or marked in ids):
            text = link.find("read a claim", secret.XMLDesc)
            if text is not None:
                found[marked] = _claim(text)
    return found


def held_claim(link: Link, domain_id: str) -> Claim | None:
    """Return the claim on a domain, or None. A read."""
    secret = _secret(link, domain_id)
    text = None if secret is None else link.find("read a claim", secret.XMLDesc)
    return None if text is None else _claim(text)


def _secret(link: Link, domain_id: str) -> Any | None:
    return link.find(
        f"look up the claim on machine {domain_id}",
        lambda: link.conn().secretLookupByUsage(libvirt.VIR_SECRET_USAGE_TYPE_VOLUME, _USAGE + domain_id),
    )


def _marked(secret: Any) -> str | None:
    """The uuid of the domain that a secret claims; None for a secret that is no claim. No call."""
    if secret.usageType() != libvirt.VIR_SECRET_USAGE_TYPE_VOLUME or not secret.usageID().startswith(_USAGE):
        return None
    return str(secret.usageID().removeprefix(_USAGE))


class KvmClaims:
    """The Claims role."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def ensure_claim(
        self, ref: MachineRef, claim: Claim, effect: Effect, *, succeeds: str | None = None
    ) -> Claim:
        """See the contract. A lower generation than the one held is refused: its worker was superseded."""
        domain = self._link.domain(ref)
        held = held_claim(self._link, ref.id)
        if held is None or not held.same_mark(claim):
            if held is not None and not held.same_holder(claim):
                if succeeds is None or held.run != succeeds:
                    raise claimed(ref, held)
                self._take_off(ref, held, effect)
            elif held is not None and held.generation > claim.generation:
                raise claimed(ref, held)
            held = self._put_on(ref, claim, effect)
        elif effect.owns(ObjectKind.CLAIM, _secret_id(ref, claim)):
            effect.made(ObjectKind.CLAIM, _secret_id(ref, claim))
        if succeeds is not None:
            _forget(effect, _secret_id(ref, claim.model_copy(update={"run": succeeds})))
        self._show(domain, ref, held, effect)
        return held

    def ensure_released(self, ref: MachineRef, claim: Claim, effect: Effect) -> None:
        """See the contract. The mark goes off a machine that was deleted meanwhile, too, before NOT_FOUND
        says so."""
        self._release(ref, claim, effect, exact=False)

    def break_claim(self, ref: MachineRef, expected: Claim, effect: Effect) -> None:
        """See the contract. libvirt cannot compare and remove in one call: a claim renewed in between
        (milliseconds) is lost too."""
        self._release(ref, expected, effect, exact=True)

    def _release(self, ref: MachineRef, claim: Claim, effect: Effect, *, exact: bool) -> None:
        held = held_claim(self._link, ref.id)
        if held is not None and not (held.same_mark(claim) if exact else held.same_holder(claim)):
            raise claimed(ref, held)
        domain = self._link.find_domain(ref)
        if domain is not None:
            # First, while nobody else can have written it.
            self._hide(domain, ref, claim, effect)
        if held is not None:
            self._take_off(ref, held, effect)
        _forget(effect, _secret_id(ref, claim))
        if domain is None:
            gone = f"machine {ref.name} ({ref.id}) on {ref.endpoint}"
            raise not_found(gone)

    def _put_on(self, ref: MachineRef, claim: Claim, effect: Effect) -> Claim:
        """Define the secret: libvirtd itself lets exactly one holder through. The same holder's is replaced
        in place."""
        secret_id = _secret_id(ref, claim)
        effect.intend(ObjectKind.CLAIM, secret_id, ref.name)
        try:
            conn = self._link.conn()
            act(effect, f"claim machine {ref.name}", conn.secretDefineXML, _secret_xml(ref, claim, secret_id))
        except ProviderError as error:
            held = None if error.kind is ErrorKind.UNCERTAIN else held_claim(self._link, ref.id)
            if held is None or held.same_holder(claim):
                raise
            effect.removed(ObjectKind.CLAIM, secret_id)
            raise claimed(ref, held) from error
        effect.made(ObjectKind.CLAIM, secret_id)
        return claim

    def _take_off(self, ref: MachineRef, held: Claim, effect: Effect) -> None:
        secret = _secret(self._link, ref.id)
        if secret is None:
            return
        secret_id = secret.UUIDString()
        try:
            act(effect, f"take the claim of run {held.run} off {ref.name}", secret.undefine)
        except ProviderError as error:
            if error.kind is not ErrorKind.NOT_FOUND:
                raise
        _forget(effect, secret_id)

    def _show(self, domain: Any, ref: MachineRef, claim: Claim, effect: Effect) -> None:
        """Write the metadata, live and persistent, unless it says so already; read it back."""
        wanted = _attributes(claim)
        for where, word in places(self._link, domain).items():
            if _SHOWN.read(self._link, domain, where) == wanted:
                continue
            what = f"show the claim on {ref.name} ({word})"
            _SHOWN.write(domain, where, wanted, what, effect)
            if _SHOWN.read(self._link, domain, where) != wanted:
                message = f"cannot {what}: libvirt accepted it, but shows something else"
                raise permanent(message)

    def _hide(self, domain: Any, ref: MachineRef, claim: Claim, effect: Effect) -> None:
        for where, word in places(self._link, domain).items():
            shown = _SHOWN.read(self._link, domain, where) or {}
            if (shown.get("run"), shown.get("state_id")) == (claim.run, claim.state_id):
                what = f"take the shown claim off {ref.name} ({word})"
                _SHOWN.write(domain, where, None, what, effect)


def _forget(effect: Effect, secret_id: str) -> None:
    if effect.owns(ObjectKind.CLAIM, secret_id):
        effect.removed(ObjectKind.CLAIM, secret_id)


def _secret_id(ref: MachineRef, claim: Claim) -> str:
    """The holder's own id: a repeat replaces its own secret, and only its own."""
    return str(uuid.uuid5(_ID_SPACE, f"{ref.id}\n{claim.run}\n{claim.state_id}"))


def _attributes(claim: Claim) -> dict[str, str]:
    values = claim.model_dump(mode="json", include=set(_FIELDS))
    return {name: str(values[name]) for name in _FIELDS if values[name] not in (None, "")}


def _secret_xml(ref: MachineRef, claim: Claim, secret_id: str) -> str:
    secret = ET.Element("secret", ephemeral="no", private="no")
    ET.SubElement(secret, "uuid").text = secret_id
    ET.SubElement(secret, "description").text = claim.model_dump_json()
    usage = ET.SubElement(secret, "usage", type="volume")
    ET.SubElement(usage, "volume").text = _USAGE + ref.id
    return ET.tostring(secret, encoding="unicode")


def _claim(text: str) -> Claim:
    """Read a secret's XML. A mark that cannot be read still holds the machine."""
    root = parse(text)
    try:
        return Claim.model_validate_json(root.findtext("description", ""))
    except ValidationError:
        return Claim(run="unreadable", digest="", state_id=f"secret {root.findtext('uuid', '')}")
