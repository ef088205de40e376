"""The sections that lie in the registry, from hives of a disk."""

from collections.abc import Callable
from typing import Any

from orchestrator.guest import facts
from orchestrator.guest.offline import files
from orchestrator.guest.offline.hive import HiveKey
from orchestrator.guest.offline.hives import load_hive
from orchestrator.guest.offline.sections import Sections
from orchestrator.guest.offline.systems import System
from orchestrator.model.facts import Group, Identity, NetworkConfig, ProductType, Role, Servicing, User

_SYSTEM, _SOFTWARE = "SYSTEM", "SOFTWARE"
_Rows = tuple[tuple[str, Callable[[HiveKey], Any], str], ...]


def registry_sections(
    system: System, roots: tuple[HiveKey | None, HiveKey | None], who: Identity, notes: Sections
) -> dict[str, Any]:
    """Return the sections by name, None where unknown, which `notes` then says. `roots`: of SOFTWARE, and the
    control set in use.
    """
    software, control = roots
    sam = load_hive(system, "SAM", notes, optional=True)
    local: dict[str, str] = notes.guarded(lambda: facts.local_names(sam) if sam else {}, {}, "SAM")
    startup: tuple[str, ...] = notes.guarded(lambda: files.startup_files(system), (), "Startup folder")
    of_control: _Rows = (
        ("services", facts.services, "it has no list of services"),
        ("shares", lambda key: facts.shares(key, local), "the Server service is not there"),
        ("network", lambda key: _network(system, key, notes), "TCP/IP is not there"),
        ("firewall", lambda key: facts.firewall(key, software), "the firewall's settings are not there"),
        ("printers", lambda key: facts.printers(key, software), "there is no list of printers"),
        ("environment", facts.environment, "the key of the environment is not there"),
        ("time_zone", facts.time_zone, "no time zone is stored"),
        ("security", facts.security, "it has no list of services"),
    )
    of_software: _Rows = (
        ("software", lambda key: facts.software(key, who.arch), "it has no list of programs"),
        ("hotfixes", facts.hotfixes, "there is no list of packages"),
        ("certificates", facts.certificates, "the machine's own store is not there"),
        ("odbc", lambda key: facts.odbc(key, who.arch), "ODBC is not there"),
        ("autostart", lambda key: facts.autostart(key, startup), "nothing is known"),
    )
    found = {name: notes.of_key(name, control, _SYSTEM, get, why) for name, get, why in of_control}
    found |= {name: notes.of_key(name, software, _SOFTWARE, get, why) for name, get, why in of_software}
    found["servicing"] = notes.of_key(
        "servicing",
        software,
        r"SOFTWARE, servicing\Version",
        lambda key: _servicing(system, key, found["hotfixes"], who, notes),
        "Component Based Servicing is not there",
    )
    found["roles"] = _roles(software, control, notes)
    return found | _accounts(sam, who, notes)


def _network(system: System, control: HiveKey, notes: Sections) -> NetworkConfig | None:
    return facts.network(control, files.hosts(system, notes))


def _servicing(
    system: System, software: HiveKey, hotfixes: Any, who: Identity, notes: Sections
) -> Servicing | None:
    stacks: tuple[str, ...] = notes.guarded(lambda: files.servicing_stacks(system), (), r"servicing\Version")
    return facts.servicing(software, hotfixes, who.version, stacks)


def _roles(software: HiveKey | None, control: HiveKey | None, notes: Sections) -> tuple[Role, ...] | None:
    """Return the server manager's list; where it keeps none, what has left a mark, and say that there may be
    more.
    """
    listed = notes.guarded(lambda: facts.listed_roles(software) if software else None, None, "roles")
    if listed is not None:
        notes.sources.append(("roles", "SOFTWARE, the server manager's list"))
        return listed
    found = notes.read(
        "roles",
        "services and other marks in the registry",
        lambda: facts.evident_roles(software, control),
        "there are no marks",
    )
    if found is not None:
        notes.missing(
            "roles.rest", "the server manager keeps no list here: roles without a mark are not seen"
        )
    return found


def _accounts(
    sam: HiveKey | None, who: Identity, notes: Sections
) -> dict[str, tuple[User, ...] | tuple[Group, ...] | None]:
    if who.product_type is ProductType.DOMAIN_CONTROLLER:
        for name in ("users", "groups"):
            notes.missing(name, "a domain controller keeps its accounts in the directory, which is not read")
        return {"users": None, "groups": None}
    return {
        "users": notes.of_key("users", sam, "SAM", facts.users, "it has no list of users"),
        "groups": notes.of_key("groups", sam, "SAM", facts.groups, "it has no list of groups"),
    }
