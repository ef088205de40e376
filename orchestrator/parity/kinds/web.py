"""IIS and the machine's certificates."""

from collections.abc import Iterator

from orchestrator.model.facts import Application, Binding, Certificate, Iis, ServerFacts, Site
from orchestrator.parity.item import Item, item, listed, yes
from orchestrator.parity.names import windows_key
from orchestrator.parity.vocabulary import Naming


def web(facts: ServerFacts, names: Naming) -> Iterator[Item]:
    """Give all of it."""
    if facts.iis is not None:
        for site in facts.iis.sites:
            yield from _site(site)
        yield from _pools(facts.iis, names)
    yield from (_certificate(c) for c in facts.certificates or ())


def _site(site: Site) -> Iterator[Item]:
    yield item("site", site.name, (("autostart", yes(site.autostart)),), id=str(site.id))
    yield from (_binding(site, binding) for binding in site.bindings)
    yield from (_application(site, application) for application in site.applications)


def _binding(site: Site, binding: Binding) -> Item:
    """Facts say "" for no certificate and for one that could not be seen: with https it is the latter."""
    secure = binding.protocol.lower() in ("https", "ftps", "net.tcps")
    certificate = binding.certificate.upper() or (None if secure else "")
    return item(
        "binding", f"{site.name} {binding.protocol} {binding.information}", (("certificate", certificate),)
    )


def _application(site: Site, application: Application) -> Item:
    values = (("pool", application.pool), ("folder", application.folder))
    return item("application", f"{site.name}{application.path}", values)


def _pools(iis: Iis, names: Naming) -> Iterator[Item]:
    users: dict[str, set[str]] = {}
    for site in iis.sites:
        for application in site.applications:
            users.setdefault(windows_key(application.pool), set()).add(f"{site.name}{application.path}")
    for pool in iis.pools:
        values = (
            ("runtime", pool.runtime or "none"),
            ("pipeline", pool.pipeline),
            ("identity", names.account(pool.identity)),
            ("32-bit", yes(pool.enable_32_bit)),
        )
        used_by = listed(users.get(windows_key(pool.name), set()))
        yield item("pool", pool.name, values, used_by=used_by)


def _certificate(found: Certificate) -> Item:
    values = (
        ("subject", found.subject),
        ("expires", found.not_after.isoformat() if found.not_after else None),
        ("private key", yes(found.private_key)),
    )
    return item(
        "certificate",
        found.thumbprint.upper(),
        values,
        issuer=found.issuer,
        names=listed(found.names),
    )
