"""Server releases and their builds. A build alone names no server: Vista and the other clients share them."""

from orchestrator.lifecycle.sources import BUILD_6003, COMMON, LIFECYCLE_2008, RELEASE_TABLES, Source
from orchestrator.model.base import Value
from orchestrator.model.facts import Identity, ProductType

SERVER_TYPES = frozenset({ProductType.SERVER, ProductType.DOMAIN_CONTROLLER})


class Release(Value):
    """One server release.

    `key` is how the plan file and the tables here call it; `client` shares its builds.
    """

    key: str
    name: str
    version: str
    builds: tuple[int, ...]
    client: str
    sources: tuple[Source, ...]


def _release(key: str, version: str, builds: tuple[int, ...], client: str, *sources: Source) -> Release:
    name = f"Windows Server {key}"
    return Release(key=key, name=name, version=version, builds=builds, client=client, sources=sources)


RELEASES: tuple[Release, ...] = (
    # 6001 is both RTM and SP1; 6003 is 6002 with a restarted revision counter, from spring 2019 on.
    _release("2008", "6.0", (6001, 6002, 6003), "Windows Vista", LIFECYCLE_2008, BUILD_6003),
    _release("2008 R2", "6.1", (7600, 7601), "Windows 7", COMMON),
    _release("2012", "6.2", (9200,), "Windows 8", COMMON),
    _release("2012 R2", "6.3", (9600,), "Windows 8.1", COMMON),
    _release("2016", "10.0", (14393,), "Windows 10", COMMON),
    _release("2019", "10.0", (17763,), "Windows 10", COMMON),
    _release("2022", "10.0", (20348,), "", RELEASE_TABLES),
    _release("2025", "10.0", (26100,), "Windows 11", RELEASE_TABLES),
)


def release(key: str) -> Release | None:
    """Return the release of that key ("2008 R2")."""
    return next((one for one in RELEASES if one.key == key), None)


def release_of(identity: Identity) -> Release | None:
    """Return the server release of an identity; None for a client, an unknown build, or where the type is
    unknown.
    """
    if identity.product_type not in SERVER_TYPES:
        return None
    found = (one for one in RELEASES if one.version == identity.version and identity.build in one.builds)
    return next(found, None)
