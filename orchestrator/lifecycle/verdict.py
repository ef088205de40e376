"""Is this machine a Windows Server 2008 SP2?

Three facts decide: version, build, product type. The name never does.
"""

from orchestrator.lifecycle.builds import RELEASES, SERVER_TYPES
from orchestrator.model.base import Value
from orchestrator.model.facts import Identity, ProductType

VERSION = "6.0"
BUILDS = frozenset({6002, 6003})


class Verdict(Value):
    """`yes` is None where a fact that decides is unknown and none speaks against.

    `reasons` are for people.
    """

    yes: bool | None
    reasons: tuple[str, ...]


def is_server_2008_sp2(identity: Identity) -> Verdict:
    """Judge an identity. 6002 and 6003 are the same product; Vista SP2 has both builds, 2008 R2 neither."""
    findings = (_version(identity), _build(identity), _product_type(identity))
    answers = [answer for answer, _ in findings]
    yes = False if False in answers else None if None in answers else True
    return Verdict(yes=yes, reasons=(*(reason for _, reason in findings), *_name(identity, yes)))


def _version(identity: Identity) -> tuple[bool | None, str]:
    if identity.version is None:
        return None, "the Windows version is unknown"
    if identity.version == VERSION:
        return True, "version 6.0"
    others = [one for one in RELEASES if one.version == identity.version]
    names = " or ".join(
        filter(None, dict.fromkeys(name for one in others for name in (one.name, one.client)))
    )
    return False, f"version {identity.version}" + (f" ({names})" if names else "") + ", not 6.0"


def _build(identity: Identity) -> tuple[bool | None, str]:
    if identity.build is None:
        return None, "the build is unknown"
    if identity.build in BUILDS:
        return True, f"build {identity.build}, which Service Pack 2 has"
    if identity.build == 6001:
        return False, "build 6001: Service Pack 2 is not installed"
    return False, f"build {identity.build}, not 6002 or 6003"


def _product_type(identity: Identity) -> tuple[bool | None, str]:
    if identity.product_type is None:
        return None, "whether it is a server is unknown (Windows Vista SP2 has the same builds)"
    if identity.product_type in SERVER_TYPES:
        domain = identity.product_type is ProductType.DOMAIN_CONTROLLER
        return True, "its product type is " + ("domain controller" if domain else "server")
    client = " (Windows Vista, by its version)" if identity.version == VERSION else ""
    return False, f"its product type is workstation{client}"


def _name(identity: Identity, yes: bool | None) -> tuple[str, ...]:
    """Mention a name that says otherwise, so that nobody wonders."""
    name = identity.product_name or ""
    says = "2008" in name and "R2" not in name
    # Without Service Pack 2 it is still a 2008, as its name says.
    is_2008 = yes or (identity.build == 6001 and identity.product_type in SERVER_TYPES)
    if name and yes is not None and says is not is_2008:
        return (f"the product name {name!r} says otherwise; it can be edited and decides nothing",)
    return ()
