"""Rules about what the hypervisor itself does for a target: where it puts it, what it lets it join."""

from collections.abc import Iterator

from orchestrator.diagnostics import Diagnostic
from orchestrator.planfile.nodes import Table, problem
from orchestrator.planfile.rules.view import Document, Host, key
from orchestrator.planfile.wording import quoted

_VSPHERE = ("placement", "workgroup", "domain", "time_zone")


def possible(document: Document) -> Iterator[Diagnostic]:
    """Keys that only vSphere can carry out stand at targets there, and none of them is dropped in silence."""
    seen: set[int] = set()
    for host in document.hosts:
        provider = document.provider(host.target_text("endpoint")) if host.target is not None else None
        if provider is None:
            continue
        for name, table in _given(host):
            at = key(table, name)
            if provider != "vsphere" and name in _VSPHERE and id(table.keys_at[name]) not in seen:
                seen.add(id(table.keys_at[name]))
                summary = f"{quoted(name)} is not possible on {provider} yet"
                yield problem(at, f"{name}-here", summary, "remove it, or stage on a vSphere endpoint")
        yield from _copy(host, provider)


def _copy(host: Host, provider: str) -> Iterator[Diagnostic]:
    copy = host.target_text("copy")
    if provider == "vsphere" and copy == "overlay":
        hint = "write `copy: full`, or leave it away: a linked clone would need its template for ever"
        yield problem(copy, "overlay-here", "vSphere targets are full copies", hint)


def _given(host: Host) -> Iterator[tuple[str, Table]]:
    """Yield the keys that hold for a target, each with the mapping that it stands in."""
    for name in _VSPHERE:
        for table in (host.target, host.target_defaults):
            if table is not None and name in table.keys_at:
                yield name, table
                break


def membership(document: Document) -> Iterator[Diagnostic]:
    """A machine is in a workgroup or in a domain."""
    tables = [host.target for host in document.hosts]
    tables += [host.target_defaults for host in document.hosts[:1]]
    for table in tables:
        if table is not None and {"workgroup", "domain"} <= table.keys_at.keys():
            summary = "both `workgroup` and `domain` are given"
            yield problem(key(table, "workgroup"), "workgroup-and-domain", summary, "remove one of the two")


RULES = (possible, membership)
