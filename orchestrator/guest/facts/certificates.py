"""The machine's own certificates (store My), from the registry.

A blob is a list of properties (number, one more word, length, content): 32 is the certificate, 2 says that a
private key belongs to it. Keys themselves are never read.
"""

import hashlib
import re
import struct
from collections.abc import Iterator
from datetime import date, datetime

from orchestrator.guest.clean import LINE, NAME, clean
from orchestrator.guest.facts.der import SEQUENCE, SET, BadDer, Node, nodes, oid
from orchestrator.guest.registry import RegistryKey, binary
from orchestrator.model.facts import Certificate

_STORE = r"Microsoft\SystemCertificates\MY"
_CERTIFICATE, _KEY_PROVIDER, _KEY_CONTEXT = 32, 2, 5
_ALT_NAMES = "2.5.29.17"
_DNS_NAME = 0x82
_UTC_TIME = 0x17
_EXTENSIONS = 0xA3
_NAMES = {
    "2.5.4.3": "CN",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "S",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "1.2.840.113549.1.9.1": "E",
    "0.9.2342.19200300.100.1.25": "DC",
}
_ENCODINGS = {0x0C: "utf-8", 0x1E: "utf-16-be", 0x1C: "utf-32-be"}
_MAX_BLOB = 256 * 1024
_MAX_CERTIFICATES = 500
_MAX_NAMES = 200


def certificates(software: RegistryKey) -> tuple[Certificate, ...] | None:
    """Return the certificates by thumbprint; None where the machine has no such store.

    One that cannot be parsed is listed by its key's name alone.
    """
    store = software.subkey(_STORE)
    if store is None:
        return None
    keys = store.subkey("Certificates")
    found = (
        (_stored(key) for _, key in zip(range(_MAX_CERTIFICATES), keys.subkeys(), strict=False))
        if keys
        else ()
    )
    return tuple(sorted((one for one in found if one), key=lambda one: one.thumbprint))


def _stored(key: RegistryKey) -> Certificate | None:
    properties = dict(_properties(binary(key, "Blob", _MAX_BLOB)))
    private = _KEY_PROVIDER in properties or _KEY_CONTEXT in properties
    content = properties.get(_CERTIFICATE, b"")
    try:
        return certificate(content, private_key=private)
    except BadDer:
        name = key.name.upper()
        if not re.fullmatch("[0-9A-F]{40}", name):
            return None
        return Certificate(thumbprint=name, subject="", issuer="", not_after=None, private_key=private)


def _properties(blob: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 12 <= len(blob):
        number, _, length = struct.unpack_from("<III", blob, at)
        at += 12
        if at + length > len(blob):
            return
        yield number, blob[at : at + length]
        at += length


def certificate(content: bytes, *, private_key: bool | None = None) -> Certificate:
    """Read an X.509 certificate in DER. Raises BadDer."""
    try:
        body = next(nodes(content)).children()[0].children()
        # An explicit version comes first, except in version 1.
        fields = body[1:] if body[0].tag == 0xA0 else body
        issuer, validity, subject = fields[2], fields[3].children(), fields[4]
        names = tuple(dict.fromkeys(_dns_names(fields[5:])))
        return Certificate(
            thumbprint=hashlib.sha1(content, usedforsecurity=False).hexdigest().upper(),
            subject=_name(subject),
            issuer=_name(issuer),
            not_after=_day(validity[1]),
            names=names[:_MAX_NAMES],
            private_key=private_key,
        )
    except (IndexError, StopIteration) as fault:
        message = "it is not a certificate"
        raise BadDer(message) from fault


def _name(node: Node) -> str:
    """Return a distinguished name as Windows shows it: the last part first."""
    parts = []
    for group in node.children():
        for pair in group.children() if group.tag == SET else ():
            kind, value = pair.children()[:2]
            parts.append(f"{_NAMES.get(oid(kind), oid(kind))}={_text(value)}")
    return clean(", ".join(reversed(parts)), LINE)


def _text(node: Node) -> str:
    return node.data.decode(_ENCODINGS.get(node.tag, "latin-1"), "replace")


def _day(node: Node) -> date | None:
    """Return the day of a UTCTime (two digits of the year, 1950 to 2049) or a GeneralizedTime."""
    text = node.data.decode("ascii", "replace")
    if node.tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    try:
        return datetime.strptime(text[:8], "%Y%m%d").date()  # noqa: DTZ007  # always in UTC
    except ValueError:
        return None


def _dns_names(fields: list[Node]) -> Iterator[str]:
    for holder in (field for field in fields if field.tag == _EXTENSIONS):
        for extension in holder.children()[0].children():
            parts = extension.children()
            if extension.tag == SEQUENCE and oid(parts[0]) == _ALT_NAMES:
                for name in Node(0, parts[-1].data).children()[0].children():
                    if name.tag == _DNS_NAME:
                        yield clean(name.data.decode("latin-1"), NAME)
