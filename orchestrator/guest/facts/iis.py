"""The web server's sites, bindings and pools, from applicationHost.config. Passwords are never kept.

Defaults that the file does not state are those of the release's own schema file.
"""

from collections.abc import Mapping

from orchestrator.guest.clean import LINE, NAME, clean
from orchestrator.guest.facts.xml import BadXml, Element, document
from orchestrator.guest.registry import RegistryKey, binary, subkeys
from orchestrator.model.facts import Application, Binding, Iis, Pool, Site

MAX_CONFIG_SIZE = 8 * 1024 * 1024
_SITES = "system.applicationHost/sites"
_POOLS = "system.applicationHost/applicationPools"
_SSL = r"Services\HTTP\Parameters"
_HASH_LENGTHS = (20, 32)
_MAX_EACH = 5000


def iis(content: bytes, version: str | None, certificates: Mapping[str, str]) -> Iis:
    """Read the configuration. Raises BadXml.

    `version` of Windows ("6.0"), for its defaults; `certificates`: what `ssl_bindings` gives.
    """
    root = document(content, MAX_CONFIG_SIZE)
    if root.name != "configuration":
        message = "it is not a configuration"
        raise BadXml(message)
    sites, pools = root.first(_SITES), root.first(_POOLS)
    found = [_site(site, sites, certificates) for site in _some(sites, "site")] if sites else []
    return Iis(
        sites=tuple(sorted(found, key=lambda site: (site.id, site.name))),
        pools=tuple(
            sorted((_pool(one, pools, version) for one in _some(pools, "add")), key=lambda pool: pool.name)
        )
        if pools
        else (),
    )


def is_redirected(content: bytes) -> bool:
    """Tell whether redirection.config says that the configuration lies elsewhere. Raises BadXml."""
    found = document(content, MAX_CONFIG_SIZE).first("configurationRedirection")
    return found is not None and found.attributes.get("enabled", "").casefold() == "true"


def ssl_bindings(control: RegistryKey) -> dict[str, str]:
    """Return certificates' thumbprints by "address:port" or "host:port", as the HTTP driver has them."""
    found = {}
    for name in ("SslBindingInfo", "SslSniBindingInfo"):
        for _, key in zip(range(_MAX_EACH), subkeys(control, rf"{_SSL}\{name}"), strict=False):
            thumbprint = binary(key, "SslCertHash")
            if len(thumbprint) in _HASH_LENGTHS:
                found[key.name.casefold()] = thumbprint.hex().upper()
    return found


def _some(parent: Element, path: str) -> list[Element]:
    return list(parent.all(path))[:_MAX_EACH]


def _site(site: Element, sites: Element, certificates: Mapping[str, str]) -> Site:
    number = site.attributes.get("id", "")
    defaults = sites.first("applicationDefaults")
    pool = defaults.attributes.get("applicationPool", "") if defaults else ""
    applications = (_application(one, pool or "DefaultAppPool") for one in _some(site, "application"))
    bindings = (_binding(one, certificates) for one in _some(site, "bindings/binding"))
    return Site(
        name=clean(site.attributes.get("name", ""), NAME),
        id=int(number) if number.isascii() and number.isdigit() and len(number) < 11 else 0,
        autostart=site.attributes.get("serverAutoStart", "true").casefold() != "false",
        bindings=tuple(sorted(bindings, key=lambda one: (one.protocol, one.information))),
        applications=tuple(sorted(applications, key=lambda one: one.path)),
    )


def _application(application: Element, pool: str) -> Application:
    roots = (one for one in application.all("virtualDirectory") if one.attributes.get("path") == "/")
    root = next(roots, None)
    return Application(
        path=clean(application.attributes.get("path", ""), LINE),
        pool=clean(application.attributes.get("applicationPool", pool), NAME),
        folder=clean(root.attributes.get("physicalPath", ""), LINE) if root else "",
    )


def _binding(binding: Element, certificates: Mapping[str, str]) -> Binding:
    protocol = binding.attributes.get("protocol", "")
    information = binding.attributes.get("bindingInformation", "")
    secure = protocol.casefold() in ("https", "ftps")
    return Binding(
        protocol=clean(protocol, NAME),
        information=clean(information, LINE),
        certificate=_certificate(information, certificates) if secure else "",
    )


def _certificate(information: str, certificates: Mapping[str, str]) -> str:
    """The most special entry wins, as in the HTTP driver: by host name, by address, for all addresses."""
    rest, _, host = information.rpartition(":")
    address, _, port = rest.rpartition(":")
    places = (host, "" if address == "*" else address, "0.0.0.0", "[::]")  # noqa: S104  # names of entries
    wanted = (f"{place}:{port}".casefold() for place in places if place)
    return next((certificates[place] for place in wanted if place in certificates), "")


def _pool(pool: Element, pools: Element, version: str | None) -> Pool:
    defaults = pools.first("applicationPoolDefaults")
    old, first = version == "6.0", version in ("6.0", "6.1")

    def said(name: str, otherwise: str, below: str = "") -> str:
        for element in (pool, defaults):
            place = element.first(below) if element and below else element
            if place and name in place.attributes:
                return clean(place.attributes[name], NAME)
        return otherwise

    account = "NetworkService" if old else "ApplicationPoolIdentity"
    identity = said("identityType", account, "processModel")
    if identity.casefold() == "specificuser":
        identity = said("userName", identity, "processModel")
    return Pool(
        name=clean(pool.attributes.get("name", ""), NAME),
        runtime=said("managedRuntimeVersion", "v2.0" if first else "v4.0"),
        pipeline=said("managedPipelineMode", "Integrated"),
        identity=identity,
        enable_32_bit=said("enable32BitAppOnWin64", "false").casefold() == "true",
    )
